# Add the lab's programs to the PATH again. In each terminal, Debian's /etc/profile has replaced the PATH of the image.
PATH=/opt/lab/bin:$PATH

# Restore the PATH of the image, because Debian's /etc/profile resets the PATH in each terminal.
PATH=/opt/lab/bin:$PATH

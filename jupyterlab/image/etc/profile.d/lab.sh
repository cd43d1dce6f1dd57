# Debian's /etc/profile sets the PATH anew for every terminal.
PATH=/opt/lab/bin:$PATH

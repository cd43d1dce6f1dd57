#!/bin/sh
# Makes a user's home and project folders: make-home.sh GID...
#
# Runs as the user, in the roots of both volumes, which belong to root and are sticky: what it makes is the user's. A
# folder that exists is used only if it is what it should be. What it prints last is what the hub shows if it fails.
set -eu
umask 077
fail() { echo "$1"; exit 1; }
uid=$(id -u)
home=/storage/home/$uid
if mkdir "$home" 2>/tmp/why; then
    cp -RT /etc/skel "$home" || echo "a new home without its usual first files"
elif [ ! -d "$home" ]; then
    fail "your home cannot be made on the shared storage: $(cat /tmp/why)"
fi
[ ! -L "$home" ] && [ "$(stat -c %u "$home")" = "$uid" ] ||
    fail "the folder of your home, $uid, belongs to user $(stat -c %u "$home"): it is not used"
[ "$(stat -c %a "$home")" = 700 ] || chmod 700 "$home"
for gid in "$@"; do
    project=/storage/project/$gid
    right() { [ ! -L "$project" ] && [ "$(stat -c %g:%a "$project")" = "$gid:2770" ]; }
    # The first member who comes makes it; one who was interrupted at that finishes it the next time.
    if mkdir "$project" 2>/tmp/why || { [ -O "$project" ] && ! right; }; then
        chgrp "$gid" "$project" && chmod 2770 "$project"
    fi
    [ -d "$project" ] || fail "the folder of group $gid cannot be made on the shared storage: $(cat /tmp/why)"
    # Another member may be making it right now.
    tries=20
    until right || [ "$tries" = 0 ]; do
        tries=$((tries - 1))
        sleep 0.1
    done
    right || fail "the folder of group $gid is $(stat -c %g:%a "$project"), wanted $gid:2770: it is not used"
done
rm -f /tmp/why

#!/usr/bin/env bash
# Starts an IPython kernel in the LSST stack's environment.
#
#   kernel.bash CONNECTION_FILE
#
# environment.bash is what `loadLSST.bash` and `setup lsst_distrib` leave behind, recorded when the image was
# made: the stack does not change after that, and computing it at each start costs seconds with the full one.
# The user's own ~/notebooks/.user_setups is run each time, since what it reads may have changed.
here=$(dirname "${BASH_SOURCE[0]}")
connection_file=$1
user_setups=$HOME/notebooks/.user_setups

# shellcheck source=/dev/null
. "$here/environment.bash"

if [ -s "$user_setups" ]; then
    # In a shell of its own, whatever it does: exit, set -e, unset PATH. What it exports is taken over.
    said=$(mktemp) exported=$(mktemp)
    # shellcheck disable=SC2016  # the inner shell expands it
    "$BASH" -c '. "$1"; shift; . "$1"; set -- "$2" "$?"; /usr/bin/env -0 >"$1"; exit "$2"' user_setups \
        "$here/environment.bash" "$user_setups" "$exported" >"$said" 2>&1 </dev/null
    status=$?
    cat "$said" >&2
    if [ "$status" -ne 0 ]; then
        # Shown by ipython_kernel_config.py above the first cell's output: the lab's log is not the user's to read.
        LSST_USER_SETUPS_FAILED=$(echo "$user_setups ended with status $status:" && tail -n 20 "$said" | tail -c 4000)
        export LSST_USER_SETUPS_FAILED
    fi
    exec 3<"$exported"
    rm -f "$said" "$exported"
fi

# From here on no variable of this script is read: an exported one may have its name.
# shellcheck disable=SC2154  # environment.bash sets it
set -- "$lsst_kernel_python" -m ipykernel_launcher -f "$connection_file" \
    --BaseIPythonApplication.extra_config_file="$here/ipython_kernel_config.py"
if [ -e /dev/fd/3 ]; then
    while IFS= read -r -d '' pair <&3; do
        case $pair in
            BASH_FUNC_* | LAB_* | LSST_USER_SETUPS_FAILED=* | _=* | SHLVL=*) ;; # not the user's to change
            *) export "${pair?}" 2>/dev/null ;;
        esac
    done
    exec 3<&-
fi
exec "$@"

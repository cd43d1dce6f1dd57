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
shift # a sourced file would see the arguments as its own

# shellcheck source=/dev/null
. "$here/environment.bash"

user_setups=$HOME/notebooks/.user_setups
if [ -f "$user_setups" ]; then
    said=$(mktemp)
    trap 'cat "$said" >&2; echo "LSST_Stack: $user_setups ended the shell: it must not call exit" >&2' EXIT
    # shellcheck source=/dev/null
    . "$user_setups" >"$said" 2>&1 </dev/null
    status=$?
    trap - EXIT
    cat "$said" >&2
    if [ "$status" -ne 0 ]; then
        # Shown by ipython_kernel_config.py above the first cell's output: the lab's log is not the user's to read.
        LSST_USER_SETUPS_FAILED=$(echo "$user_setups ended with status $status:" && tail -n 20 "$said")
        export LSST_USER_SETUPS_FAILED
    fi
    rm -f "$said"
fi

exec python -m ipykernel_launcher -f "$connection_file" \
    --BaseIPythonApplication.extra_config_file="$here/ipython_kernel_config.py"

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

IFS="'" read -r _ python _ <"$here/environment.bash" # its first line: lsst_kernel_python='...'

says_something() { # FILE: whether it has more than comments, which is what a new user's has
    local line
    [ -f "$1" ] && while read -r line || [ -n "$line" ]; do
        [[ $line == '' || $line == \#* ]] || return 0
    done <"$1"
    return 1
}

exported=$(mktemp)
if says_something "$user_setups"; then
    # In a shell of its own, whatever it does: exit, set -e, unset PATH. What it exports is taken over.
    said=$(mktemp)
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
    rm -f "$said"
fi
mapfile -d '' -t pairs <"$exported"
rm -f "$exported"
if [ ${#pairs[@]} -eq 0 ]; then # there are no setups, or they did not come to their end
    # shellcheck source=/dev/null
    . "$here/environment.bash"
fi
for index in "${!pairs[@]}"; do
    case ${pairs[$index]} in
        LAB_* | LSST_USER_SETUPS_FAILED=*) unset "pairs[$index]" ;; # not the user's to change
    esac
done

# By env, not by export: a shell function has a name that bash does not export.
exec /usr/bin/env "${pairs[@]}" "$python" -m ipykernel_launcher -f "$connection_file" \
    --BaseIPythonApplication.extra_config_file="$here/ipython_kernel_config.py"

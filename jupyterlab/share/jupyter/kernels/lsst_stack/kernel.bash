#!/usr/bin/env bash
# Starts an IPython kernel in the LSST stack's environment.
#
#   kernel.bash CONNECTION_FILE
#
# environment.bash sets the variables that `loadLSST.bash` and `setup lsst_distrib` set. The build of the image has
# recorded this file, because these commands take seconds with the full stack, and the stack of an image does not
# change. The user's ~/notebooks/.user_setups runs at each start of a kernel, because its result can change.
here=$(dirname "${BASH_SOURCE[0]}")
connection_file=$1
user_setups=$HOME/notebooks/.user_setups

IFS="'" read -r _ python _ <"$here/environment.bash" # reads the Python from the first line, lsst_kernel_python='...'

has_commands() { # FILE: checks whether a file contains commands. The .user_setups of a new user contains only comments.
    local line
    [ -f "$1" ] && while read -r line || [ -n "$line" ]; do
        [[ $line == '' || $line == \#* ]] || return 0
    done <"$1"
    return 1
}

exported=$(mktemp)
if has_commands "$user_setups"; then
    # Run .user_setups in a separate shell, so that `exit`, `set -e` or `unset PATH` in the file cannot stop the kernel.
    # The kernel gets the variables that the file exports.
    output=$(mktemp)
    # shellcheck disable=SC2016  # the inner shell expands it
    "$BASH" -c '. "$1"; shift; . "$1"; set -- "$2" "$?"; /usr/bin/env -0 >"$1"; exit "$2"' user_setups \
        "$here/environment.bash" "$user_setups" "$exported" >"$output" 2>&1 </dev/null
    status=$?
    cat "$output" >&2
    if [ "$status" -ne 0 ]; then
        # Users cannot read the lab's log. So ipython_kernel_config.py prints this text above the output of the first
        # cell.
        LSST_USER_SETUPS_FAILED=$(
            echo "$user_setups ended with status $status. The kernel started all the same."
            echo "Fix the file and restart the kernel. The file's last output:"
            tail -n 20 "$output" | tail -c 4000
        )
        export LSST_USER_SETUPS_FAILED
    fi
    rm -f "$output"
fi
mapfile -d '' -t pairs <"$exported"
rm -f "$exported"
if [ ${#pairs[@]} -eq 0 ]; then # .user_setups contains no commands, or an error or `exit` ended it early
    # shellcheck source=/dev/null
    . "$here/environment.bash"
fi
for index in "${!pairs[@]}"; do
    case ${pairs[$index]} in
        LAB_* | LSST_USER_SETUPS_FAILED=*) unset "pairs[$index]" ;; # .user_setups must not change these variables
    esac
done

# Pass the variables with `env`, because bash cannot export a variable such as BASH_FUNC_setup%%, which contains a
# function.
exec /usr/bin/env "${pairs[@]}" "$python" -m ipykernel_launcher -f "$connection_file" \
    --BaseIPythonApplication.extra_config_file="$here/ipython_kernel_config.py"

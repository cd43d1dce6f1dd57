#!/usr/bin/env bash
# Starts an IPython kernel in the LSST stack's environment.
#
#   kernel.bash CONNECTION_FILE
#
# environment.bash is the environment that `loadLSST.bash` and `setup lsst_distrib` create, recorded when the image was
# built. The stack does not change after that, and the set-up of the full stack takes seconds.
# The user's ~/notebooks/.user_setups runs at each start, because the files that it reads may have changed.
here=$(dirname "${BASH_SOURCE[0]}")
connection_file=$1
user_setups=$HOME/notebooks/.user_setups

IFS="'" read -r _ python _ <"$here/environment.bash" # the first line is lsst_kernel_python='...'

has_commands() { # FILE: return whether the file contains commands. The file of a new user contains only comments.
    local line
    [ -f "$1" ] && while read -r line || [ -n "$line" ]; do
        [[ $line == '' || $line == \#* ]] || return 0
    done <"$1"
    return 1
}

exported=$(mktemp)
if has_commands "$user_setups"; then
    # .user_setups runs in its own shell, so that `exit`, `set -e` or `unset PATH` in it cannot stop the kernel. The
    # kernel gets the variables that it exports.
    output=$(mktemp)
    # shellcheck disable=SC2016  # the inner shell expands it
    "$BASH" -c '. "$1"; shift; . "$1"; set -- "$2" "$?"; /usr/bin/env -0 >"$1"; exit "$2"' user_setups \
        "$here/environment.bash" "$user_setups" "$exported" >"$output" 2>&1 </dev/null
    status=$?
    cat "$output" >&2
    if [ "$status" -ne 0 ]; then
        # ipython_kernel_config.py shows this text above the output of the first cell: users cannot read the lab's log.
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
if [ ${#pairs[@]} -eq 0 ]; then # .user_setups has no commands, or did not run to its end
    # shellcheck source=/dev/null
    . "$here/environment.bash"
fi
for index in "${!pairs[@]}"; do
    case ${pairs[$index]} in
        LAB_* | LSST_USER_SETUPS_FAILED=*) unset "pairs[$index]" ;; # users must not change these variables
    esac
done

# Pass the variables with env: bash cannot export variables named BASH_FUNC_name%%, which hold functions.
exec /usr/bin/env "${pairs[@]}" "$python" -m ipykernel_launcher -f "$connection_file" \
    --BaseIPythonApplication.extra_config_file="$here/ipython_kernel_config.py"

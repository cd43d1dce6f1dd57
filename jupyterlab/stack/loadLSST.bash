# The LSST stack from PyPI's packages. To be sourced by bash:
#
#   . loadLSST.bash
#   setup lsst_distrib
#
# It understands what the full stack's EUPS commands are mostly used for: `setup PRODUCT`, `setup -r FOLDER`,
# `unsetup PRODUCT`, `eups list`. The table of products stands beside this file.

LSST_STACK=$(CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export LSST_STACK
export EUPS_PATH=$LSST_STACK
case :$PATH: in
    *":$LSST_STACK/python/bin:"*) ;;
    *) export PATH=$LSST_STACK/python/bin:$PATH ;;
esac

_lsst_product() { # PRODUCT: prints "version folder", or fails
    local name version folder
    while IFS=" " read -r name version folder; do
        [ "$name" = "$1" ] && printf '%s %s\n' "$version" "$folder" && return 0
    done <"$LSST_STACK/products.txt"
    return 1
}

_lsst_names() { # FILE: the first word of each line, on one line
    local name rest names=()
    while IFS=" " read -r name rest; do names+=("$name"); done <"$1"
    printf '%s' "${names[*]}"
}

_lsst_mark() { # PRODUCT VERSION FOLDER: what EUPS sets for a product
    export "SETUP_${1^^}=$1 $2" "${1^^}_DIR=$3"
}

_lsst_refuse() { # PRODUCT: says what is wrong with it
    if grep -qx -- "$1" "$LSST_STACK/missing.txt"; then
        printf 'setup: %s is a product of lsst_distrib, but not in this stack, which is made of PyPI packages.\n' "$1"
        printf 'setup: it has: %s\n' "$(_lsst_names "$LSST_STACK/products.txt")"
        printf 'setup: for all products build the lab image with --build-arg STACK=<an LSST stack image>.\n'
    else
        printf 'setup: no product %s. This stack has: %s\n' "$1" "$(_lsst_names "$LSST_STACK/products.txt")"
    fi >&2
    return 1
}

_lsst_distrib() { # sets up every product that there is, and says which are not there
    local name version folder
    while IFS=" " read -r name version folder; do
        _lsst_mark "$name" "$version" "$folder"
    done <"$LSST_STACK/products.txt"
    IFS=" " read -r version folder <<<"$(_lsst_product daf_butler)"
    _lsst_mark lsst_distrib "pypi_$version" "$LSST_STACK"
    [[ $- == *i* ]] || return 0 # a script that sets up the stack wants no lecture
    {
        printf 'setup: lsst_distrib from PyPI packages (%s): %s\n' "$version" "$(_lsst_names "$LSST_STACK/products.txt")"
        printf 'setup: not in this stack: %s\n' "$(_lsst_names "$LSST_STACK/missing.txt")"
    } | fold -s -w "${COLUMNS:-80}" >&2
}

_lsst_local() { # FOLDER: sets up a checkout of your own, as `setup -r` does
    local folder name
    folder=$(CDPATH="" cd -- "$1" 2>/dev/null && pwd) || {
        printf 'setup: no folder %s\n' "$1" >&2
        return 1
    }
    name=$(basename "$folder")
    name=${name//[^A-Za-z0-9_]/_}
    [[ $name != [0-9]* ]] || name=_$name
    [ ! -d "$folder/python" ] || export PYTHONPATH=$folder/python${PYTHONPATH:+:$PYTHONPATH}
    [ ! -d "$folder/bin" ] || export PATH=$folder/bin:$PATH
    _lsst_mark "$name" "LOCAL:$folder" "$folder"
}

setup() {
    local usage='setup: usage: setup PRODUCT [VERSION] | setup -r FOLDER  (-j, -k, -v are accepted)'
    local found version folder
    while [[ ${1-} == -* ]]; do
        case $1 in
            -j | -k | -v | -jk | -kj) shift ;; # products do not pull others in here, so these change nothing
            -r | -jr | -kr)
                [ $# -ge 2 ] || { echo "$usage" >&2; return 2; }
                _lsst_local "$2"
                return
                ;;
            -t | --tag)
                echo 'setup: this stack has one version of each product and no tags: leave out -t' >&2
                return 2
                ;;
            *)
                echo "setup: option $1 is not known here" >&2
                echo "$usage" >&2
                return 2
                ;;
        esac
    done
    [ $# -ge 1 ] || { echo "$usage" >&2; return 2; }
    if [ "$1" = lsst_distrib ]; then
        _lsst_distrib
        return
    fi
    found=$(_lsst_product "$1") || { _lsst_refuse "$1"; return; }
    IFS=" " read -r version folder <<<"$found"
    if [ -n "${2-}" ] && [ "$2" != "$version" ]; then
        echo "setup: $1 is here in version $version, not $2" >&2
        return 1
    fi
    _lsst_mark "$1" "$version" "$folder"
}

unsetup() {
    [ $# -eq 1 ] || { echo 'setup: usage: unsetup PRODUCT' >&2; return 2; }
    unset "SETUP_${1^^}" "${1^^}_DIR"
}

eups() {
    if [ "${1-}" != list ]; then
        echo 'eups: this stack is made of PyPI packages: only "eups list" works here' >&2
        return 2
    fi
    local name version folder variable
    while IFS=" " read -r name version folder; do
        variable=SETUP_${name^^}
        printf '%-28s %-16s %s\n' "$name" "$version" "${!variable:+setup}"
    done <"$LSST_STACK/products.txt"
}

export -f setup unsetup eups _lsst_product _lsst_names _lsst_mark _lsst_refuse _lsst_distrib _lsst_local

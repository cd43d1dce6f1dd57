# The LSST stack with packages from PyPI. Source this file in bash:
#
#   . loadLSST.bash
#   setup lsst_distrib
#
# The file defines the EUPS commands that users need most: `setup PRODUCT`, `setup -r FOLDER`, `unsetup PRODUCT` and
# `eups list`. products.txt in the same folder lists the products of the stack.

LSST_STACK=$(CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export LSST_STACK
export EUPS_PATH=$LSST_STACK
case :$PATH: in
    *":$LSST_STACK/python/bin:"*) ;;
    *) export PATH=$LSST_STACK/python/bin:$PATH ;;
esac

_lsst_product() { # PRODUCT: prints the version and the folder of a product, or fails if the stack lacks the product
    local name version folder
    while IFS=" " read -r name version folder; do
        [ "$name" = "$1" ] && printf '%s %s\n' "$version" "$folder" && return 0
    done <"$LSST_STACK/products.txt"
    return 1
}

_lsst_names() { # FILE: prints on one line the names of products, which are the first words of the lines in the file
    local name rest names=()
    while IFS=" " read -r name rest; do names+=("$name"); done <"$1"
    printf '%s' "${names[*]}"
}

_lsst_mark() { # PRODUCT VERSION FOLDER: exports SETUP_<PRODUCT> and <PRODUCT>_DIR, as `setup` of EUPS does
    export "SETUP_${1^^}=$1 $2" "${1^^}_DIR=$3"
}

_lsst_refuse() { # PRODUCT: prints the reason why this stack cannot set up the product, and fails
    if grep -qx -- "$1" "$LSST_STACK/missing.txt"; then
        printf 'setup: %s is a product of lsst_distrib, but not in this stack, which is from PyPI.\n' "$1"
        printf 'setup: this stack has: %s\n' "$(_lsst_names "$LSST_STACK/products.txt")"
        printf 'setup: for all products choose an image with the full stack, or build one: --build-arg STACK=IMAGE.\n'
    else
        printf 'setup: no product %s. This stack has: %s\n' "$1" "$(_lsst_names "$LSST_STACK/products.txt")"
    fi >&2
    return 1
}

_lsst_distrib() { # sets up all products of this stack. In a terminal, also lists them and the products that are missing
    local name version folder
    while IFS=" " read -r name version folder; do
        _lsst_mark "$name" "$version" "$folder"
    done <"$LSST_STACK/products.txt"
    IFS=" " read -r version folder <<<"$(_lsst_product daf_butler)"
    _lsst_mark lsst_distrib "pypi_$version" "$LSST_STACK"
    [[ $- == *i* ]] || return 0 # a script prints no lists of products
    {
        printf 'setup: lsst_distrib from PyPI (%s): %s\n' "$version" "$(_lsst_names "$LSST_STACK/products.txt")"
        printf 'setup: not in this stack: %s\n' "$(_lsst_names "$LSST_STACK/missing.txt")"
    } | fold -s -w "${COLUMNS:-80}" >&2
}

_lsst_local() { # FOLDER: sets up a user's own checkout of a product, as EUPS does with `setup -r`
    local folder name
    folder=$(CDPATH="" cd -- "$1" 2>/dev/null && pwd) || {
        printf 'setup: cannot open folder %s: check the path\n' "$1" >&2
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
    local row version folder
    while [[ ${1-} == -* ]]; do
        case $1 in
            -j | -k | -v | -jk | -kj) shift ;; # no effect, because this stack never sets up dependencies of a product
            -r | -jr | -kr)
                [ $# -ge 2 ] || { echo "$usage" >&2; return 2; }
                _lsst_local "$2"
                return
                ;;
            -t | --tag)
                echo 'setup: this stack has no tags, and one version of each product: leave out -t' >&2
                return 2
                ;;
            *)
                echo "setup: this stack does not support option $1" >&2
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
    row=$(_lsst_product "$1") || { _lsst_refuse "$1"; return; }
    IFS=" " read -r version folder <<<"$row"
    if [ -n "${2-}" ] && [ "$2" != "$version" ]; then
        echo "setup: this stack has version $version of $1, not $2: leave out the version" >&2
        return 1
    fi
    _lsst_mark "$1" "$version" "$folder"
}

unsetup() {
    [ $# -eq 1 ] || { echo 'unsetup: usage: unsetup PRODUCT' >&2; return 2; }
    unset "SETUP_${1^^}" "${1^^}_DIR"
}

eups() {
    if [ "${1-}" != list ]; then
        echo 'eups: this stack has packages from PyPI and supports only "eups list"' >&2
        return 2
    fi
    local name version folder variable
    while IFS=" " read -r name version folder; do
        variable=SETUP_${name^^}
        printf '%-28s %-16s %s\n' "$name" "$version" "${!variable:+setup}"
    done <"$LSST_STACK/products.txt"
}

export -f setup unsetup eups _lsst_product _lsst_names _lsst_mark _lsst_refuse _lsst_distrib _lsst_local

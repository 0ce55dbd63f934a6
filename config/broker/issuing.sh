# What the scripts of the CA share; they read it with `.`. OpenSSL 3.0 and newer.

set -eu
umask 077
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
OPENSSL_CONF=$here/openssl.cnf
GARDU_HOST=DNS:none
export OPENSSL_CONF GARDU_HOST GARDU_CA

# Clocks of gateways lag behind until they hear from the network: what is issued today must already be valid for them.
valid_from=$(date -u -d '30 days ago' +%Y%m%d%H%M%SZ)
renew_before_s=2592000

# fail TEXT [STATUS]: one line, whatever was typed, and the end.
fail() {
    printf '%s: %s' "${0##*/}" "$1" | tr '[:cntrl:]' '?' >&2
    echo >&2
    exit "${2:-1}"
}

# use_authority FOLDER: work with the CA in it, alone.
use_authority() {
    if [ ! -f "$1/ca.key" ] || [ ! -f "$1/ca.pem" ]; then
        fail "there is no CA in $1: make it with $here/ca $1"
    fi
    GARDU_CA=$(cd "$1" && pwd)
    lock_authority
}

lock_authority() {
    exec 9>"$GARDU_CA/lock"
    flock 9
}

# quietly COMMAND…: run it; what it says is heard only if it fails.
quietly() {
    if ! said=$("$@" 2>&1); then
        fail "$1 $2 failed: $(printf '%s' "$said" | tail -n 1)"
    fi
}

# make_key FILE: unless it is there. A key is never overwritten.
make_key() {
    if [ ! -e "$1" ]; then
        quietly openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.part"
        mv -n "$1.part" "$1"
    fi
}

# certify KIND DAYS REQUEST FILE [OPTION…]: a certificate for a request, written to FILE and into the CA's book.
certify() {
    kind=$1 days=$2 request=$3 file=$4
    shift 4
    # Not `openssl x509`: how that is told a start in the past changed with OpenSSL 3.4.
    quietly openssl ca -batch -notext -extensions "$kind" -startdate "$valid_from" \
        -enddate "$(date -u -d "$days days" +%Y%m%d%H%M%SZ)" -in "$request" -out "$file" "$@"
}

# issue KIND NAME STEM DAYS [OPTION…]: the key STEM.key and the certificate STEM.pem, as far as they are not there.
# A certificate with less than 30 days left is issued anew, for the same key.
issue() {
    kind=$1 name=$2 stem=$3 days=$4
    shift 4
    if [ -e "$stem.pem" ]; then
        [ -e "$stem.key" ] || fail "$stem.pem is there, but not its key: move the certificate away to make both anew"
        if openssl x509 -in "$stem.pem" -noout -checkend "$renew_before_s" >/dev/null 2>&1; then
            echo "$stem.pem is already there"
            return
        fi
    fi
    make_key "$stem.key"
    quietly openssl req -new -key "$stem.key" -subj "/CN=$name" -out "$stem.request"
    certify "$kind" "$days" "$stem.request" "$stem.part" "$@"
    rm "$stem.request"
    chmod 644 "$stem.part"
    mv "$stem.part" "$stem.pem"
    echo "$stem.pem"
}

# list_revoked: make crl.pem anew. It does not run out before the CA: an old list would shut out every gateway.
list_revoked() {
    quietly openssl ca -gencrl -crl_lastupdate "$valid_from" \
        -crl_nextupdate "$(date -u -d '7300 days' +%Y%m%d%H%M%SZ)" -out "$GARDU_CA/crl.part"
    chmod 644 "$GARDU_CA/crl.part"
    mv "$GARDU_CA/crl.part" "$GARDU_CA/crl.pem"
}

# check_id ID: whether it can be a gateway's.
check_id() {
    case $1 in
        '' | -* | *[!a-z0-9-]*) fail "\"$1\" is no gateway id: a-z, 0-9 and -, not first -" 2 ;;
    esac
    [ "${#1}" -le 32 ] || fail "\"$1\" is no gateway id: it is longer than 32" 2
}

# Functions shared by the scripts of the CA, which source this file. Needs OpenSSL 3.0 or newer.

set -eu
umask 077
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
OPENSSL_CONF=$here/openssl.cnf
GARDU_HOST=DNS:none
export OPENSSL_CONF GARDU_HOST GARDU_CA

# A gateway's clock may be behind until it reaches the network, so certificates must already be valid in the past.
valid_from=$(date -u -d '30 days ago' +%Y%m%d%H%M%SZ)
renew_before_s=2592000

# fail TEXT [STATUS]: print one line, without control characters, and exit.
fail() {
    printf '%s: %s' "${0##*/}" "$1" | tr '[:cntrl:]' '?' >&2
    echo >&2
    exit "${2:-1}"
}

# use_authority FOLDER: use the CA in FOLDER, and lock it.
use_authority() {
    if [ ! -f "$1/ca.key" ] || [ ! -f "$1/ca.pem" ]; then
        fail "there is no CA in $1: create it with $here/ca $1"
    fi
    GARDU_CA=$(cd "$1" && pwd)
    lock_authority
}

lock_authority() {
    exec 9>"$GARDU_CA/lock"
    flock 9
}

# quietly COMMAND…: run a command; show its last line of output only if it fails.
quietly() {
    if ! said=$("$@" 2>&1); then
        fail "$1 $2 failed: $(printf '%s' "$said" | tail -n 1)"
    fi
}

# make_key FILE: create a key if FILE does not exist. A key is never overwritten.
make_key() {
    if [ ! -e "$1" ]; then
        quietly openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.part"
        mv -n "$1.part" "$1"
    fi
}

# certify KIND DAYS REQUEST FILE [OPTION…]: issue a certificate for a request; write it to FILE and to the CA's index.
certify() {
    kind=$1 days=$2 request=$3 file=$4
    shift 4
    # Not `openssl x509`: its option for a start date in the past changed with OpenSSL 3.4.
    quietly openssl ca -batch -notext -extensions "$kind" -startdate "$valid_from" \
        -enddate "$(date -u -d "$days days" +%Y%m%d%H%M%SZ)" -in "$request" -out "$file" "$@"
}

# issue KIND NAME STEM DAYS [OPTION…]: create the key STEM.key and the certificate STEM.pem if they do not exist.
# A certificate with less than 30 days left is replaced by a new one for the same key.
issue() {
    kind=$1 name=$2 stem=$3 days=$4
    shift 4
    if [ -e "$stem.pem" ]; then
        [ -e "$stem.key" ] || fail "$stem.pem exists, but its key does not: move the certificate away to create both again"
        if openssl x509 -in "$stem.pem" -noout -checkend "$renew_before_s" >/dev/null 2>&1; then
            echo "$stem.pem already exists"
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

# list_revoked: update crl.pem. It does not expire before the CA: an expired list would lock out every gateway.
list_revoked() {
    quietly openssl ca -gencrl -crl_lastupdate "$valid_from" \
        -crl_nextupdate "$(date -u -d '7300 days' +%Y%m%d%H%M%SZ)" -out "$GARDU_CA/crl.part"
    chmod 644 "$GARDU_CA/crl.part"
    mv "$GARDU_CA/crl.part" "$GARDU_CA/crl.pem"
}

# check_id ID: fail unless it is a valid gateway id.
check_id() {
    case $1 in
        '' | -* | *[!a-z0-9-]*) fail "\"$1\" is not a valid gateway id: use a-z, 0-9 and -, not starting with -" 2 ;;
    esac
    [ "${#1}" -le 32 ] || fail "\"$1\" is not a valid gateway id: it is longer than 32 characters" 2
}

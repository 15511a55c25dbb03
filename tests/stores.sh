#!/usr/bin/env bash
# Everything that a farm asks of its object store, asked of stores that speak like the clouds': Azurite (Azure) and
# versitygw (S3). What an emulator doesn't check (signatures, expiry) is told. Google's has none that can be asked: fake-gcs-server
# knows the JSON interface, and a farm uses the XML one; with a true bucket: stores gcs https://storage.googleapis.com BUCKET KEYFILE
#
#   tests/stores.sh [azure] [s3]      both when none is named
#
# Needs node with npm for Azure and Go for S3, and their registries once: about two minutes of installing, which is too much
# for every run of CI; the emulators stay in TARGET/stores. Listens on the loopback only. moto is met by upload-benchmark.sh
# and farm-demo.sh.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$top/target}
tools=$target/stores

azurite_version=3.35.0
versitygw_version=v1.8.0

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'stores: %s\n' "$*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || fail "$1 is missing; install $2"; }

work=$(mktemp -d "${TMPDIR:-/tmp}/kiln-stores.XXXXXX")
servers=()
end() {
    [ ${#servers[@]} = 0 ] || { kill "${servers[@]}" 2>/dev/null || true; wait "${servers[@]}" 2>/dev/null || true; }
    rm -rf "$work"
}
trap end EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# answers URL: waits until something does, whatever it says.
answers() {
    for _ in $(seq 300); do
        ! curl -s -o /dev/null --max-time 5 "$1" || return 0
        sleep 0.2
    done
    fail "nothing answers at $1: $(cat "$work"/*.log)"
}

from_go() {
    [ -x "$tools/bin/$1" ] || {
        need go "Go"
        say "Installing $1"
        GOBIN=$tools/bin go install "$2"
    }
}

azure() {
    local port
    [ -x "$tools/node_modules/.bin/azurite-blob" ] || {
        need npm "node and npm"
        say "Installing Azurite"
        mkdir -p "$tools"
        npm install --silent --prefix "$tools" "azurite@$azurite_version"
    }
    port=$(free_port)
    "$tools/node_modules/.bin/azurite-blob" --blobHost 127.0.0.1 --blobPort "$port" -l "$work/azure" --silent \
        --skipApiVersionCheck >"$work/azure.log" 2>&1 &
    servers+=($!)
    answers "http://127.0.0.1:$port/"
    python3 - "http://127.0.0.1:$port" <<'PYTHON' || fail "no container can be made"
import base64, datetime, hashlib, hmac, sys, urllib.request
account = "devstoreaccount1"
key = base64.b64decode("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==")
date = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
signed = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:2021-08-06\n/{account}/{account}/images\nrestype:container"
signature = base64.b64encode(hmac.new(key, signed.encode(), hashlib.sha256).digest()).decode()
headers = {"x-ms-date": date, "x-ms-version": "2021-08-06", "Content-Length": "0", "Content-Type": "",
           "Authorization": f"SharedKey {account}:{signature}"}
url = f"{sys.argv[1]}/{account}/images?restype=container"
urllib.request.urlopen(urllib.request.Request(url, method="PUT", data=b"", headers=headers))
PYTHON
    say "Azure Blob Storage, as Azurite has it"
    "$exercise" azure "http://127.0.0.1:$port/devstoreaccount1" images
}

s3() {
    local port
    from_go versitygw "github.com/versity/versitygw/cmd/versitygw@$versitygw_version"
    port=$(free_port)
    mkdir -p "$work/s3/images"
    ROOT_ACCESS_KEY=kiln ROOT_SECRET_KEY=kilnkiln "$tools/bin/versitygw" --port "127.0.0.1:$port" posix "$work/s3" \
        >"$work/s3.log" 2>&1 &
    servers+=($!)
    answers "http://127.0.0.1:$port/"
    say "S3, as versitygw has it"
    "$exercise" s3 "http://127.0.0.1:$port" images
}

need curl curl
need python3 python3
exercise=${STORES:-}
if [ -z "$exercise" ]; then
    (cd "$top" && cargo build -q -p kiln-tests --bin stores)
    exercise=$target/debug/stores
fi
[ $# -gt 0 ] || set -- azure s3
for store in "$@"; do
    case $store in
        azure | s3) "$store" ;;
        *) fail "$store is neither azure nor s3" ;;
    esac
done

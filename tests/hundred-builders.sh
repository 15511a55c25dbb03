#!/usr/bin/env bash
# Measures what Kiln itself costs: a hundred `null` builders with one `shell-local` provisioner each, in both notations.
#
#   tests/hundred-builders.sh
#
# Prints a table with the aims and fails when one is missed. KILN names the program (default: the release build), PACKER another one to
# set beside it (default: `packer` where there is one; `none` for no comparison). The times are the best of several runs, since
# other work on the machine only ever makes them worse.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
kiln=${KILN:-${CARGO_TARGET_DIR:-$top/target}/release/kiln}
packer=${PACKER:-packer}
builders=100

fail() { printf 'hundred-builders: %s\n' "$*" >&2; exit 1; }

write_hcl() {
    local n
    for ((n = 0; n < builders; n++)); do
        printf 'source "null" "b%d" {\n  communicator = "none"\n}\n\n' "$n"
    done
    printf 'build {\n  sources = [\n'
    for ((n = 0; n < builders; n++)); do
        printf '    "source.null.b%d",\n' "$n"
    done
    printf '  ]\n\n  provisioner "shell-local" {\n    inline = ["true"]\n  }\n}\n'
}

write_json() {
    local n comma=
    printf '{\n  "builders": [\n'
    for ((n = 0; n < builders; n++)); do
        printf '%s    { "type": "null", "name": "b%d", "communicator": "none" }' "$comma" "$n"
        comma=$',\n'
    done
    printf '\n  ],\n  "provisioners": [{ "type": "shell-local", "inline": ["true"] }]\n}\n'
}

field() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1" "$2"; }

# cost PROGRAM RUNS ARGUMENT...: prints "seconds megabytes processes". Times without, the rest with the sampling that would disturb them.
cost() {
    local program=$1 runs=$2 name wall best='' run out=$work/cost.json
    shift 2
    name=$(basename "$program")
    for ((run = 0; run < runs; run++)); do
        timeout 300 "$top/tests/measure.py" --out "$out" "$program" "$@" >"$work/output" 2>&1 ||
            fail "$name $* failed: $(tail -n 5 "$work/output")"
        wall=$(field "$out" wall)
        best=$(printf '%s\n' "${best:-$wall}" "$wall" | sort -g | head -n 1)
    done
    local alone sampled
    alone=$(field "$out" memory)
    timeout 300 "$top/tests/measure.py" --sample 0.01 --name "$name" --out "$out" "$program" "$@" >"$work/output" 2>&1 ||
        fail "$name $* failed: $(tail -n 5 "$work/output")"
    # A sample can miss a short peak of a single process; the kernel's own record of it cannot.
    sampled=$(field "$out" memory)
    [ "$sampled" -ge "$alone" ] || sampled=$alone
    printf '%s %s %s\n' "$best" "$((sampled / 1048576))" "$(field "$out" processes)"
}

# row LABEL SECONDS-AIM MEGABYTES-AIM RUNS ARGUMENT...
row() {
    local label=$1 time_aim=$2 memory_aim=$3 runs=$4 seconds megabytes processes other='' met=yes
    shift 4
    read -r seconds megabytes processes < <(cost "$kiln" "$runs" "$@")
    [ -n "$seconds" ] || exit 1
    if [ "$packer" != none ]; then
        other=$(cost "$packer" 1 "$@")
    fi
    python3 -c 'import sys; sys.exit(float(sys.argv[1]) > float(sys.argv[2]))' "$seconds" "$time_aim" || met=no
    [ "$megabytes" -le "$memory_aim" ] || met=no
    [ "$met" = yes ] || missed=yes
    # shellcheck disable=SC2086 # three words, or none
    printf '%-15s %8.3f %8s %8d %8d %10d  %-4s %10s %8s %10s\n' "$label" "$seconds" "$time_aim" "$megabytes" "$memory_aim" \
        "$processes" "$met" ${other:-- - -}
}

main() {
    [ -x "$kiln" ] || command -v "$kiln" >/dev/null || fail "no $kiln; run cargo build --release -p kiln-cli"
    command -v "$packer" >/dev/null || packer=none
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    export CHECKPOINT_DISABLE=1 PACKER_CACHE_DIR=$work/cache
    missed=no
    write_hcl >"$work/hundred.pkr.hcl"
    write_json >"$work/hundred.json"
    printf '%s builders; seconds, megabytes (sum over the processes of that name), processes\n' "$builders"
    printf '%-15s %8s %8s %8s %8s %10s  %-4s %10s %8s %10s\n' '' kiln aim MB aim processes met packer MB processes
    row 'version' 0.020 120 10 version
    row 'validate hcl' 0.200 120 5 validate "$work/hundred.pkr.hcl"
    row 'validate json' 0.200 120 5 validate "$work/hundred.json"
    row 'build hcl' 1.500 120 3 build "$work/hundred.pkr.hcl"
    row 'build json' 1.500 120 3 build "$work/hundred.json"
    [ "$missed" = no ] || fail "an aim was missed"
}

main "$@"

#!/usr/bin/env bash
# Builds examples/debian-nginx with Debian's packer and with Kiln, one after the other on this machine, and compares what it took.
#
#   tests/side-by-side.sh [--hcl]
#
# Both get the same JSON template and the same base disk, both emulate (TCG). With --hcl Kiln also builds the HCL2 template. The pages that
# the finished images serve must be the same. The last line is the ratio of the two wall times. KILN and PACKER name other programs.
# About ten minutes.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$top/target}
kiln=${KILN:-$target/release/kiln}
packer=${PACKER:-packer}
example=$top/examples/debian-nginx
base=$target/guests/debian-base.qcow2
work=$target/side-by-side

say() { printf 'side-by-side: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

field() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1])).get(sys.argv[2], 0))' "$work/$1.json" "$2"; }

# build LABEL PROGRAM TEMPLATE
build() {
    local label=$1 program=$2 template=$3
    rm -rf "${work:?}/$label"
    # Nobody shall profit from having the base disk in memory already, so everybody does.
    cat "$base" >/dev/null
    say "building with $label; output in $work/$label.log"
    timeout 1800 "$top/tests/measure.py" --sample 0.2 --name "$(basename "$program")" --out "$work/$label.json" \
        "$program" build -color=false -timestamp-ui -var "base_disk=$base" -var "output_directory=$work/$label" "$template" \
        >"$work/$label.log" 2>&1 || {
        tail -n 20 "$work/$label.log" >&2
        fail "$label failed"
    }
    "$top/tests/boot-result.sh" "$work/$label/debian-nginx.qcow2" >"$work/$label.page"
}

image_megabytes() { du -m "$work/$1/debian-nginx.qcow2" | cut -f 1; }

megabytes() { printf '%s' "$(($(field "$1" memory) / 1048576))"; }

table() {
    local label
    printf '%-10s %10s %12s %16s %16s %10s\n' '' 'wall s' 'CPU s, all' 'CPU s, program' 'MB, program' 'image MB'
    for label in "$@"; do
        printf '%-10s %10s %12s %16s %16s %10s\n' "$label" "$(field "$label" wall)" "$(field "$label" cpu)" \
            "$(field "$label" program_cpu)" "$(megabytes "$label")" "$(image_megabytes "$label")"
    done
}

main() {
    local labels=(packer kiln) label
    "$top/install-tools.sh"
    command -v "$packer" >/dev/null || "$top/install-tools.sh" --with packer
    [ -x "$kiln" ] || command -v "$kiln" >/dev/null || fail "no $kiln; run cargo build --release -p kiln-cli"
    mkdir -p "$work"
    "$example/make-base-disk.sh" "$base"
    export CHECKPOINT_DISABLE=1 PACKER_CACHE_DIR=$work/cache
    build packer "$packer" "$example/debian-nginx.json"
    build kiln "$kiln" "$example/debian-nginx.json"
    if [ "${1:-}" = --hcl ]; then
        build kiln-hcl "$kiln" "$example/debian-nginx.pkr.hcl"
        labels+=(kiln-hcl)
    fi
    for label in "${labels[@]}"; do
        cmp -s "$work/packer.page" "$work/$label.page" || fail "the image of $label serves another page than packer's"
    done
    say 'all images serve the same page'
    table "${labels[@]}"
    python3 -c 'import sys; print(f"wall ratio kiln/packer: {float(sys.argv[1]) / float(sys.argv[2]):.2f}")' \
        "$(field kiln wall)" "$(field packer wall)"
}

main "$@"

#!/usr/bin/env bash
# From a bare machine to a running image: installs what is needed, builds Kiln, builds examples/debian-nginx with it, boots the
# image and asks its web server for the page. Can be run again; what is there already is used.
#
# KILN names another program to build with, KILN_TEMPLATE another template (both for trying this script out).
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${CARGO_TARGET_DIR:-$top/target}
base=$target/guests/debian-base.qcow2
image_directory=$target/demo/image
log=$target/demo/build.log

say() { printf '\n== %s\n' "$*"; }

build_kiln() {
    if [ -n "${KILN:-}" ]; then
        kiln=$KILN
        return
    fi
    say "Building Kiln"
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    (cd "$top" && cargo build --release -p kiln-cli)
    kiln=$target/release/kiln
}

# Kiln tries the accelerator out; the image is booted with what it found, and with the one that always works where it said nothing.
accelerator_used() {
    local used
    used=$(grep -ioE 'accelerator[^a-z]*(kvm|tcg)' "$log" | grep -ioE '(kvm|tcg)' | head -n 1 || true)
    printf '%s\n' "${used:-tcg}" | tr '[:upper:]' '[:lower:]'
}

main() {
    local image=$image_directory/debian-nginx.qcow2 page
    say "Installing tools"
    "$top/install-tools.sh"
    build_kiln
    say "Making the disk to start from"
    "$top/examples/debian-nginx/make-base-disk.sh" "$base"
    mkdir -p "$target/demo"
    say "Building the image"
    timeout 2400 "$kiln" build -force -var "base_disk=$base" -var "output_directory=$image_directory" \
        "${KILN_TEMPLATE:-$top/examples/debian-nginx}" 2>&1 | tee "$log"
    say "Booting the image"
    page=$("$top/tests/boot-result.sh" "$image" "$(accelerator_used)")
    printf '%s\n' "$page"
    case $page in
        *'<h1>Kiln</h1>'*) ;;
        *) say "the page is not the one that the playbook wrote" && return 1 ;;
    esac
    say "It works. The image is $image"
}

main "$@"

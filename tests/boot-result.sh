#!/usr/bin/env bash
# Boots a finished image and asks its web server for the page: the proof that a build produced a machine that works.
#
#   tests/boot-result.sh IMAGE [ACCELERATOR]
#
# Prints the page on standard output, everything else on standard error. The image is not changed. ACCELERATOR is `tcg` (default) or
# `kvm`. Gives up after KILN_BOOT_TIMEOUT seconds (default 240) and then shows what the guest last said.
set -euo pipefail

say() { printf 'boot-result: %s\n' "$*" >&2; }

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

stop() {
    if [ -n "${qemu:-}" ]; then
        kill -9 "$qemu" 2>/dev/null || true
        wait "$qemu" 2>/dev/null || true
    fi
    rm -rf "$work"
}

main() {
    local image=${1:?usage: boot-result.sh IMAGE [ACCELERATOR]} accelerator=${2:-tcg}
    local limit=${KILN_BOOT_TIMEOUT:-240} port format cpu=max page
    format=$(qemu-img info --output=json "$image" | python3 -c 'import json, sys; print(json.load(sys.stdin)["format"])')
    [ "$accelerator" = tcg ] || cpu=host
    work=$(mktemp -d)
    trap stop EXIT
    port=$(free_port)
    qemu-system-x86_64 -accel "$accelerator" -cpu "$cpu" -smp 2 -m 512 -display none -serial "file:$work/serial" -snapshot \
        -drive "file=$image,format=$format,if=virtio" \
        -netdev "user,id=net,hostfwd=tcp:127.0.0.1:$port-:80" -device virtio-net,netdev=net </dev/null >&2 &
    qemu=$!
    say "booting $image with $accelerator"
    SECONDS=0
    # The forwarded port accepts before the guest does, so only a whole answer counts.
    until page=$(curl --noproxy '*' --silent --fail --max-time 5 "http://127.0.0.1:$port/"); do
        if ! kill -0 "$qemu" 2>/dev/null || [ "$SECONDS" -ge "$limit" ]; then
            say "no page after $SECONDS s; the guest's last words:"
            tail -n 15 "$work/serial" >&2 || true
            return 1
        fi
        sleep 1
    done
    say "answered $SECONDS s after power-on"
    printf '%s\n' "$page"
}

main "$@"

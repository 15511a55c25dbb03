#!/usr/bin/env bash
# Boots the small guest in every way it promises to boot and uses what it promises to have.
#
#   tests/guest/check-small-guest.sh GUESTDIR [CASE...]
#
# Needed after a change of the guest's recipe or with a new distribution; the tests of Kiln itself rely on the outcome.
# Prints the time from power-on to SSH for each way of booting. Everything runs under TCG.
set -euo pipefail

cases=(direct disk prompt uefi iso install media)

say() { printf 'check-small-guest: %s\n' "$*"; }
fail() {
    say "$*" >&2
    tail -n 5 "$work"/*.serial >&2 2>/dev/null || true
    exit 1
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# start NAME QEMU-ARGUMENT...
start() {
    local name=$1
    shift
    port=$(free_port)
    serial=$work/$name.serial
    : >"$serial"
    qemu-system-x86_64 -accel tcg -m 512 -display none -serial "file:$serial" -qmp "unix:$work/qmp,server,nowait" \
        -netdev "user,id=net,hostfwd=tcp:127.0.0.1:$port-:22" -device virtio-net,netdev=net "$@" </dev/null &
    qemu=$!
    started=$(date +%s%N)
}

stop() {
    [ -z "${qemu:-}" ] || kill -9 "$qemu" 2>/dev/null || true
    wait "${qemu:-}" 2>/dev/null || true
    qemu=
}

await_end() {
    local tries=0
    while kill -0 "$qemu" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || fail "guest still runs 30 s after $1"
        sleep 0.1
    done
    qemu=
}

# await_text TEXT [TIMES]: until the serial console has shown it that often.
await_text() {
    local text=$1 times=${2:-1} tries=0
    until [ "$(grep -a -c -- "$text" "$serial")" -ge "$times" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 900 ] || fail "no \"$text\" on the serial console within 90 s"
        kill -0 "$qemu" 2>/dev/null || fail "QEMU ended while waiting for \"$text\""
        sleep 0.1
    done
}

await_banner() {
    local tries=0 banner=
    until [[ $banner == SSH-* ]]; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || fail "no SSH banner"
        banner=$(timeout 2 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; read -r -t 2 line <&3; printf '%s' \"\$line\"" 2>/dev/null || true)
        sleep 0.1
    done
    local tenths=$((($(date +%s%N) - started) / 100000000))
    say "$1: SSH $((tenths / 10)).$((tenths % 10)) s after power-on"
}

# monitor COMMAND [ARGUMENTS-AS-JSON]
monitor() {
    printf '{"execute":"qmp_capabilities"}{"execute":"%s"%s}\n' "$1" "${2:+,\"arguments\":$2}" |
        socat -t 1 - "UNIX-CONNECT:$work/qmp" >/dev/null
}

type_word() {
    local word=$1 letter
    while [ -n "$word" ]; do
        letter=${word:0:1}
        word=${word:1}
        monitor send-key "{\"keys\":[{\"type\":\"qcode\",\"data\":\"$letter\"}]}"
    done
    monitor send-key '{"keys":[{"type":"qcode","data":"ret"}]}'
}

ssh_options=(-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=20)

by_key() {
    timeout 40 ssh "${ssh_options[@]}" -o BatchMode=yes -i "$work/key" -p "$port" "root@127.0.0.1" "$@" </dev/null
}

# by_password USER PASSWORD COMMAND
by_password() {
    printf '#!/bin/sh\necho %s\n' "$2" >"$work/askpass"
    chmod 700 "$work/askpass"
    SSH_ASKPASS=$work/askpass SSH_ASKPASS_REQUIRE=force DISPLAY=none timeout 40 ssh "${ssh_options[@]}" \
        -o PubkeyAuthentication=no -o NumberOfPasswordPrompts=1 -p "$port" "$1@127.0.0.1" "$3" </dev/null
}

key_word() { printf 'kiln.key=%s' "$(base64 -w 0 "$work/key.pub")"; }

check_direct() {
    start direct -kernel "$guest/kernel" -initrd "$guest/initrd.img" -append "console=ttyS0 console=tty0 $(key_word)"
    await_banner direct
    [ "$(by_key id -u)" = 0 ] || fail "no login with a key"
    [ "$(by_password root kiln 'id -un')" = root ] || fail "no login as root with the password"
    [ "$(by_password kiln kiln 'id -un')" = kiln ] || fail "no login as kiln with the password"
    ! by_password root wrong true 2>/dev/null || fail "a wrong password was accepted"
    head -c 300000 /dev/urandom >"$work/blob"
    local mode
    for mode in -O -s; do
        timeout 60 scp "$mode" "${ssh_options[@]}" -i "$work/key" -P "$port" "$work/blob" root@127.0.0.1:/tmp/blob
        timeout 60 scp "$mode" "${ssh_options[@]}" -i "$work/key" -P "$port" root@127.0.0.1:/tmp/blob "$work/back"
        cmp "$work/blob" "$work/back" || fail "scp $mode changed the file"
    done
    monitor system_powerdown
    await_end "the power button"
}

check_disk() {
    qemu-img create -q -f qcow2 -b "$guest/small.qcow2" -F qcow2 "$work/disk.qcow2"
    start disk -drive "file=$work/disk.qcow2,if=virtio"
    await_banner disk
    by_password root kiln 'echo kept >/root/file; reboot'
    await_text 'kiln guest: ready' 2
    [ "$(by_password root kiln 'cat /root/file')" = kept ] || fail "a file did not survive the restart"
    by_password root kiln poweroff
    await_end poweroff
    start disk-again -drive "file=$work/disk.qcow2,if=ide"
    await_banner 'disk behind IDE'
    [ "$(by_password root kiln 'cat /root/file')" = kept ] || fail "a file did not survive power-off"
    stop
}

check_prompt() {
    start prompt -snapshot -drive "file=$guest/small-prompt.qcow2,if=virtio"
    await_text 'boot:'
    type_word linux
    await_banner 'disk with prompt'
    stop
}

check_uefi() {
    cp /usr/share/OVMF/OVMF_VARS_4M.fd "$work/vars.fd"
    start uefi -M q35 -snapshot -drive "file=$guest/small.qcow2,if=virtio" \
        -drive if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd \
        -drive "if=pflash,unit=1,format=raw,file=$work/vars.fd"
    await_banner UEFI
    stop
}

check_iso() {
    start iso -cdrom "$guest/small.iso"
    await_text 'boot:'
    type_word linux
    await_banner ISO
    stop
}

check_install() {
    qemu-img create -q -f qcow2 "$work/target.qcow2" 2G
    start install -boot once=d -drive "file=$work/target.qcow2,if=virtio" -cdrom "$guest/small.iso"
    await_text 'boot:'
    type_word install
    await_text 'installed, restarting'
    await_banner 'installed from ISO'
    by_password root kiln 'mount | grep -q "vda2 on / "' || fail "the installed guest does not run from its disk"
    by_password root kiln poweroff
    await_end poweroff
}

check_media() {
    mkdir "$work/media" "$work/www"
    printf 'echo from-cd >/root/cd\n' >"$work/media/kiln.sh"
    printf 'echo from-http >/root/http\n' >"$work/www/script"
    xorriso -as mkisofs -quiet -V cidata -J -R -o "$work/cidata.iso" "$work/media" 2>/dev/null
    local http_port
    http_port=$(free_port)
    (cd "$work/www" && exec python3 -m http.server --bind 127.0.0.1 "$http_port" >/dev/null 2>&1) &
    http=$!
    start media -cdrom "$work/cidata.iso" -kernel "$guest/kernel" -initrd "$guest/initrd.img" \
        -append "console=ttyS0 $(key_word) kiln.fetch=http://10.0.2.2:$http_port/script"
    await_text 'kiln guest: ready'
    [ "$(by_key cat /root/cd /root/http | tr '\n' ' ')" = 'from-cd from-http ' ] || fail "scripts from CD and HTTP did not run"
    stop
    kill "$http"
}

# Only the generic kernel drives floppies, so this case is run by name.
check_floppy() {
    printf 'echo from-floppy >/root/floppy\n' >"$work/kiln.sh"
    mkfs.vfat -C "$work/floppy.img" 1440 >/dev/null
    mcopy -i "$work/floppy.img" "$work/kiln.sh" ::kiln.sh
    start floppy -drive "if=floppy,format=raw,file=$work/floppy.img" -kernel "$guest/kernel" -initrd "$guest/initrd.img" \
        -append "console=ttyS0 $(key_word)"
    await_text 'kiln guest: ready'
    [ "$(by_key cat /root/floppy)" = from-floppy ] || fail "the script on the floppy did not run"
    stop
}

main() {
    guest=$(cd "${1:?usage: check-small-guest.sh GUESTDIR [CASE...]}" && pwd)
    shift
    [ $# -eq 0 ] || cases=("$@")
    work=$(mktemp -d)
    trap 'stop; rm -rf "$work"' EXIT
    ssh-keygen -q -t ed25519 -N '' -f "$work/key"
    local name
    for name in "${cases[@]}"; do
        "check_$name"
        say "$name: good"
    done
}

main "$@"

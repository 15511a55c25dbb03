#!/usr/bin/env bash
# Makes the small guest that the tests boot: Debian's kernel, BusyBox and dropbear, at SSH a few seconds after power-on.
#
#   tests/guest/small-guest.sh OUTDIR [cloud|generic]
#
#   OUTDIR/kernel, initrd.img   for direct boot; without `root=` everything lives in RAM
#   OUTDIR/small.qcow2          a disk (BIOS and UEFI) that boots straight away; root is ext4 and keeps what is written
#   OUTDIR/small-prompt.qcow2   the same disk, but it waits at `boot:` for ever until somebody types `linux` and Enter
#   OUTDIR/small.iso            waits at `boot:`; `linux` runs from RAM, `install` writes the first disk and restarts
#
# What the guest understands is described in tests/guest/README.md. The kernel is `cloud` (boots in half the time) unless
# `generic` is asked for, which also drives floppies, AHCI and e1000.
#
# Nothing is installed and no root is needed. A second run finds everything up to date and ends at once.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
disk_mib=1536
boot_mib=48
install_root_mib=96

say() { printf 'small-guest: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

# Everything that the result is made of, the kernel excepted: a newer kernel is no reason to build again.
recipe_version() {
    {
        cat "${BASH_SOURCE[0]}" "$here"/small/*
        dpkg-query -W busybox-static dropbear-bin openssh-sftp-server openssh-client syslinux e2fsprogs
        printf '%s\n' "$flavour"
    } | sha256sum | cut -d ' ' -f 1
}

# Prints the package that carries the kernel of this flavour, whatever the distribution calls it today.
kernel_package() {
    local meta package
    for meta in "$@"; do
        package=$(apt-cache depends "$meta" 2>/dev/null | awk '/Depends: linux-image-[0-9]/ { print $2; exit }')
        if [ -n "$package" ]; then
            printf '%s\n' "$package"
            return
        fi
    done
    fail "apt knows none of $*; run install-tools.sh or apt-get update first"
}

download() {
    (cd "$cache" && apt-get -q -o APT::Sandbox::User=root -o Acquire::Retries=3 download "$1" >/dev/null) ||
        fail "cannot download $1; is the package index up to date (apt-get update)?"
}

# Unpacks the kernel into $work/kernel without installing it: an installed kernel would change the machine's boot.
unpack_kernel() {
    local metas package modules deb
    case $flavour in
        cloud) metas=(linux-image-cloud-amd64 linux-image-virtual) ;;
        generic) metas=(linux-image-amd64 linux-image-generic) ;;
        *) fail "no kernel flavour $flavour; say cloud or generic" ;;
    esac
    package=$(kernel_package "${metas[@]}")
    mkdir -p "$cache" "$work/kernel"
    [ -n "$(find "$cache" -name "${package}_*.deb" -print -quit)" ] || download "$package"
    # Ubuntu keeps the modules in a package of their own.
    modules=${package/linux-image-/linux-modules-}
    if apt-cache show "$modules" >/dev/null 2>&1; then
        [ -n "$(find "$cache" -name "${modules}_*.deb" -print -quit)" ] || download "$modules"
    fi
    for deb in "$cache/${package}"_*.deb "$cache/${modules}"_*.deb; do
        [ ! -e "$deb" ] || dpkg -x "$deb" "$work/kernel"
    done
    if [ ! -e "$work/kernel/lib/modules" ]; then
        mkdir -p "$work/kernel/lib"
        ln -s ../usr/lib/modules "$work/kernel/lib/modules"
    fi
    release=$(basename "$work"/kernel/boot/vmlinuz-*)
    release=${release#vmlinuz-}
    cp "$work"/kernel/boot/vmlinuz-* "$work/out/kernel"
}

# BusyBox' modprobe reads no compressed modules, and loading is faster without.
unpack_module() {
    local from=$1 to
    to=$tree/lib/modules/$release/$(basename "$from")
    case $from in
        *.xz) xz -dc "$from" >"${to%.xz}" ;;
        *.zst) zstd -qdc "$from" >"${to%.zst}" ;;
        *) cp "$from" "$to" ;;
    esac
}

# Which modules a kernel has built in, or lacks, differs from one to the next: take those that there are.
add_modules() {
    local name from
    local wanted=(virtio_pci virtio_blk virtio_net virtio_scsi virtio_rng sd_mod sr_mod ata_piix ata_generic ahci ext4
        isofs vfat nls_cp437 nls_ascii nls_utf8 nls_iso8859-1 floppy e1000 e1000e 8139cp button evdev)
    mkdir -p "$tree/lib/modules/$release"
    depmod -b "$work/kernel" "$release"
    for name in "${wanted[@]}"; do
        modprobe --show-depends -d "$work/kernel" -S "$release" "$name" 2>/dev/null | awk '$1 == "insmod" { print $2 }' || true
    done | sort -u | while read -r from; do
        unpack_module "$from"
    done
    cp "$work/kernel/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} "$tree/lib/modules/$release/"
    depmod -b "$tree" "$release"
}

# Copies a program and the libraries it is linked with.
add_program() {
    local program=$1 to=$2 library
    install -D -m 755 "$program" "$tree/$to"
    ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
        [ -e "$tree$library" ] || install -D -m 755 "$(readlink -f "$library")" "$tree$library"
    done
}

add_user() {
    local name=$1 id=$2 home=$3 hash
    # Few rounds: an emulated CPU checks this password at every login.
    hash=$(openssl passwd -6 -salt kilnguest kiln)
    printf '%s:x:%s:%s::%s:/bin/sh\n' "$name" "$id" "$id" "$home" >>"$tree/etc/passwd"
    printf '%s:x:%s:\n' "$name" "$id" >>"$tree/etc/group"
    printf '%s:%s:19000:0:99999:7:::\n' "$name" "$hash" >>"$tree/etc/shadow"
    install -d -m 700 "$tree$home" "$tree$home/.ssh"
    install -m 600 /dev/null "$tree$home/.ssh/authorized_keys"
    chown -R "$id:$id" "$tree$home"
}

add_host_keys() {
    local kind
    mkdir -p "$tree/etc/dropbear"
    for kind in ed25519 ecdsa rsa; do
        dropbearkey -t "$kind" -f "$tree/etc/dropbear/dropbear_${kind}_host_key" >/dev/null 2>&1
    done
}

make_tree() {
    local applet
    mkdir -p "$tree"/{bin,dev,etc,lib,lib64,mnt,proc,run,sys,tmp,usr/lib,var/log,home}
    chmod 1777 "$tree/tmp"
    ln -s bin "$tree/sbin"
    ln -s ../bin "$tree/usr/bin"
    ln -s ../bin "$tree/usr/sbin"
    ln -s ../run "$tree/var/run"
    install -m 755 "$(command -v busybox)" "$tree/bin/busybox"
    for applet in $(busybox --list); do
        [ -e "$tree/bin/$applet" ] || ln -s busybox "$tree/bin/$applet"
    done
    add_program "$(command -v dropbear || printf /usr/sbin/dropbear)" bin/dropbear
    add_program "$(command -v scp)" bin/scp
    add_program /usr/lib/openssh/sftp-server usr/lib/sftp-server
    install -D "$tree/usr/lib/sftp-server" "$tree/usr/libexec/sftp-server" # where later dropbears look
    printf 'kiln-small\n' >"$tree/etc/hostname"
    printf '127.0.0.1 localhost kiln-small\n' >"$tree/etc/hosts"
    printf '/bin/sh\n' >"$tree/etc/shells"
    printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n' >"$tree/etc/nsswitch.conf"
    add_user root 0 /root
    add_user kiln 1000 /home/kiln
    chmod 640 "$tree/etc/shadow"
    add_host_keys
    install -m 755 "$here/small/init" "$tree/init"
    install -m 755 "$here/small/rcS" "$tree/etc/rcS"
    install -m 644 "$here/small/inittab" "$tree/etc/inittab"
    install -m 755 "$here/small/boot-tasks" "$tree/bin/boot-tasks"
    install -m 755 "$here/small/install-to-disk" "$tree/bin/install-to-disk"
    install -D -m 755 "$here/small/udhcpc.script" "$tree/etc/udhcpc/default.script"
    install -D -m 755 "$here/small/power-button" "$tree/etc/acpi/PWRF/00000080"
}

make_initrd() {
    (cd "$tree" && find . -print0 | LC_ALL=C sort -z | cpio --null --quiet --reproducible -o -H newc) |
        gzip -6 -n >"$work/out/initrd.img"
}

# make_root MIB: the same tree as an ext4 file system.
make_root() {
    # Few inodes and no lazy initialisation, or the kernel would spend the first minute of every boot writing zeros.
    mke2fs -q -t ext4 -L kiln-root -m 0 -N 8192 -J size=4 -E lazy_itable_init=0,lazy_journal_init=0 \
        -d "$tree" "$work/root-$1.ext4" "$1M" >/dev/null
}

boot_loader_config() {
    local prompt=$1 append=$2
    printf 'SERIAL 0 115200\nDEFAULT linux\nPROMPT %s\nTIMEOUT 0\n' "$prompt"
    printf 'LABEL linux\n  KERNEL /vmlinuz\n  INITRD /initrd.img\n  APPEND %s\n' "$append"
}

# The firmware's own loader for UEFI machines: the same kernel, waiting in a menu where the BIOS disk waits at `boot:`.
add_uefi_loader() {
    local fat=$1 prompt=$2 append=$3
    {
        [ "$prompt" = 1 ] && printf 'timeout menu-force\n' || printf 'timeout 0\n'
        printf 'default linux.conf\n'
    } >"$work/loader.conf"
    printf 'title linux\nlinux /vmlinuz\ninitrd /initrd.img\noptions %s\n' "$append" >"$work/linux.conf"
    mmd -i "$fat" ::EFI ::EFI/BOOT ::loader ::loader/entries
    mcopy -i "$fat" /usr/lib/systemd/boot/efi/systemd-bootx64.efi ::EFI/BOOT/BOOTX64.EFI
    mcopy -i "$fat" "$work/loader.conf" ::loader/loader.conf
    mcopy -i "$fat" "$work/linux.conf" ::loader/entries/linux.conf
}

# make_disk RAW PROMPT ROOT_MIB: a partition table, a FAT with boot loaders and kernel, and the root file system.
make_disk() {
    local raw=$1 prompt=$2 root_mib=$3 fat=$work/boot.fat
    local append='root=LABEL=kiln-root console=ttyS0 console=tty0'
    rm -f "$fat" "$raw"
    truncate -s "${boot_mib}M" "$fat"
    mkfs.vfat -F 16 -n KILNBOOT "$fat" >/dev/null
    boot_loader_config "$prompt" "$append" >"$work/syslinux.cfg"
    mcopy -i "$fat" "$work/out/kernel" ::vmlinuz
    mcopy -i "$fat" "$work/out/initrd.img" ::initrd.img
    mcopy -i "$fat" "$work/syslinux.cfg" ::syslinux.cfg
    add_uefi_loader "$fat" "$prompt" "$append"
    syslinux --install "$fat"
    truncate -s "$((1 + boot_mib + root_mib))M" "$raw"
    printf '%s\n' 'label: dos' "start=1MiB, size=${boot_mib}MiB, type=c, bootable" "start=$((1 + boot_mib))MiB, type=83" |
        sfdisk --quiet "$raw"
    dd if=/usr/lib/syslinux/mbr/mbr.bin of="$raw" conv=notrunc bs=440 count=1 status=none
    dd if="$fat" of="$raw" conv=notrunc,sparse bs=1M seek=1 status=none
    dd if="$work/root-$root_mib.ext4" of="$raw" conv=notrunc,sparse bs=1M seek=$((1 + boot_mib)) status=none
}

make_disks() {
    local root_mib=$((disk_mib - boot_mib - 1))
    make_root "$root_mib"
    make_disk "$work/disk.raw" 0 "$root_mib"
    qemu-img convert -O qcow2 "$work/disk.raw" "$work/out/small.qcow2"
    make_disk "$work/disk.raw" 1 "$root_mib"
    qemu-img convert -O qcow2 "$work/disk.raw" "$work/out/small-prompt.qcow2"
}

# The ISO carries a whole small disk for `install`, so that an installation from it takes seconds.
make_iso() {
    local iso=$work/iso append='console=ttyS0 console=tty0'
    mkdir -p "$iso/isolinux"
    make_root "$install_root_mib"
    make_disk "$work/disk.raw" 0 "$install_root_mib"
    gzip -6 -n <"$work/disk.raw" >"$iso/disk.raw.gz"
    cp "$work/out/kernel" "$iso/vmlinuz"
    cp "$work/out/initrd.img" "$iso/initrd.img"
    cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$iso/isolinux/"
    {
        boot_loader_config 1 "$append"
        printf 'LABEL install\n  KERNEL /vmlinuz\n  INITRD /initrd.img\n  APPEND %s kiln.install\n' "$append"
    } >"$iso/isolinux/isolinux.cfg"
    xorriso -as mkisofs -quiet -V KILN_SMALL -J -R -o "$work/out/small.iso" -b isolinux/isolinux.bin \
        -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table "$iso" 2>/dev/null
}

build() {
    local started=$SECONDS
    work=$(mktemp -d "$out/.work.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    tree=$work/tree
    mkdir "$work/out"
    umask 022
    unpack_kernel
    make_tree
    add_modules
    make_initrd
    make_disks
    make_iso
    mv "$work"/out/* "$out/"
    printf '%s\n' "$version" >"$out/.version"
    say "$out made in $((SECONDS - started)) s with kernel $release"
}

main() {
    out=${1:?usage: small-guest.sh OUTDIR [cloud|generic]}
    flavour=${2:-cloud}
    [ "$(dpkg --print-architecture)" = amd64 ] || fail "the small guest is for amd64 machines"
    mkdir -p "$out"
    out=$(cd "$out" && pwd)
    cache=$out/.cache
    exec {lock}>"$out/.lock"
    # Several test programs may want the guest at once; one builds, the others wait.
    flock -w 300 "$lock" || fail "another process has been building $out for five minutes"
    version=$(recipe_version)
    if [ "$(cat "$out/.version" 2>/dev/null)" = "$version" ]; then
        say "$out is up to date"
        return
    fi
    build
}

# Files in the guest belong to root whoever builds it.
[ "$(id -u)" = 0 ] || exec fakeroot -- "$0" "$@"
PATH=$PATH:/usr/sbin:/sbin
main "$@"

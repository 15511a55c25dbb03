#!/usr/bin/env bash
# Makes the Debian 12 disk that the debian-nginx example starts from, out of Debian's own packages.
#
#   ./make-base-disk.sh OUT.qcow2
#
# The disk waits at the boot loader's `boot:` for ever, as an installer's menu would, so that the template has to type. It has
# cloud-init (NoCloud only) and an SSH server, and no user to log in as: the template's user-data brings one.
# Needs what install-tools.sh installs; neither root nor loop mounts nor KVM. OUT.qcow2.version tells a later run that it is up to date.
# KILN_DEBIAN_MIRROR names a mirror; without it apt's own sources are used, or mmdebstrap's default where they are not Debian 12.
set -euo pipefail

suite=bookworm
boot_mib=64
root_mib=1983 # with the boot partition and the table: 2 GiB
packages=(linux-image-cloud-amd64 initramfs-tools zstd systemd-sysv udev dbus ifupdown isc-dhcp-client netbase iproute2
    openssh-server cloud-init sudo python3 ca-certificates)

say() { printf 'make-base-disk: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

# Files in the guest belong to root whoever builds it.
like_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else fakeroot -- "$@"; fi
}

# The mirrors for mmdebstrap, as lines of a sources.list; nothing where this machine's apt does not know the suite.
mirrors() {
    if [ -n "${KILN_DEBIAN_MIRROR:-}" ]; then
        printf 'deb %s %s main\n' "$KILN_DEBIAN_MIRROR" "$suite"
        return
    fi
    # apt expands the fields itself.
    # shellcheck disable=SC2016
    apt-get indextargets --format 'deb $(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$suite" '$4 == "main" && ($3 == suite || $3 == suite "-updates" || $3 == suite "-security")'
}

# What differs from a plain Debian, as files of the guest.
write_overlay() {
    local overlay=$1
    mkdir -p "$overlay"/etc/{apt/apt.conf.d,cloud/cloud.cfg.d,initramfs-tools/conf.d,network,ssh/sshd_config.d,systemd/system} \
        "$overlay"/usr/share/initramfs-tools/modules.d
    printf 'debian\n' >"$overlay/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 debian\n' >"$overlay/etc/hosts"
    printf '%s\n' 'LABEL=root / ext4 errors=remount-ro 0 1' 'LABEL=BOOT /boot/loader vfat noauto 0 0' >"$overlay/etc/fstab"
    # Always the same card name, so that the image finds its network on whatever machine it is started.
    printf 'auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n' >"$overlay/etc/network/interfaces"
    cat >"$overlay/etc/cloud/cloud.cfg.d/90-base-disk.cfg" <<'END'
# No search for clouds that are not there, and only the modules that an image build needs: each costs seconds under emulation.
datasource_list: [ NoCloud, None ]
network: { config: disabled }
ssh_genkeytypes: [ ed25519, ecdsa ]
cloud_init_modules: [ bootcmd, write-files, set_hostname, update_hostname, update_etc_hosts, users-groups, ssh ]
cloud_config_modules: [ set-passwords, runcmd ]
cloud_final_modules: [ scripts-user, final-message ]
END
    # A small initramfs with the drivers of virtual machines, made and unpacked quickly.
    printf 'MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=3\nRESUME=none\n' >"$overlay/etc/initramfs-tools/conf.d/base-disk"
    printf '%s\n' virtio_pci virtio_blk virtio_scsi sd_mod ata_piix >"$overlay/usr/share/initramfs-tools/modules.d/base-disk"
    printf 'APT::Install-Recommends "false";\nAcquire::Languages "none";\n' >"$overlay/etc/apt/apt.conf.d/90base-disk"
    # Timers that would hold apt's lock or keep an emulated machine busy while it is provisioned.
    local unit
    for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service; do
        ln -s /dev/null "$overlay/etc/systemd/system/$unit"
    done
}

make_root() {
    local work=$1 sources=()
    write_overlay "$work/overlay"
    mirrors >"$work/sources.list"
    [ ! -s "$work/sources.list" ] || sources=("$work/sources.list")
    local include
    include=$(IFS=,; printf '%s' "${packages[*]}")
    mmdebstrap --quiet --variant=minbase --include="$include" \
        --setup-hook="cp -rP '$work/overlay/.' \"\$1\"" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook="mkdir -p \"\$1/boot/loader\"" \
        --customize-hook="rm -f \"\$1\"/etc/ssh/ssh_host_*" \
        "$suite" "$work/root.tar" "${sources[@]}"
    mkdir "$work/root"
    # shellcheck disable=SC2016
    like_root sh -c 'tar -xf "$1/root.tar" -C "$1/root" && mke2fs -q -t ext4 -L root -m 0 \
        -E lazy_itable_init=0,lazy_journal_init=0 -d "$1/root" "$1/root.ext4" "$2M" >/dev/null' sh "$work" "$root_mib"
}

make_boot() {
    local work=$1
    truncate -s "${boot_mib}M" "$work/boot.fat"
    mkfs.vfat -F 16 -n BOOT "$work/boot.fat" >/dev/null
    cat >"$work/syslinux.cfg" <<'END'
SERIAL 0 115200
DEFAULT linux
PROMPT 1
TIMEOUT 0
LABEL linux
  KERNEL /vmlinuz
  INITRD /initrd.img
  APPEND root=LABEL=root ro net.ifnames=0 console=ttyS0 console=tty0
END
    mcopy -i "$work/boot.fat" "$work"/root/boot/vmlinuz-* ::vmlinuz
    mcopy -i "$work/boot.fat" "$work"/root/boot/initrd.img-* ::initrd.img
    mcopy -i "$work/boot.fat" "$work/syslinux.cfg" ::syslinux.cfg
    syslinux --install "$work/boot.fat"
}

make_disk() {
    local work=$1 disk=$1/disk.raw
    truncate -s "$((1 + boot_mib + root_mib))M" "$disk"
    printf '%s\n' 'label: dos' "start=1MiB, size=${boot_mib}MiB, type=c, bootable" "start=$((1 + boot_mib))MiB, type=83" |
        sfdisk --quiet "$disk"
    dd if=/usr/lib/syslinux/mbr/mbr.bin of="$disk" conv=notrunc bs=440 count=1 status=none
    dd if="$work/boot.fat" of="$disk" conv=notrunc,sparse bs=1M seek=1 status=none
    dd if="$work/root.ext4" of="$disk" conv=notrunc,sparse bs=1M seek=$((1 + boot_mib)) status=none
    qemu-img convert -O qcow2 "$disk" "$work/disk.qcow2"
}

main() {
    local out=${1:?usage: make-base-disk.sh OUT.qcow2} started=$SECONDS version
    version=$(sha256sum <"${BASH_SOURCE[0]}" | cut -d ' ' -f 1)
    if [ -e "$out" ] && [ "$(cat "$out.version" 2>/dev/null)" = "$version" ]; then
        say "$out is up to date"
        return
    fi
    [ "$(dpkg --print-architecture)" = amd64 ] || fail "makes disks for amd64 only, on amd64 only"
    PATH=$PATH:/usr/sbin:/sbin
    mkdir -p "$(dirname "$out")"
    work=$(mktemp -d "${TMPDIR:-/tmp}/base-disk.XXXXXX")
    # mmdebstrap's user namespace has to get in.
    chmod 755 "$work"
    trap 'like_root rm -rf "$work"' EXIT
    say "making $out out of Debian's packages; takes a minute or two"
    make_root "$work"
    make_boot "$work"
    make_disk "$work"
    mv "$work/disk.qcow2" "$out"
    printf '%s\n' "$version" >"$out.version"
    say "$out made in $((SECONDS - started)) s"
}

main "$@"

#!/usr/bin/env bash
# Installs what the demo and the tests run: QEMU 8 or newer, the tools that make small guests, ansible, sshd, and Rust.
#
# Run it as often as you like: only what is missing is installed, and a complete machine is recognised in a blink.
# Works on Debian 12 and newer and on Ubuntu 24.04 and newer. Uses sudo when not root. Starts no service.
#
#   ./install-tools.sh                  everything that demo.sh and test.sh need
#   ./install-tools.sh --with PACKAGE   the same and one more package, e.g. Debian's packer for tests/side-by-side.sh
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# On Debian 12 QEMU is 7.2, whose migration lacks `mapped-ram`; the suite's backports carry a current one.
qemu_at_least=1:8
qemu_packages=(qemu-system-x86 qemu-utils)

packages=(
    ovmf swtpm swtpm-tools                                  # UEFI and TPM guests
    mmdebstrap fakeroot uidmap                              # Debian in a folder, without root
    e2fsprogs dosfstools mtools fdisk                       # disks without loop mounts
    syslinux syslinux-common isolinux systemd-boot-efi      # boot loaders
    xorriso cpio zstd                                       # ISO images, initramfs, compressed kernel modules
    busybox-static dropbear-bin openssh-sftp-server         # what the small guest is made of
    openssh-server openssh-client ansible-core socat openssl
    iproute2 nftables iptables                              # agents that keep attempts apart
    libfaketime                                             # agents whose clocks are wrong
    python3-venv procps                                     # an S3 server to test against, and who runs on a machine
    python3 curl git ca-certificates xz-utils time kmod shellcheck bsdutils
    zsh fish                                                # besides Bash, shells that complete kiln's words
    gcc libc6-dev make pkg-config                           # for the crates that build C
)

say() { printf 'install-tools: %s\n' "$*"; }
fail() { say "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

apt_get() {
    as_root apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
        -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold "$@"
}

installed_version() {
    dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$1" 2>/dev/null | sed -n 's/^installed //p' || true
}

candidate_version() { apt-cache policy "$1" | sed -n 's/^  Candidate: //p'; }

missing_packages() {
    local package
    for package in "$@"; do
        [ -n "$(installed_version "$package")" ] || printf '%s\n' "$package"
    done
}

qemu_is_current() {
    local package version
    for package in "${qemu_packages[@]}"; do
        version=$(installed_version "$package")
        [ -n "$version" ] && dpkg --compare-versions "$version" ge "$qemu_at_least" || return 1
    done
}

# Adds the backports of this Debian release from the mirror that the machine already uses, so that it works wherever apt works.
add_backports() {
    local codename=$1 uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    # apt expands the fields itself.
    # shellcheck disable=SC2016
    uri=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk -v codename="$codename" '$1 == codename && $2 == "main" { print $3; exit }')
    [ -n "$uri" ] || fail "no apt source carries $codename, so its backports cannot be added; install QEMU $qemu_at_least or newer yourself"
    say "adding $codename-backports for QEMU"
    {
        printf 'Types: deb\nURIs: %s\nSuites: %s-backports\nComponents: main\n' "$uri" "$codename"
        [ ! -e "$keyring" ] || printf 'Signed-By: %s\n' "$keyring"
    } | as_root tee /etc/apt/sources.list.d/kiln-backports.sources >/dev/null
    apt_get update
}

install_qemu() {
    local codename suite=()
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    if dpkg --compare-versions "$(candidate_version qemu-system-x86)" lt "$qemu_at_least"; then
        apt-cache policy | grep -q "n=$codename-backports" || add_backports "$codename"
        suite=(-t "$codename-backports")
    fi
    say "installing ${qemu_packages[*]}"
    apt_get install --no-install-recommends "${suite[@]}" "${qemu_packages[@]}"
    qemu_is_current || fail "QEMU is older than $qemu_at_least; Kiln needs a newer one"
}

# A test machine must not suddenly listen on port 22 because the tests need the sshd program.
without_starting_services() {
    local policy=/usr/sbin/policy-rc.d status=0 had_sshd
    had_sshd=$(installed_version openssh-server)
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    "$@" || status=$?
    as_root rm -f "$policy"
    if [ -z "$had_sshd" ] && [ -d /run/systemd/system ]; then
        as_root systemctl disable --quiet ssh.service ssh.socket 2>/dev/null || true
    fi
    return "$status"
}

# Guests are made of packages that are downloaded but not installed, and fresh machines often come without an index.
package_index_present() { compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; }

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    if [ ${#missing[@]} -eq 0 ] && qemu_is_current && package_index_present; then
        say "all packages are there"
        return
    fi
    command -v sudo >/dev/null || [ "$(id -u)" = 0 ] || fail "needs root or sudo to install packages"
    apt_get update
    qemu_is_current || without_starting_services install_qemu
    # QEMU may have brought some of them along.
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    without_starting_services apt_get install --no-install-recommends "${missing[@]}"
}

rust_version_wanted() { sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$here/Cargo.toml" | head -n 1; }

rust_is_current() {
    local have
    have=$(cd "$here" && cargo --version 2>/dev/null | awk '{ print $2 }') || return 1
    [ -n "$have" ] && dpkg --compare-versions "$have" ge "$1"
}

# package_at_least VERSION PACKAGE...: the first that the distribution has in this version or newer.
package_at_least() {
    local wanted=$1 package version
    shift
    for package in "$@"; do
        version=$(candidate_version "$package")
        case $version in '' | '(none)') continue ;; esac
        if dpkg --compare-versions "$version" ge "$wanted"; then
            printf '%s\n' "$package"
            return
        fi
    done
}

install_rust_by_rustup() {
    local wanted=$1
    if ! command -v rustup >/dev/null; then
        say "installing rustup"
        curl --proto '=https' --tlsv1.2 -sSf --retry 3 https://sh.rustup.rs |
            sh -s -- -y --quiet --no-modify-path --profile minimal --default-toolchain none
    fi
    say "installing Rust $wanted"
    rustup toolchain install "$wanted" --profile minimal --component clippy --component rustfmt
    # For this folder only: what the user compiles elsewhere is none of our business.
    rustup override set "$wanted" --path "$here"
}

# By rustup where that is at hand, otherwise from the distribution where it is recent enough (Debian 12 keeps a recent compiler
# for its browsers), otherwise by rustup's own installer.
install_rust() {
    local wanted package
    wanted=$(rust_version_wanted)
    export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    if rust_is_current "$wanted"; then
        say "$(cargo --version) is there"
        return
    fi
    if ! command -v rustup >/dev/null; then
        package=$(package_at_least "$wanted" cargo-web cargo)
        [ -n "$package" ] || package=$(package_at_least 1 rustup)
        [ -z "$package" ] || install_packages "$package"
    fi
    rust_is_current "$wanted" || install_rust_by_rustup "$wanted"
    rust_is_current "$wanted" || fail "cargo is older than $wanted even after rustup; is another cargo earlier on PATH?"
    say "$(cargo --version) is there"
}

main() {
    local started=$SECONDS extra=()
    while [ $# -gt 0 ]; do
        case $1 in
            --with) extra+=("${2:?--with needs a package}"); shift 2 ;;
            *) fail "unknown argument $1" ;;
        esac
    done
    command -v apt-get >/dev/null || fail "this machine has no apt-get; install the packages named in this script yourself"
    install_packages "${packages[@]}" "${extra[@]}"
    install_rust
    say "$(qemu-system-x86_64 --version | head -n 1); ready after $((SECONDS - started)) s"
}

main "$@"

#!/usr/bin/env bash
# How little a changed image sends, and how fast. Two Debian disks, the second with other packages, are published to an S3
# server; beside it the same bytes are put there plainly, and the way without Kiln: qemu-img convert -c and an S3 client.
#
#   tests/upload-benchmark.sh [OLD.qcow2 NEW.qcow2]
#
# Needs no root and no network beyond the package registry of Python, for the server (moto) if it isn't installed. UPLOAD names
# a program to measure with, for trying this script out. Aims: at most 15 % sent, at least 0.8 of the plain speed.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$top/target}
guests=${KILN_TEST_GUESTS:-$target/guests}
port=${S3_PORT:-5877}
endpoint=http://127.0.0.1:$port
changed_mib=24

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'upload-benchmark: %s\n' "$*" >&2; exit 1; }
seconds() { date +%s.%N; }

work=$(mktemp -d "${TMPDIR:-/tmp}/kiln-upload.XXXXXX")
server=
end() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT

python=python3
find_server() {
    if ! python3 -c 'import moto.server, boto3, flask' 2>/dev/null; then
        say "Installing the S3 server"
        python3 -m venv "$work/venv"
        "$work/venv/bin/pip" -q install 'moto[server,s3]' boto3
        python=$work/venv/bin/python
    fi
}

start_server() {
    find_server
    "$python" -m moto.server -H 127.0.0.1 -p "$port" >"$work/server.log" 2>&1 &
    server=$!
    for _ in $(seq 150); do
        ! curl -s -o /dev/null "$endpoint/" || break
        sleep 0.2
    done
    curl -sf -o /dev/null -X PUT "$endpoint/images" || fail "the S3 server does not answer; see $(cat "$work/server.log")"
}

# Prints where the root file system begins, in bytes: the largest partition, or the whole disk when there are none.
root_offset() {
    local table
    table=$(sfdisk -J "$1" 2>/dev/null) || { printf '0\n'; return; }
    printf '%s' "$table" | python3 -c '
import json, sys
table = json.load(sys.stdin)["partitiontable"]
print(max(table["partitions"], key=lambda p: p["size"])["start"] * table.get("sectorsize", 512))'
}

# Other packages on the same base: some programs and libraries are replaced by other versions of themselves, others are new.
change() {
    local disk="$1?offset=$2"
    python3 - "$disk" "$work" "$changed_mib" <<'PYTHON'
import os, subprocess, sys
disk, work, mib = sys.argv[1], sys.argv[2], int(sys.argv[3])
def debugfs(*commands, write=False):
    script = os.path.join(work, "debugfs")
    with open(script, "w") as f:
        f.write("\n".join(commands) + "\n")
    mode = ["-w"] if write else []
    return subprocess.run(["debugfs", *mode, "-f", script, disk], capture_output=True, text=True, check=True).stdout
commands, replaced, added = [], 0, 0
for directory in ("/usr/lib/x86_64-linux-gnu", "/usr/bin", "/usr/sbin"):
    for line in debugfs(f"ls -p {directory}").splitlines():
        parts = line.split("/")
        if len(parts) < 7 or not parts[2].startswith("100") or not 20_000 < int(parts[6] or 0) < 4_000_000:
            continue
        if replaced >= mib << 20 or sum(map(ord, parts[5])) % 3:
            continue
        path, copy = f"{directory}/{parts[5]}", os.path.join(work, f"file-{len(commands)}")
        debugfs(f'dump "{path}" {copy}')
        old = open(copy, "rb").read()
        # As a compiler does when a source changes here and there: everything moves a little.
        new = b"".join(old[at:at + 6000] + os.urandom(16) for at in range(0, len(old), 6000))
        open(copy, "wb").write(new)
        replaced += len(new)
        commands += [f"cd {directory}", f"rm {parts[5]}", f"write {copy} {parts[5]}"]
for name in sorted(os.listdir("/usr/bin")):
    path = os.path.join("/usr/bin", name)
    if added < (mib << 20) // 2 and os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) > 50_000:
        added += os.path.getsize(path)
        commands += ["cd /usr/lib", f"write {path} added-{name}"]
debugfs(*commands, write=True)
print(f"replaced {replaced >> 20} MiB of files, added {added >> 20} MiB")
PYTHON
    rm -f "$work"/file-* "$work/debugfs"
}

make_images() {
    local base=$guests/debian-base.qcow2 offset
    [ -e "$base" ] || "$top/examples/debian-nginx/make-base-disk.sh" "$base"
    say "Making two images of $base"
    qemu-img convert -O raw "$base" "$work/old.raw"
    qemu-img convert -O qcow2 "$work/old.raw" "$work/old.qcow2"
    offset=$(root_offset "$work/old.raw")
    change "$work/old.raw" "$offset"
    qemu-img convert -O qcow2 "$work/old.raw" "$work/new.qcow2"
    rm "$work/old.raw"
    old=$work/old.qcow2 new=$work/new.qcow2
}

without_kiln() {
    local begin middle end
    begin=$(seconds)
    qemu-img convert -c -O qcow2 "$1" "$work/compressed.qcow2"
    middle=$(seconds)
    AWS_ACCESS_KEY_ID=kiln AWS_SECRET_ACCESS_KEY=kilnkiln "$python" - "$endpoint" "$work/compressed.qcow2" <<'PYTHON'
import sys, boto3
boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1").upload_file(sys.argv[2], "images", "compressed")
PYTHON
    end=$(seconds)
    python3 - "$begin" "$middle" "$end" "$(stat -c %s "$work/compressed.qcow2")" "$(stat -c %s "$1")" <<'PYTHON'
import sys
begin, middle, end, packed, size = map(float, sys.argv[1:])
print(f"qemu-img convert -c: {middle - begin:.2f} s; S3 client: {end - middle:.2f} s; sent {packed / 2**20:.1f} MiB "
      f"({100 * packed / size:.1f} %), {size / 2**20 / (end - begin):.1f} MiB/s of image")
PYTHON
}

main() {
    local upload=${UPLOAD:-}
    if [ -z "$upload" ]; then
        say "Building the benchmark"
        (cd "$top" && cargo build --release -p kiln-agent --example upload)
        upload=$target/release/examples/upload
    fi
    if [ $# -eq 2 ]; then
        old=$1 new=$2
    else
        make_images
    fi
    start_server
    say "What they share, by the size of chunks"
    "$upload" measure "$old" "$new"
    say "With Kiln, and plainly"
    timeout 1200 "$upload" run "$endpoint" images "$old" "$new"
    say "Without Kiln"
    without_kiln "$new"
}

main "$@"

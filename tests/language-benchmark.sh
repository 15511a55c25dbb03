#!/usr/bin/env bash
# Measures what reading templates costs: the largest template of a corpus, a hundred sources, ten thousand, ten megabytes.
#
#   tests/language-benchmark.sh [CORPUS]
#
# Prints a table with the aims and fails when one is missed. CORPUS is a folder of templates with a `units.tsv` (see tests/corpus.sh); without
# one its rows are left out. KILN names the program (default: the release build), PACKER another one to set beside it (default:
# `packer` where there is one; `none` for no comparison). Times are the best of several runs, since other work on the machine only ever
# makes them worse; memory is the peak of the process.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
kiln=${KILN:-${CARGO_TARGET_DIR:-$top/target}/release/kiln}
packer=${PACKER:-packer}
corpus=${1:-}

fail() { printf 'language-benchmark: %s\n' "$*" >&2; exit 1; }

field() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1" "$2"; }

# sources COUNT: that many sources in one build
sources() {
    python3 - "$1" <<'PY'
import sys
count = int(sys.argv[1])
print('variable "base" {\n  default = "x"\n}\nlocals {\n  common = { a = 1, b = [1, 2, 3] }\n}')
for i in range(count):
    print(f'source "null" "s{i}" {{\n  communicator = "none"\n  ssh_host     = "${{var.base}}-{i}.example"\n}}\n')
print('build {\n  sources = [')
for i in range(count):
    print(f'    "source.null.s{i}",')
print('  ]\n  provisioner "shell-local" {\n    inline = ["echo ${source.name} ${local.common.a}"]\n  }\n}')
PY
}

# megabytes COUNT: a template of about that size, mostly locals
megabytes() {
    python3 - "$1" <<'PY'
import sys
print('source "null" "a" {\n  communicator = "none"\n}\nbuild {\n  sources = ["null.a"]\n}\nlocals {')
for i in range(int(float(sys.argv[1]) * 8900)):
    print(f'  local_{i} = {{ name = "value ${{1 + {i}}}", list = [1, 2, "three", true], text = "some words that fill the line" }}')
print('}')
PY
}

# cost PROGRAM RUNS DIRECTORY ARGUMENT...: prints "seconds megabytes" of the best run. A template that is wrong here costs no less to read.
cost() {
    local program=$1 runs=$2 directory=$3 best='' run out=$work/cost.json memory=0
    shift 3
    for ((run = 0; run < runs; run++)); do
        (cd "$directory" && timeout 300 "$top/tests/measure.py" --out "$out" "$program" "$@") >"$work/output" 2>&1 || true
        grep -qiE 'panicked|SIGKILL' "$work/output" && fail "$program $* broke off: $(tail -n 3 "$work/output")"
        best=$(printf '%s\n' "${best:-$(field "$out" wall)}" "$(field "$out" wall)" | sort -g | head -n 1)
        memory=$(field "$out" memory)
    done
    printf '%s %s\n' "$best" "$((memory / 1048576))"
}

# row LABEL SECONDS-AIM MEGABYTES-AIM RUNS DIRECTORY ARGUMENT...
row() {
    local label=$1 time_aim=$2 memory_aim=$3 runs=$4 directory=$5 seconds megabytes other='- -' met=yes
    shift 5
    read -r seconds megabytes < <(cost "$kiln" "$runs" "$directory" "$@")
    # Packer starts processes for each source: beyond a hundred that takes minutes.
    if [ "$packer" != none ] && [ "$runs" -ge 10 ]; then
        other=$(cost "$packer" 1 "$directory" "$@")
    fi
    if [ "$time_aim" != - ]; then
        python3 -c 'import sys; sys.exit(float(sys.argv[1]) > float(sys.argv[2]))' "$seconds" "$time_aim" || met=no
    fi
    [ "$memory_aim" = - ] || [ "$megabytes" -le "$memory_aim" ] || met=no
    [ "$met" = yes ] || missed=yes
    last=$seconds
    # shellcheck disable=SC2086 # two words
    printf '%-26s %8.3f %8s %8d %8s  %-4s %10s %8s\n' "$label" "$seconds" "$time_aim" "$megabytes" "$memory_aim" "$met" $other
}

# linear LABEL SMALL LARGE FACTOR: the larger of two inputs, FACTOR times the smaller, may cost at most twice that factor
linear() {
    python3 - "$@" <<'PY' || missed=yes
import sys
label, small, large, factor = sys.argv[1], *map(float, sys.argv[2:5])
growth = large / max(small, 0.001)
print(f'{label}: {growth:.1f} times the time for {factor:.0f} times the text')
sys.exit(growth > 2 * factor)
PY
}

# largest: the folder and the path of the corpus's unit with the most bytes of template
largest() {
    python3 - "$corpus" <<'PY'
import csv, pathlib, sys
corpus = pathlib.Path(sys.argv[1])
best = (0, '', '')
with open(corpus / 'units.tsv', newline='') as units:
    for unit in csv.DictReader(units, delimiter='\t'):
        folder = corpus / unit['repo'].replace('/', '+')
        path = folder / unit['path']
        files = [path] if path.is_file() else list(path.glob('*.pkr.hcl')) + list(path.glob('*.pkr.json'))
        size = sum(f.stat().st_size for f in files if f.is_file())
        best = max(best, (size, str(folder / unit['cwd']), str(path)))
print(f'{best[0] // 1024}\t{best[1]}\t{best[2]}')
PY
}

main() {
    [ -x "$kiln" ] || command -v "$kiln" >/dev/null || fail "no $kiln; run cargo build --release -p kiln-cli"
    command -v "$packer" >/dev/null || packer=none
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    export CHECKPOINT_DISABLE=1 PACKER_CACHE_DIR=$work/cache
    missed=no
    local count size kilobytes directory path small
    for count in 100 1000 10000; do sources "$count" >"$work/s$count.pkr.hcl"; done
    for size in 1 10; do megabytes "$size" >"$work/m$size.pkr.hcl"; done
    printf '%-26s %8s %8s %8s %8s  %-4s %10s %8s\n' 'validate' kiln aim MB aim met packer MB
    if [ -n "$corpus" ]; then
        IFS=$'\t' read -r kilobytes directory path < <(largest)
        row "largest of corpus, $kilobytes KB" 0.050 - 10 "$directory" validate "$path"
    fi
    row '100 sources' 0.150 60 10 "$work" validate s100.pkr.hcl
    row '1000 sources' - - 5 "$work" validate s1000.pkr.hcl
    small=$last
    row '10000 sources' - - 3 "$work" validate s10000.pkr.hcl
    linear '  10000 sources' "$small" "$last" 10
    row '1 MB' - - 5 "$work" validate m1.pkr.hcl
    small=$last
    row '10 MB' - - 2 "$work" validate m10.pkr.hcl
    linear '  10 MB' "$small" "$last" 10
    [ "$missed" = no ] || fail "an aim was missed"
}

main

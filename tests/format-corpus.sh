#!/usr/bin/env bash
# Formats a copy of a folder of real templates and checks that they mean what they meant.
#
#   tests/format-corpus.sh FOLDER
#
# FOLDER holds a table `units.tsv` and a folder for each repository that it names, as for tests/corpus.sh. A second
# `fmt` must find nothing to do, and for each HCL2 unit `inspect` must show what it showed before: all variables, locals
# and builds, evaluated. Prints one line per disagreement and, last, `disagreements: N of M`; fails when there is one.
# KILN names the program (default: the release build, else the debug build).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${1:?usage: tests/format-corpus.sh FOLDER}
target=${CARGO_TARGET_DIR:-$here/../target}
kiln=${KILN:-}
for build in release debug; do
    [ -n "$kiln" ] || { [ -x "$target/$build/kiln" ] && kiln=$target/$build/kiln; }
done
[ -n "$kiln" ] || { echo "format-corpus: no program; build it (cargo build -p kiln-cli) or name it in KILN" >&2; exit 2; }

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir "$place/before" "$place/after"
cp -r "$folder" "$place/corpus"
chmod -R u+w "$place/corpus"

# Writes what `inspect` shows of each HCL2 unit to a file per unit; times and the like are masked.
inspect_all() {
    local id repo path kind cwd arguments
    # Tabs in a row would count as one separator.
    tr '\t' '\037' < "$place/corpus/units.tsv" | cut -d $'\037' -f 1-5,16 | tail -n +2 |
        while IFS=$'\037' read -r id repo path kind cwd arguments; do
            [ "$kind" != json ] || continue
            # The arguments are words, and the folder has no other spaces.
            # shellcheck disable=SC2086
            (cd "$place/corpus/${repo/\//+}/$cwd" && timeout 60 "$kiln" inspect $arguments "$path" 2>&1 || echo "exit code $?") < /dev/null |
                sed -E 's/[0-9a-f]{8}-[0-9a-f-]{27}/UUID/g; s/[0-9]+/0/g' > "$1/$id"
        done
}

inspect_all "$place/before"
"$kiln" fmt -recursive "$place/corpus" > "$place/first" 2>&1 || true
"$kiln" fmt -recursive "$place/corpus" > "$place/second" 2>&1 || true
inspect_all "$place/after"

wrong=0
changed() { grep -E '\.(pkr|pkrvars)\.hcl$' "$1" | grep -v '^Error' || true; }
while read -r path; do
    echo "formatted twice, it differs: $path"
    wrong=$((wrong + 1))
done < <(changed "$place/second")
units=0
for before in "$place"/before/*; do
    units=$((units + 1))
    # Positions and snippets of complaints are allowed to move.
    if ! diff <(grep -v '^ ' "$before") <(grep -v '^ ' "$place/after/${before##*/}") > "$place/difference"; then
        echo "formatted, it means something else: unit ${before##*/}: $(sed -n 2p "$place/difference")"
        wrong=$((wrong + 1))
    fi
done
echo "formatted: $(changed "$place/first" | wc -l) files"
echo "disagreements: $wrong of $units"
[ "$wrong" = 0 ]

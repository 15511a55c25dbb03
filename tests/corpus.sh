#!/usr/bin/env bash
# Checks a folder of real templates against what Packer says of them.
#
#   tests/corpus.sh FOLDER
#
# FOLDER holds a table `units.tsv`, a folder for each repository that it names, and `inspect/`. Prints one line per disagreement and, last,
# `disagreements: N of M`; fails when there is one. KILN names the program (default: the release build, else the debug build). What is
# compared, and how, stands in tests/corpus/check.py; where Kiln is right and the table is wrong, in tests/corpus/kiln-is-right.tsv.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${1:?usage: tests/corpus.sh FOLDER}
target=${CARGO_TARGET_DIR:-$here/../target}
kiln=${KILN:-}
for build in release debug; do
    [ -n "$kiln" ] || { [ -x "$target/$build/kiln" ] && kiln=$target/$build/kiln; }
done
[ -n "$kiln" ] || { echo "corpus: no program; build it (cargo build --release -p kiln-cli) or name it in KILN" >&2; exit 2; }
exec python3 "$here/corpus/check.py" --kiln "$kiln" "$folder"

#!/usr/bin/env bash
# Installs what the tests need, makes the guests they boot, and runs them all. Arguments go to cargo test, and then no farm of
# machines is made and broken (tests/faults.sh), which takes root, some ten minutes, and is done without where it can't be.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$top"

./install-tools.sh
export PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
# The tests look here for the small guest: tests/guest/README.md.
export KILN_TEST_GUESTS=${CARGO_TARGET_DIR:-$top/target}/guests
tests/guest/small-guest.sh "$KILN_TEST_GUESTS"

mapfile -t scripts < <(git ls-files '*.sh' .ci/run tests/guest/small)
shell_scripts=()
for script in "${scripts[@]}"; do
    if head -n 1 "$script" | grep -q '^#!.*sh'; then
        shell_scripts+=("$script")
    fi
done
shellcheck --severity=warning "${shell_scripts[@]}"

cargo test --workspace --no-fail-fast "$@"

[ $# = 0 ] || exit 0
code=0
KILN=${CARGO_TARGET_DIR:-$top/target}/debug/kiln tests/faults.sh usual || code=$?
if [ "$code" = 77 ]; then
    echo "test.sh: tests/faults.sh was left out"
    exit 0
fi
exit "$code"

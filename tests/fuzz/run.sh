#!/usr/bin/env bash
# Runs the fuzz targets, one after the other, on the stable compiler, and prints what each did.
#
#   tests/fuzz/run.sh [SECONDS] [TARGET...]
#
# SECONDS for each target (default 600); all targets when none is named. What is found stays in tests/fuzz/findings/TARGET, the growing corpus
# in tests/fuzz/corpus/TARGET; both are kept out of git. A single case may take 100 s (of a machine that others use too) and all together 2 GiB: beyond that is a finding.
# Ends with 1 when there was a finding.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
seconds=${1:-600}
[ $# -gt 0 ] && shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(hcl json go_template var_file boot_command)

# What cargo-fuzz gives the compiler, in the spelling that needs no nightly: counters at every edge, and the operands of comparisons.
coverage='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing'
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/target}

build() {
    (cd "$here" && RUSTFLAGS=$(tr -s ' \n' ' ' <<<"$coverage") cargo build --release --target x86_64-unknown-linux-gnu --bins)
}

# field NAME: the value of a line `stat::NAME: value` that libFuzzer prints at its end
field() { sed -n "s/^stat::$1: *//p" "$log" | tail -n 1; }

main() {
    build
    local target failed=0 status
    printf '%-13s %9s %12s %9s %8s %9s  %s\n' target seconds executions per-second MB corpus findings
    for target in "${targets[@]}"; do
        mkdir -p "$here/corpus/$target" "$here/findings/$target"
        log=$here/findings/$target.log
        status=0
        "$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release/$target" "$here/corpus/$target" "$here/seeds/$target" \
            -max_total_time="$seconds" -timeout=100 -rss_limit_mb=2048 -malloc_limit_mb=1024 -max_len=8192 -print_final_stats=1 \
            -dict="$here/dictionaries/$target.dict" -artifact_prefix="$here/findings/$target/" >"$log" 2>&1 || status=$?
        printf '%-13s %9s %12s %9s %8s %9s  %s\n' "$target" "$seconds" "$(field number_of_executed_units)" \
            "$(field average_exec_per_sec)" "$(field peak_rss_mb)" "$(find "$here/corpus/$target" -type f | wc -l)" \
            "$(find "$here/findings/$target" -type f | wc -l)"
        [ "$status" = 0 ] || failed=1
    done
    return "$failed"
}

main

#!/bin/sh
# test.sh - every test: built by gcc as released, then with ASan and UBSan, then by clang with its own warnings,
# and 10 seconds of each fuzzer (WEFT_FUZZ_SECONDS=5 in the environment makes it five seconds).
#
# The last line is "N passed, N failed", summed over the runs of ctest. A build that fails, or a run that leaves no
# result, counts as one failure: nothing that went wrong can end in "0 failed".
set -u
cd "$(dirname "$0")/.."

passed=0 failed=0 skipped=0
jobs=$(nproc)

lost() {
    echo "FAILED: $1"
    failed=$((failed + 1))
}

# One attribute of the <testsuite> element that opens ctest's JUnit file.
attribute() {
    sed -n "s/^[[:space:]]*$2=\"\([0-9]*\)\".*/\1/p" "$1" | head -n 1
}

# run PRESET [ctest option...]
run() {
    preset=$1
    shift
    echo "== $preset"
    if ! cmake --preset "$preset" >"build-$preset.log" 2>&1; then
        cat "build-$preset.log"
        lost "configuring $preset"
        return
    fi
    if ! cmake --build --preset "$preset" --parallel "$jobs"; then
        lost "building $preset"
        return
    fi
    result=$PWD/build-$preset/junit.xml
    rm -f "$result"
    ctest --preset "$preset" --parallel $((jobs * 2)) --output-junit "$result" "$@"
    status=$?
    if [ ! -f "$result" ]; then
        lost "running $preset"
        return
    fi
    tests=$(attribute "$result" tests)
    failures=$(attribute "$result" failures)
    missed=$(($(attribute "$result" skipped) + $(attribute "$result" disabled)))
    passed=$((passed + tests - failures - missed))
    failed=$((failed + failures))
    skipped=$((skipped + missed))
    if [ $status -ne 0 ] && [ "$failures" -eq 0 ]; then
        lost "running $preset (ctest: $status)"
    fi
}

if tools/deps.sh build test; then
    run gcc
    # Without minutes of a browser's time and of the load generator's, and without what runs on io_uring as well.
    run asan -E '^(e2e\.(page|transports|console|docs|docs_pages|bench|bench_faults|bench_report|program|ws_raw)|conformance\.(program|secure))$'
    run clang -L unit
    run fuzz
    grep -h '^fuzz\.[a-z0-9_]*: [0-9]* executions' build-fuzz/Testing/Temporary/LastTest.log
else
    lost "installing what the tests need"
fi

if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

#!/bin/sh
# fuzz.sh [--merge] [SECONDS [NAME...]] - runs the fuzzers of tests/fuzz for SECONDS each (an hour), one after the other.
#
# What they find stands in build-fuzz/findings: a file that `build-fuzz/tests/fuzz_NAME FILE` repeats. New inputs are kept in
# build-fuzz/inputs/NAME and used again; with --merge those that reach something new replace the corpus in tests/fuzz/corpus,
# minimised (`--merge 0`: only that). Exit code 1: something was found.
#
# fuzz.sh --built DIR SECONDS NAME - the same as a test of an existing build in DIR.
set -eu
cd "$(dirname "$0")/.."

build=$PWD/build-fuzz merge=no built=no
case ${1:-} in
--merge)
    merge=yes
    shift
    ;;
--built)
    built=yes build=$2
    shift 2
    ;;
esac
seconds=${1:-3600}
case $seconds in
'' | *[!0-9]*)
    echo "usage: fuzz.sh [--merge] [SECONDS [NAME...]]" >&2
    exit 2
    ;;
esac
if [ $# -gt 0 ]; then shift; fi

# Stacks of allocations are cut short: they cost a third of the speed. Repeat a finding to see them whole.
export ASAN_OPTIONS="malloc_context_size=2:quarantine_size_mb=32${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"

# How long an input may become: more of the same reaches nothing new.
length_of() {
    case $1 in
    h2 | link | utf8) echo 600 ;;
    *) echo 2048 ;;
    esac
}

# fuzz NAME: one line when nothing is found.
fuzz() {
    name=$1 corpus=tests/fuzz/corpus/$1 inputs=$build/inputs/$1 log=$build/fuzz-$1.log
    dict=
    if [ -f "tests/fuzz/$name.dict" ]; then dict=-dict=tests/fuzz/$name.dict; fi
    mkdir -p "$inputs" "$build/findings" "$corpus"
    if ! "$build/tests/fuzz_$name" -max_total_time="$seconds" -max_len="$(length_of "$name")" -timeout=20 -rss_limit_mb=1024 \
        -print_final_stats=1 $dict -artifact_prefix="$build/findings/$name-" "$inputs" "$corpus" >"$log" 2>&1; then
        tail -n 60 "$log"
        echo "fuzz.sh: $name: FOUND, see $build/findings and $log"
        return 1
    fi
    sed -n 's/^stat::number_of_executed_units: *//p' "$log" | {
        read -r executions
        echo "fuzz.$name: $executions executions in $seconds s, $((executions / seconds))/s"
    }
}

# minimise NAME DIR [option...]: the fewest inputs that reach what the corpus and the new inputs reach go to DIR.
minimise() {
    name=$1 into=$2
    shift 2
    rm -rf "$into"
    mkdir -p "$into"
    "$build/tests/fuzz_$name" -set_cover_merge=1 -max_len="$(length_of "$name")" "$@" "$into" "tests/fuzz/corpus/$name" "$build/inputs/$name" \
        >"$build/merge-$name.log" 2>&1
}

# How often an edge is reached counts as well, unless that would make the corpus larger than anyone needs: as it would for
# parsers that run on tables.
merge_corpus() {
    name=$1 corpus=tests/fuzz/corpus/$1 inputs=$build/inputs/$1 fresh=$build/merged/$1
    mkdir -p "$corpus" "$inputs"
    minimise "$name" "$fresh"
    if [ "$(find "$fresh" -type f | wc -l)" -gt 300 ]; then minimise "$name" "$fresh" -use_counters=0; fi
    rm -rf "$corpus" "$inputs"
    mkdir -p "$inputs"
    mv "$fresh" "$corpus"
    echo "merged $name: $(find "$corpus" -type f | wc -l) files, $(cat "$corpus"/* | wc -c) bytes"
}

if [ $built = no ]; then
    cmake --preset fuzz >build-fuzz.log 2>&1 || { cat build-fuzz.log; exit 1; }
    cmake --build --preset fuzz --parallel "$(nproc)"
fi
if [ $# -eq 0 ]; then
    set -- $(cd tests/fuzz && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')
fi
status=0
for one; do
    if [ "$seconds" -gt 0 ]; then fuzz "$one" || status=1; fi
    if [ $merge = yes ]; then merge_corpus "$one"; fi
done
exit $status

#!/bin/sh
# sim.sh [COUNT [FIRST [WIRE [PROGRAM]]]] - the simulator over COUNT seeds (a million) from FIRST (1) on, on all processors; WIRE
# is plain, tls, h2 or h2tls; PROGRAM is sim, or sim_pusher: the server of the Pusher protocol.
#
# Ends with 1 when an oracle spoke; its message names the seed. The last line sums up.
set -u
cd "$(dirname "$0")/.."

count=${1:-1000000} first=${2:-1} wire=${3:-plain} program=${4:-sim} step=500
cmake --preset gcc >build-gcc.log 2>&1 || { cat build-gcc.log; exit 1; }
cmake --build --preset gcc --target "$program" || exit 1

seq "$first" "$step" "$((first + count - 1))" | while read -r from; do
    to=$((from + step - 1)) last=$((first + count - 1))
    [ "$to" -le "$last" ] || to=$last
    echo "$from-$to"
done | xargs -P "$(nproc)" -n 1 "build-gcc/tests/$program" --wire "$wire" --ratio 0 --seeds |
    awk '{ seeds += $1; connections += $5; calls += $7; virtual += $9; busy += $13 }
         END { printf "%d seeds, each twice: %d connections, %d calls, %.0f virtual seconds in %.0f s of processors\n",
                      seeds, connections, calls, virtual, busy; exit seeds != '"$count"' }'

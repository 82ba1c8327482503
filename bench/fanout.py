#!/usr/bin/python3
"""One who publishes and many who listen: in a room, and in a Pusher channel that is published to by the HTTP API.

What a delivery costs the server, and when the last listener has the message. See docs/PERFORMANCE.md.

One server at a time, pinned to one core; clients and the one who publishes have another.
"""

import argparse
import json
import os
import statistics

from audience import APP_KEY, measure, start_server
from process import machine, note, run_bench

# Name, --via of the audience, path.
WHATS = [
    ("room", "ws", "/rooms/bench"),
    ("Pusher channel", "pusher", f"/app/{APP_KEY}?protocol=7&client=bench&version=1"),
]
BACKENDS = ("epoll", "io_uring")


def figures_of(sample):
    return {"per_cpu_s": sample["deliveries_per_server_cpu_s"], "bytes": sample["in_bytes"] / sample["deliveries"],
            "p50_ms": sample["p50_us"] / 1000, "p99_ms": sample["p99_us"] / 1000,
            "last_ms": sample["last_p50_us"] / 1000, "busy": sample["load_cpu_s"] / sample["seconds"]}


def run(options, cores):
    plan = {"messages": options.messages, "pace_s": options.pace, "bytes": options.bytes}
    rows = [{"what": what, "via": via, "path": path, "members": members, "backend": backend, "samples": []}
            for what, via, path in WHATS for members in options.members for backend in BACKENDS]
    for number in range(options.rounds):
        for row in rows if number % 2 == 0 else rows[::-1]:
            note(f"round {number + 1} of {options.rounds}: {row['what']}, {row['members']:,}, {row['backend']}")
            server = start_server(options.build, row["backend"], cores[0])
            try:
                row["samples"].append(measure(server, options.build, cores[1], row["via"], row["path"], row["members"],
                                              plan))
            finally:
                server.stop()
    for row in rows:
        found = [figures_of(sample) for sample in row["samples"]]
        row.update({key: statistics.median(f[key] for f in found) for key in found[0]})
    return rows


def table(rows):
    lines = ["| to | listeners | backend | deliveries per server-CPU-second | delay p50, ms | p99, ms | last, ms "
             "| bytes | load core busy |", "|---|---:|---|---:|---:|---:|---:|---:|---:|"]
    for row in rows:
        lines.append(f"| {row['what']} | {row['members']:,} | {row['backend']} | {row['per_cpu_s']:,.0f} | "
                     f"{row['p50_ms']:,.1f} | {row['p99_ms']:,.1f} | {row['last_ms']:,.1f} | {row['bytes']:,.0f} | "
                     f"{row['busy']:.0%} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description="one publishes, many listen: in a room and by a Pusher channel")
    parser.add_argument("--build", default="build", help="build directory: weft, and bench/ with the programs (build)")
    parser.add_argument("--members", type=int, nargs="+", default=[1000, 10000], help="listeners (1000 10000)")
    parser.add_argument("--messages", type=int, default=10, help="measured per round (10)")
    parser.add_argument("--pace", type=float, default=1, help="seconds from one to the next (1)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (3)")
    parser.add_argument("--bytes", type=int, default=100, help="of a message (100)")
    parser.add_argument("--json", metavar="FILE", help="write every sample there")
    options = parser.parse_args()
    if not (all(1 <= count <= 100000 for count in options.members) and 1 <= options.messages <= 10000
            and 0.01 <= options.pace <= 10 and 1 <= options.rounds <= 100 and 64 <= options.bytes <= 4096):
        parser.error("--members from 1 to 100000, --messages from 1 to 10000, --pace from 0.01 to 10, --rounds from 1 "
                     "to 100, --bytes from 64 to 4096")
    allowed = sorted(os.sched_getaffinity(0))
    rows, m = run(options, (allowed[0], allowed[-1])), machine()
    print(f"A message of {options.bytes} bytes every {options.pace:g} s; {m['model']}, {m['cores']} cores, Linux "
          f"{m['kernel']}; medians of {options.rounds} rounds of {options.messages}\n\n{table(rows)}")
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump({"machine": m, "rows": rows}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    run_bench(main)

#!/usr/bin/python3
"""What WebSocket saves: one message a second to many clients by WebSocket, server-sent events, long polling and polling
once a second, of the same server and the same room. See docs/WHY.md. Standard library only.

One way at a time, each with a server of its own, pinned to one core; clients and the one who publishes have another.
"""

import argparse
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "rivals"))

import plot  # noqa: E402
from audience import measure, start_server  # noqa: E402
from process import machine, note, run_bench  # noqa: E402

# Name, --via of the audience, path, and its short name in the plot.
WAYS = [
    ("WebSocket", "ws", "/rooms/bench", "WebSocket"),
    ("WebSocket, with recovery", "ws", "/rooms/bench?recover=", "with recovery"),
    ("server-sent events", "sse", "/rooms/bench", "SSE"),
    ("long polling", "long-poll", "/rooms/bench", "long polling"),
    ("polling once a second", "poll", "/rooms/bench", "polling"),
]
HEADERS = 52  # of a segment: IPv4 20, TCP 20, its timestamps 12

# Key, title in the table and in the plot, form.
FIGURES = [
    ("payload", "bytes through the socket", None, "{:,.0f}"),
    ("segments", "TCP segments", None, "{:.1f}"),
    ("wire", "bytes on the wire", "bytes on the wire, with TCP and IP", "{:,.0f}"),
    ("cpu_us", "server CPU, us", "server CPU per message, us", "{:,.1f}"),
    ("p50_ms", "delay p50, ms", "delay until a client has it, median, ms", "{:,.1f}"),
    ("p99_ms", "p99, ms", "delay, 99th percentile, ms", "{:,.1f}"),
    ("busy", "load core busy", None, "{:.0%}"),
]
PLOTTED = ("wire", "cpu_us", "p50_ms", "p99_ms")


def per_message(sample):
    """Of one message to one client, both directions together."""
    count = sample["deliveries"]
    payload = (sample["in_bytes"] + sample["out_bytes"]) / count
    segments = (sample["in_segments"] + sample["out_segments"]) / count
    return {"payload": payload, "segments": segments, "wire": payload + HEADERS * segments,
            "cpu_us": 1e6 * sample["server_cpu_s"] / count, "p50_ms": sample["p50_us"] / 1000,
            "p99_ms": sample["p99_us"] / 1000, "busy": sample["load_cpu_s"] / sample["seconds"]}


def run(options, cores):
    plan = {"messages": options.seconds, "pace_s": 1.0, "bytes": options.bytes}
    samples = {name: [] for name, *_ in WAYS}
    for number in range(options.rounds):
        for name, via, path, _ in WAYS if number % 2 == 0 else WAYS[::-1]:
            note(f"round {number + 1} of {options.rounds}: {name}")
            server = start_server(options.build, options.backend, cores[0])
            try:
                samples[name].append(measure(server, options.build, cores[1], via, path, options.clients, plan))
            finally:
                server.stop()
    return samples


def summarize(samples):
    """Per way the median over the rounds of each figure."""
    rows = {}
    for name, found in samples.items():
        figures = [per_message(sample) for sample in found]
        rows[name] = {key: statistics.median(f[key] for f in figures) for key in figures[0]}
    return rows


def table(rows):
    lines = [f"| | {' | '.join(title for _, title, *_ in FIGURES)} |", "|---|" + "---:|" * len(FIGURES)]
    for name, row in rows.items():
        lines.append(f"| {name} | {' | '.join(form.format(row[key]) for key, _, _, form in FIGURES)} |")
    return "\n".join(lines)


def picture(rows, title):
    panels = []
    for key, _, panel_title, form in FIGURES:
        if key in PLOTTED:
            bars = [plot.Bar(short, rows[name][key], None, None, via == "ws", False) for name, via, _, short in WAYS]
            panels.append(plot.Panel(panel_title, bars, form))
    return plot.svg(title, panels)


def main():
    parser = argparse.ArgumentParser(description="one message a second to many clients, by every way")
    parser.add_argument("--build", default="build", help="build directory: weft, and bench/ with the programs (build)")
    parser.add_argument("--backend", default="epoll", choices=("epoll", "io_uring"), help="of the server (epoll)")
    parser.add_argument("--clients", type=int, default=1000, help="who listen (1000; more may not long-poll in a room)")
    parser.add_argument("--seconds", type=int, default=10, help="measured per way and round, a message each (10)")
    parser.add_argument("--rounds", type=int, default=1, help="rounds (1)")
    parser.add_argument("--bytes", type=int, default=100, help="of a message (100)")
    parser.add_argument("--svg", metavar="FILE", help="write a plot there")
    parser.add_argument("--json", metavar="FILE", help="write every sample there")
    options = parser.parse_args()
    if not (1 <= options.clients <= 1000 and 1 <= options.seconds <= 600 and 1 <= options.rounds <= 100
            and 64 <= options.bytes <= 4096):
        parser.error("--clients from 1 to 1000, --seconds from 1 to 600, --rounds from 1 to 100, --bytes from 64 to "
                     "4096")
    allowed = sorted(os.sched_getaffinity(0))
    samples = run(options, (allowed[0], allowed[-1]))
    rows, m = summarize(samples), machine()
    print(f"One message of {options.bytes} bytes a second to {options.clients:,} clients, per message and client; "
          f"{m['model']}, {m['cores']} cores, Linux {m['kernel']}, {options.backend}; medians of {options.rounds} "
          f"rounds of {options.seconds} s\n\n{table(rows)}")
    if options.svg:
        with open(options.svg, "w", encoding="ascii") as file:
            title = f"A message of {options.bytes} bytes a second to {options.clients:,} clients, per message and client"
            file.write(picture(rows, title))
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump({"machine": m, "samples": samples, "rows": rows}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    run_bench(main)

#!/usr/bin/python3
"""How the cost of a message grows: with connections, with messages in flight, with their size, with a room's members,
with threads. See bench/README.md.

One server at a time has the server's core, a raw TCP echo, weft on epoll and weft on io_uring in turn; what is printed is
the server's CPU time per message (or delivery), the median over the rounds. Standard library only.
"""

import argparse
import json
import os
import statistics
import subprocess

from process import BenchError, Server, free_port, machine, note, run_bench

CONNECTIONS = [10, 100, 1000, 5000, 15000]
INFLIGHT = [1, 4, 16, 64]
SIZES = [1, 16, 125, 1024, 4096, 16384, 131072, 1 << 20, 8 << 20]
MEMBERS = [10, 100, 1000, 5000]
THREADS = [1, 2]


def echo(connections, inflight, size):
    return "load", ["--connections", connections, "--inflight", inflight, "--bytes", size]


# Title, what grows, and (value, program and arguments, threads) of each row.
SERIES = [
    ("Connections, 1 in flight on each, 64 B", "connections", [(n, echo(n, 1, 64), 1) for n in CONNECTIONS]),
    ("In flight, 10 connections, 64 B", "in flight", [(n, echo(10, n, 64), 1) for n in INFLIGHT]),
    ("Size, 4 connections, 1 in flight on each", "bytes", [(n, echo(4, 1, n), 1) for n in SIZES]),
    ("Members of a room, 1 publisher, 64 B, per delivery", "members",
     [(n, ("fan", ["--connections", n, "--bytes", 64, "--inflight", 1]), 1) for n in MEMBERS]),
    ("Threads, 100 connections, 1 in flight on each, 64 B", "threads", [(n, echo(100, 1, 64), n) for n in THREADS]),
]


class Growth:
    def __init__(self, options, cores):
        self.options, self.cores = options, cores

    def start(self, name, threads, program):
        tools = os.path.join(self.options.build, "bench")
        if name == "raw":
            broadcast = ["--broadcast", "1"] if program == "fan" else []
            return Server(name, [os.path.join(tools, "bench_raw_echo")] + broadcast, self.cores[0])
        port = free_port()
        command = [os.path.join(self.options.build, "weft"), "serve", "--listen", f"127.0.0.1:{port}", "--threads",
                   str(threads), "--backend", name, "--message-max", "20M", "--queue-max", "1G", "--history", "0",
                   "--ping-interval", "never", "--deflate", "off", "--quiet"]
        return Server(name, command, self.cores[0], port)

    def cost_us(self, name, program, arguments, threads):
        """CPU microseconds per message of one server under one load."""
        server = self.start(name, threads, program)
        try:
            if threads > 1:
                os.sched_setaffinity(server.pid, self.cores)
                for task in os.listdir(f"/proc/{server.pid}/task"):
                    os.sched_setaffinity(int(task), self.cores)
            path = "/rooms/bench" if program == "fan" else "/echo"
            command = [os.path.join(self.options.build, "bench", f"bench_{program}"), "--mode",
                       "raw" if name == "raw" else "ws", "--port", server.port, "--path", path, "--core", self.cores[1],
                       "--server-pid", server.pid, "--window-ms", round(self.options.seconds * 1000)] + arguments
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                                  timeout=self.options.seconds + 90)
            server.check()
            if done.returncode != 0:
                raise BenchError(f"{name}, {program} {arguments}: {done.stderr.strip()}{server.last_words()}")
        except subprocess.TimeoutExpired:
            raise BenchError(f"{name}, {program} {arguments}: did not end") from None
        finally:
            server.stop()
        figures = {key: float(value) for key, value in (pair.split("=") for pair in done.stdout.split())}
        return 1e6 / next(value for key, value in figures.items() if key.endswith("_per_server_cpu_s"))

    def series(self, title, what, rows):
        found = []
        for value, (program, arguments), threads in rows:
            note(f"{title}: {value:,}")
            names = ["raw", "epoll", "io_uring"] if threads == 1 else ["epoll", "io_uring"]
            samples = {name: [] for name in names}
            for number in range(self.options.rounds):
                for name in names if number % 2 == 0 else names[::-1]:
                    samples[name].append(self.cost_us(name, program, arguments, threads))
            found.append({"value": value, "cost_us": samples})
        return {"title": title, "what": what, "rows": found}


def table(series):
    lines = [f"**{series['title']}**", "", f"| {series['what']} | raw | weft, epoll | weft, io_uring |",
             "|---:|---:|---:|---:|"]
    for row in series["rows"]:
        cells = [f"{statistics.median(row['cost_us'][name]):,.2f}" if name in row["cost_us"] else ""
                 for name in ("raw", "epoll", "io_uring")]
        lines.append(f"| {row['value']:,} | {' | '.join(cells)} |")
    return "\n".join(lines + [""])


def main():
    parser = argparse.ArgumentParser(description="how the cost of a message grows")
    parser.add_argument("--build", default="build", help="build directory: weft, and bench/ with the programs (build)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="measured per figure and round (0.5)")
    parser.add_argument("--only", help="only series whose title contains this")
    parser.add_argument("--json", metavar="FILE", help="write every sample there as well")
    options = parser.parse_args()
    if options.rounds < 1 or not 0.05 <= options.seconds <= 60:
        parser.error("--rounds from 1, --seconds from 0.05 to 60")
    allowed = sorted(os.sched_getaffinity(0))
    growth = Growth(options, (allowed[0], allowed[-1]))
    result = {"machine": machine(), "rounds": options.rounds, "seconds": options.seconds, "series": []}
    print(f"CPU time of the server per message, microseconds; medians of {options.rounds} rounds of {options.seconds:g} s\n")
    for title, what, rows in SERIES:
        if not options.only or options.only.lower() in title.lower():
            result["series"].append(growth.series(title, what, rows))
            print(table(result["series"][-1]), flush=True)
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump(result, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    run_bench(main)

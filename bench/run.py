#!/usr/bin/python3
"""The wire bench: weft beside a raw TCP echo, over loopback, in one table. See bench/README.md.

Both servers run the whole time, pinned to one core; the load runs on another. Every load goes to both of them in turn,
round after round, and what is printed are medians over the rounds and of the ratios within a round. Standard library
only.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import time

from process import BenchError, Server, free_port, hold, machine, memory, note, run_bench

# Connections, messages in flight on each, payload bytes.
LOADS = [(100, 1, 20), (500, 1, 512), (10, 64, 64), (10, 1, 16384), (4, 1, 1048576)]
CHURN_SLOTS = 32
WARM_CONNECTIONS = 100


class Bench:
    def __init__(self, options, cores):
        self.options = options
        self.server_core, self.load_core = cores
        self.bin = os.path.join(options.build, "bench")

    def tool(self, name):
        path = os.path.join(self.bin, name)
        if not os.access(path, os.X_OK):
            raise BenchError(f"{path} is missing: build the target bench_programs")
        return path

    def start_raw(self):
        return Server("raw_echo", [self.tool("bench_raw_echo")], self.server_core)

    def start_weft(self):
        port = free_port()
        if self.options.command:
            command = [word.replace("{port}", str(port)) for word in shlex.split(self.options.command)]
        else:
            command = [os.path.join(self.options.build, "weft"), "serve", "--listen", f"127.0.0.1:{port}",
                       "--threads", "1", "--message-max", "2M"]
        return Server(self.options.name, command, self.server_core, port)

    def measure(self, program, server, mode, arguments):
        """Runs one load against one server; returns its key=value line as floats."""
        command = [self.tool(program), "--mode", mode, "--port", str(server.port), "--path", self.options.path,
                   "--core", str(self.load_core), "--server-pid", str(server.pid),
                   "--window-ms", str(round(self.options.seconds * 1000))] + [str(a) for a in arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=self.options.seconds + 30)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{' '.join(command)}: did not end") from None
        server.check()
        if done.returncode != 0:
            raise BenchError(f"{' '.join(command)}\nagainst {server.name}: {done.stderr.strip()}{server.last_words()}")
        return {key: float(value) for key, value in (pair.split("=") for pair in done.stdout.split())}

    def rounds(self):
        """Every load against both servers, self.options.rounds times. One dict per load, with the samples."""
        rows = [{"load": f"{c} x {m} x {size_name(b)}", "program": "bench_load", "noun": "messages",
                 "arguments": ["--connections", c, "--inflight", m, "--bytes", b]} for c, m, b in LOADS]
        rows.append({"load": "connect+echo+close", "program": "bench_churn", "noun": "sessions",
                     "arguments": ["--connections", CHURN_SLOTS]})
        raw = self.start_raw()
        try:
            weft = self.start_weft()
            try:
                for number in range(self.options.rounds):
                    note(f"round {number + 1} of {self.options.rounds}")
                    order = [("raw", raw, "raw"), ("weft", weft, "ws")]
                    for row in rows:
                        for key, server, mode in order if number % 2 == 0 else order[::-1]:
                            sample = self.measure(row["program"], server, mode, row["arguments"])
                            row.setdefault(key, []).append(sample)
            finally:
                weft.stop()
        finally:
            raw.stop()
        return rows

    def idle_memory(self):
        """Bytes of user memory per idle connection, on a server that has done nothing else before."""
        count = self.options.held
        server = self.start_weft()
        try:
            note(f"holding {count:,} connections")
            command = [self.tool("bench_hold"), "--port", str(server.port), "--path", self.options.path, "--core",
                       str(self.load_core)]
            hold(server, command, WARM_CONNECTIONS, lambda: None)
            time.sleep(0.5)
            before = memory(server.pid)
            during = hold(server, command, count, lambda: memory(server.pid))
            time.sleep(0.5)
            after = memory(server.pid)
        finally:
            server.stop()
        per_connection = {key: (during[key] - before[key]) / count for key in before if key in during}
        return {"connections": count, "before": before, "during": during, "after": after,
                "bytes_per_connection": per_connection}


def size_name(count):
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit and count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} B"


def summarize(row):
    """Medians of both servers, and of the ratio within a round with its quartiles."""
    for figure, key in (("per_server_cpu_s", f"{row['noun']}_per_server_cpu_s"), ("per_s", f"{row['noun']}_per_s")):
        raw, weft = ([sample[key] for sample in row[who]] for who in ("raw", "weft"))
        ratios = [b / a for a, b in zip(raw, weft)]
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
        row[figure] = {"raw": statistics.median(raw), "weft": statistics.median(weft),
                       "ratio": statistics.median(ratios), "ratio_quartiles": [low, high]}
    row["load_core_busy"] = {who: statistics.median(s["load_cpu_s"] / s["seconds"] for s in row[who])
                             for who in ("raw", "weft")}


def version(options):
    if options.command:
        return options.command
    path = os.path.join(options.build, "weft")
    try:
        done = subprocess.run([path, "version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{path} does not run: {error}") from error
    return (done.stdout.strip() or "version unknown").splitlines()[0]


def table(result):
    name, m = result["name"], result["machine"]
    half = f"{'raw':>11}{name[:11]:>12}{'ratio':>8}"
    lines = [
        f"{name} ({result['version']}) beside a raw epoll TCP echo",
        f"{m['model']}, {m['cores']} cores, Linux {m['kernel']}; server on core {result['server_core']}, load on core "
        f"{result['load_core']}; medians of {result['rounds']} rounds of {result['seconds']:g} s",
        "",
        f"{'':19}{'per server-CPU-second':>31}{'':13}{'per second':>31}{'load core busy':>17}",
        f"{'load':19}{half}{'quartiles':>13}{half}  {'raw':>7}{name[:7]:>8}",
    ]
    for row in result["loads"]:
        line = f"{row['load']:19}"
        for figure, quartiles in (("per_server_cpu_s", True), ("per_s", False)):
            f = row[figure]
            low, high = f["ratio_quartiles"]
            line += f"{f['raw']:>11,.0f}{f['weft']:>12,.0f}{f['ratio']:>8.2f}"
            line += f"{f'{low:.2f}-{high:.2f}':>13}" if quartiles else ""
        busy = row["load_core_busy"]
        lines.append(line + f"{busy['raw']:>9.0%}{busy['weft']:>8.0%}")
    lines += ["", "load: connections x messages in flight on each x payload. Both get the same masked frames; the raw "
              "echo", "returns them whole, a WebSocket answer is 4 bytes shorter (no masking key)."]
    idle = result.get("idle")
    if idle:
        figures = ", ".join(f"{value:,.0f} {key}" for key, value in idle["bytes_per_connection"].items())
        lines += ["", f"user memory per idle connection, bytes: {figures}",
                  f"({idle['connections']:,} held; kernel memory is not counted)"]
    return "\n".join(lines)


def read_options():
    parser = argparse.ArgumentParser(description="weft beside a raw TCP echo, over loopback")
    parser.add_argument("--build", default="build", help="build directory: weft, and bench/ with the programs (build)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds (7)")
    parser.add_argument("--seconds", type=float, default=1.0, help="measured per load and round (1)")
    parser.add_argument("--held", type=int, default=15000, help="idle connections for the memory figure, 0: none")
    parser.add_argument("--path", default="/echo", help="path of the WebSocket echo (/echo)")
    parser.add_argument("--command", help="another server than weft, with {port} in it, such as 'node echo.js {port}'")
    parser.add_argument("--name", default="weft", help="its name in the table")
    parser.add_argument("--json", metavar="FILE", help="write every sample there as well")
    options = parser.parse_args()
    if options.rounds < 1 or not 0.05 <= options.seconds <= 600 or not 0 <= options.held <= 1000000:
        parser.error("--rounds from 1, --seconds from 0.05 to 600, --held from 0 to 1000000")
    return options


def main():
    options = read_options()
    allowed = sorted(os.sched_getaffinity(0))
    cores = (allowed[0], allowed[1] if len(allowed) > 1 else allowed[0])
    if cores[0] == cores[1]:
        note("only one core: server and load share it, and only figures per server-CPU-second mean something")
    bench = Bench(options, cores)
    result = {"name": options.name, "version": version(options), "machine": machine(), "server_core": cores[0],
              "load_core": cores[1], "rounds": options.rounds, "seconds": options.seconds}
    result["loads"] = bench.rounds()
    for row in result["loads"]:
        summarize(row)
    if options.held:
        result["idle"] = bench.idle_memory()
    print(table(result))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    run_bench(main)

#!/usr/bin/python3
"""What TLS and HTTP/2 cost: the server's CPU for each message and handshake beside plain WebSocket, and the memory of an
idle one. See bench/README.md.

One server for each way, on one core, measured by `weft bench` on another, round after round; what is printed are medians
over the rounds. Standard library only.
"""

import argparse
import json
import os
import statistics
import subprocess

from process import BenchError, Server, free_port, machine, note, run_bench

TLS = ["--tls-self-signed"]
WAYS = {  # the server's flags, and the client's
    "ws": ("ws", ["--no-http2"], []),
    "wss": ("wss", [*TLS, "--no-http2"], ["-k"]),
    "wss resumed": ("wss", [*TLS, "--no-http2"], ["-k", "--tls-resume"]),
    "ws over h2": ("ws", ["--h2c"], ["--http2"]),
    "wss over h2": ("wss", TLS, ["-k", "--http2"]),
}
LOADS = {
    "echo, 100 x 20 B": ["-c", "100", "--size", "20", "--rate", "0", "-i", "1"],
    "echo, 10 x 64 x 64 B": ["-c", "10", "--size", "64", "--rate", "0", "-i", "64"],
    "echo, 10 x 16 KB": ["-c", "10", "--size", "16000", "--rate", "0", "-i", "1"],
    "connect, upgrade, close": ["-c", "20", "--storm"],
}
HANDSHAKES_ONLY = "wss resumed"
HELD = ["-c", "2000", "--rate", "10", "--warmup", "1s"]


class Bench:
    def __init__(self, options):
        self.weft = os.path.join(options.build, "weft")
        self.seconds, self.backend = options.seconds, options.backend
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise BenchError("two processors are needed: one for the server, one for the load")
        self.server_core, self.load_core = cores[:2]

    def start(self, way):
        port = free_port()
        return Server(way, [self.weft, "serve", "--listen", f"127.0.0.1:{port}", "--threads", "1", "--backend",
                            self.backend, *WAYS[way][1]], self.server_core, port)

    def run(self, server, way, load):
        scheme, _, flags = WAYS[way]
        command = [self.weft, "bench", f"{scheme}://127.0.0.1:{server.port}/echo", *flags, *load, "-d",
                   f"{self.seconds}s", "--server-pid", str(server.pid), "--json"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=self.seconds + 60,
                                  preexec_fn=lambda: os.sched_setaffinity(0, {self.load_core}))
        except subprocess.TimeoutExpired:
            raise BenchError(f"{' '.join(command)}: did not end") from None
        server.check()
        report = json.loads(done.stdout) if done.stdout else None
        # INVALID is about latency, which is not asked for: the server's CPU is measured either way.
        if not report or done.returncode not in (0, 70) or report["errors"]["total"]:
            raise BenchError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
        return report["server"]

    def costs(self, rounds):
        """Microseconds by load and way."""
        servers, found = {}, {load: {way: [] for way in WAYS} for load in LOADS}
        try:
            for way in WAYS:
                servers[way] = self.start(way)
            for turn in range(rounds):
                note(f"round {turn + 1} of {rounds}")
                for load, arguments in LOADS.items():
                    for way in WAYS:
                        if way != HANDSHAKES_ONLY or "--storm" in arguments:
                            found[load][way].append(self.run(servers[way], way, arguments)["cpu_us"])
        finally:
            for server in servers.values():
                server.stop()
        return {load: {way: statistics.median(us) for way, us in ways.items() if us} for load, ways in found.items()}

    def idle(self, way):
        """Bytes of memory for each WebSocket that says next to nothing, in a fresh server."""
        server = self.start(way)
        try:
            seen = self.run(server, way, HELD)
            return (seen["anon_open"] - seen["anon_before"]) / int(HELD[1])
        finally:
            server.stop()


def table(costs, idle):
    print(f"{'server CPU, us each':26}" + "".join(f"{way:>19}" for way in WAYS))
    for load, ways in costs.items():
        cells = [f"{ways[way]:.3g} ({ways[way] / ways['ws']:.2f})" if way in ways else "" for way in WAYS]
        print(f"{load:26}" + "".join(f"{cell:>19}" for cell in cells))
    cells = [f"{idle[way]:,.0f}" if way in idle else "" for way in WAYS]
    print(f"{'idle, bytes each':26}" + "".join(f"{cell:>19}" for cell in cells))


def main():
    parser = argparse.ArgumentParser(description="what TLS and HTTP/2 cost beside plain WebSocket")
    parser.add_argument("--build", default="build", help="directory with weft (build)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of each load (2)")
    parser.add_argument("--backend", default="epoll", choices=["epoll", "io_uring"])
    options = parser.parse_args()
    bench = Bench(options)
    costs = bench.costs(options.rounds)
    table(costs, {way: bench.idle(way) for way in WAYS if way != HANDSHAKES_ONLY})
    print(machine())


if __name__ == "__main__":
    run_bench(main)

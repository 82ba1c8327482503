#!/usr/bin/python3
"""The server's own time per message: user-space time of an echo with the system calls taken out. See bench/README.md.

weft and the raw echo run with user/replay.c preloaded. For each load real connections are opened and upgraded; then the
replay hands prepared frames to the server and swallows its answers, and says how long the server's thread took. First
every byte of the answers is compared, then rounds are measured in turn. Standard library only.
"""

import argparse
import json
import mmap
import os
import shlex
import signal
import socket
import statistics
import struct
import sys
import tempfile
import time

from process import BenchError, Server, free_port, machine, note
from run import size_name, version

# Connections, messages per batch, payload bytes, messages per round.
LOADS = [(100, 1, 20, 100000), (100, 1, 125, 100000), (100, 1, 512, 100000), (10, 64, 64, 320000),
         (10, 1, 16384, 10000), (4, 1, 1048576, 200)]
CALLS = ("recvs", "sends", "faults")
RING_GOAL = 64 * 1024
RING_MAX = 61
ROUND_S = 60
OFF, REQUESTED, RUNNING, DONE, FAILED = range(5)
FIELDS = struct.Struct("=13Q")  # struct replay of user/replay.h, and then:
WHY_BYTES = 256
HEAD_BYTES = FIELDS.size + WHY_BYTES
SEGMENT_BYTES = 16 << 20
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def frame(payload, key=None, first=0x82):
    """One unfragmented frame, masked with `key` or as a server sends it."""
    mask, n = (0x80, len(payload)) if key else (0, len(payload))
    if n < 126:
        head = struct.pack(">BB", first, mask | n)
    elif n < 65536:
        head = struct.pack(">BBH", first, mask | 126, n)
    else:
        head = struct.pack(">BBQ", first, mask | 127, n)
    if not key:
        return head + payload
    masks = (key * (n // 4 + 1))[:n]
    return head + key + (int.from_bytes(payload, "big") ^ int.from_bytes(masks, "big")).to_bytes(n, "big")


def pattern(count, seed):
    """`count` bytes that depend on `seed` alone and look random."""
    value, words = seed * 0x9E3779B97F4A7C15 + 0x2545F4914F6CDD1D, []
    for _ in range(min(count, 4096) // 8 + 1):
        value = (value * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        words.append(value.to_bytes(8, "little"))
    block = b"".join(words)
    return (block * (count // len(block) + 1))[:count]


def batches(messages, size, raw):
    """The two rings: lists of what is said, and of what has to be answered."""
    count = max(2, min(RING_MAX, RING_GOAL // (messages * size)))
    said, answers = [], []
    for batch in range(count):
        payloads = [pattern(size, batch * messages + i + 1) for i in range(messages)]
        said.append(b"".join(frame(p, pattern(4, i + 77)) for i, p in enumerate(payloads)))
        answers.append(said[-1] if raw else b"".join(frame(p) for p in payloads))
    return said, answers


class Client:
    """A connection, upgraded when there is a path."""

    def __init__(self, port, path):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.raw = path is None
        if path is not None:
            self._upgrade(port, path)

    def _upgrade(self, port, path):
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
                            f"Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n"
                            "Sec-WebSocket-Version: 13\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self.socket.recv(4096)
            if not piece:
                raise BenchError("closed during the handshake")
            head += piece
        if not head.startswith(b"HTTP/1.1 101 ") or ACCEPT not in head:
            raise BenchError(f"the handshake was refused: {head.splitlines()[0].decode(errors='replace')}")

    def echo(self):
        """One message by the kernel's way."""
        said = frame(b"!", b"abcd")
        expected, got = said if self.raw else frame(b"!"), b""
        self.socket.sendall(said)
        while len(got) < len(expected):
            piece = self.socket.recv(len(expected) - len(got))
            if not piece:
                raise BenchError("closed by the server")
            got += piece
        if got != expected:
            raise BenchError(f"an echo came back as {got.hex()} instead of {expected.hex()}")


    def wake(self):
        """Makes a server that sleeps take a turn, with nothing left to do: nobody answers a Pong (RFC 6455 5.5.3)."""
        if self.raw:
            self.echo()
        else:
            self.socket.sendall(frame(b"", b"abcd", 0x8A))


class Subject:
    """A server with the replay inside."""

    def __init__(self, name, command, core, path, library, port=None):
        self.name, self.path = name, path
        self.file = tempfile.NamedTemporaryFile(prefix="replay-")
        self.file.truncate(SEGMENT_BYTES)
        self.memory = mmap.mmap(self.file.fileno(), SEGMENT_BYTES)
        self.server = Server(name, ["env", f"LD_PRELOAD={library}", f"BENCH_REPLAY={self.file.name}"] + command, core,
                             port)
        self.clients = []

    def stop(self):
        self.close()
        self.server.stop()
        self.file.close()

    def close(self):
        for client in self.clients:
            client.socket.close()
        self.clients = []

    def prepare(self, load):
        """Opens the load's connections and lays out its rings."""
        connections, messages, size, _ = load
        said, answers = batches(messages, size, self.path is None)
        self.rings = (len(said), len(said[0]), len(answers[0]), messages)
        data = b"".join(said + answers)
        if HEAD_BYTES + len(data) > SEGMENT_BYTES:
            raise BenchError(f"the frames of {size} bytes do not fit in the replay's memory")
        self.memory[HEAD_BYTES:HEAD_BYTES + len(data)] = data
        self.clients = [Client(self.server.port, self.path) for _ in range(connections)]
        for client in self.clients:
            client.echo()

    def figures(self):
        figures = FIELDS.unpack_from(self.memory, 0)
        if figures[0] == FAILED:
            why = self.memory[FIELDS.size:HEAD_BYTES].split(b"\0")[0].decode(errors="replace")
            raise BenchError(f"{self.name}: {why}")
        self.server.check()
        return figures

    def replay(self, total, check):
        """`total` messages; returns the server's figures for them."""
        total = -(-total // self.rings[3])
        FIELDS.pack_into(self.memory, 0, OFF, len(self.clients), *self.rings, total, check, 0, 0, 0, 0, 0)
        self.memory[0:8] = struct.pack("=Q", REQUESTED)
        try:
            self.clients[0].wake()  # out of its sleep in the kernel, into the replay
        except (BenchError, OSError):
            time.sleep(0.1)
            self.figures()  # may know more
            raise
        deadline = time.monotonic() + ROUND_S
        while True:
            figures = self.figures()
            if figures[0] == DONE:
                break
            if time.monotonic() > deadline:
                where = "did not end" if figures[0] == RUNNING else "did not begin: one epoll has to watch all"
                raise BenchError(f"{self.name}: the replay {where}{self.server.last_words()}")
            time.sleep(0.001)
        count = total * self.rings[3]
        cpu_ns, turns, receives, sends, faults = figures[8:]
        return {"ns": cpu_ns / count, "messages": count, "turns": turns, "recvs": receives / count,
                "sends": sends / count, "faults": faults / count}


def subjects(options, core):
    """Starts the raw echo and the server to be measured."""
    library = os.path.abspath(os.path.join(options.build, "bench", "bench_replay.so"))
    raw = os.path.join(options.build, "bench", "bench_raw_echo")
    for path in (library, raw):
        if not os.access(path, os.R_OK):
            raise BenchError(f"{path} is missing: build the target bench_programs")
    port = free_port()
    command = [os.path.join(options.build, "weft"), "serve", "--listen", f"127.0.0.1:{port}", "--threads", "1",
               "--message-max", "2M"]
    if options.command:
        command = [word.replace("{port}", str(port)) for word in shlex.split(options.command)]
    # The replay knows epoll only.
    started = [Subject("raw_echo", [raw], core, None, library)]
    try:
        started.append(Subject(options.name, ["WEFT_BACKEND=epoll"] + command, core,
                               None if options.raw else options.path, library, port))
    except BaseException:
        started[0].stop()
        raise
    return started


def measure(options, both, load):
    connections, messages, size, total = load
    row = {"load": f"{connections} x {messages} x {size_name(size)}"}
    note(row["load"])
    for subject in both:
        subject.prepare(load)
        subject.replay(max(total // 20, connections * messages), 1)  # every byte
        subject.replay(total, 0)  # warm
    for number in range(options.rounds):
        for key, subject in (("raw", both[0]), ("weft", both[1]))[::1 if number % 2 == 0 else -1]:
            row.setdefault(key, []).append(subject.replay(total, 0))
    for subject in both:
        subject.close()
    for key in ("raw", "weft"):
        samples = [sample["ns"] for sample in row[key]]
        low, middle, high = statistics.quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else samples * 3
        row[f"{key}_ns"] = {"median": middle, "quartiles": [low, high]}
    own = [weft["ns"] - raw["ns"] for raw, weft in zip(row["raw"], row["weft"])]
    row["own_ns"] = statistics.median(own)
    return row


def ns(value):
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def table(result):
    name, m = result["name"], result["machine"]
    lines = [
        f"{name} ({result['version']}): user-space ns per echoed message, system calls taken out",
        f"{m['model']}, {m['cores']} cores, Linux {m['kernel']}; medians of {result['rounds']} rounds;",
        "raw is a raw epoll echo, which is the cost of the stand-ins; own is the difference", "",
        f"{'load':19}{'raw':>10}{'quartiles':>20}{name[:12]:>13}{'quartiles':>20}{'own':>11}" +
        "".join(f"{figure:>8}" for figure in CALLS),
    ]
    for row in result["loads"]:
        line = f"{row['load']:19}"
        for key, width in (("raw_ns", 10), ("weft_ns", 13)):
            low, high = row[key]["quartiles"]
            line += f"{ns(row[key]['median']):>{width}}{ns(low) + '-' + ns(high):>20}"
        last = row["weft"][-1]
        line += f"{ns(row['own_ns']):>11}"
        lines.append(line + "".join(f"{last[figure]:>8.2f}" for figure in CALLS))
    lines += ["", "load: connections x messages per read x payload; recvs, sends, faults: calls and page faults per",
              "message"]
    return "\n".join(lines)


def read_options():
    parser = argparse.ArgumentParser(description="user-space time per echoed message, system calls taken out")
    parser.add_argument("--build", default="build", help="build directory: weft, and bench/ with the programs (build)")
    parser.add_argument("--rounds", type=int, default=15, help="rounds (15)")
    parser.add_argument("--path", default="/echo", help="path of the WebSocket echo (/echo)")
    parser.add_argument("--command", help="another server than weft, with {port} in it; one thread, epoll")
    parser.add_argument("--raw", action="store_true", help="it returns every byte and knows no WebSocket")
    parser.add_argument("--name", default="weft", help="its name in the table")
    parser.add_argument("--load", help="only the loads whose name has this in it, such as '16 KiB'")
    parser.add_argument("--json", metavar="FILE", help="write every sample there as well")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds from 1")
    return options


def main():
    options = read_options()
    core = min(os.sched_getaffinity(0))
    result = {"name": options.name, "version": version(options), "machine": machine(), "server_core": core,
              "rounds": options.rounds, "loads": []}
    both = subjects(options, core)
    try:
        for load in LOADS:
            if not options.load or options.load in f"{load[0]} x {load[1]} x {size_name(load[2])}":
                result["loads"].append(measure(options, both, load))
    finally:
        for subject in both:
            subject.stop()
    print(table(result))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    # A terminated bench takes its servers with it.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        main()
    except (BenchError, OSError) as error:
        sys.exit(f"user: {error}")
    except KeyboardInterrupt:
        sys.exit(130)

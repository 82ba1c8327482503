#!/usr/bin/python3
"""weft beside its rivals and the floors, over loopback. See bench/rivals/README.md.

All servers run the whole time, pinned to one core; the load runs on another. A load goes to every server in turn, then
the next load, round after round; the first round only warms up. Standard library only.
"""

import argparse
import datetime
import json
import os
import resource
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import report  # noqa: E402
from loads import LOADS, run_load  # noqa: E402
from process import BenchError, Server, free_port, hold, machine, memory, note  # noqa: E402
from subjects import build_subject, command_of, subjects  # noqa: E402

WARM_CONNECTIONS = 100
SETTLE_S = 0.5
KINDS = sorted({load.kind for load in LOADS})
FAST = {"rounds": 3, "seconds": 0.3, "held": 5000}
FULL = {"rounds": 9, "seconds": 1.0, "held": 15000}


class Rivals:
    def __init__(self, options, found, scratch):
        allowed = sorted(os.sched_getaffinity(0))
        self.options = options
        self.subjects = found
        self.server_core, self.load_core = allowed[0], allowed[1] if len(allowed) > 1 else allowed[0]
        self.tools = os.path.join(options.build, "bench")
        self.scratch = scratch
        self.running = {}
        self.samples = {}  # load title -> subject name -> a dict of figures per round
        self.errors = {}   # load title -> subject name -> why there is no figure

    def start(self, subject, variant):
        port = None if subject.raw else free_port()
        command = command_of(subject, variant, port, self.options.out, self.scratch)
        return Server(subject.name, command, self.server_core, port)

    def server(self, subject, variant):
        key = (subject.name, variant)
        if key not in self.running:
            self.running[key] = self.start(subject, variant)
        return self.running[key]

    def stop(self, subject, variant):
        server = self.running.pop((subject.name, variant), None)
        if server:
            server.stop()

    def stop_all(self):
        while self.running:
            self.running.popitem()[1].stop()

    def measure(self, load, subject, keep):
        """One load against one server. A fault leaves an error instead of figures, and ends the server."""
        if load.kind not in subject.kinds or subject.name in self.errors.get(load.title, {}):
            return
        variant = subject.variant(load.kind)
        window_ms = round(self.options.seconds * 1000)
        options = {"load_core": self.load_core, "window_ms": window_ms, "warmup_ms": min(300, window_ms),
                   "timeout_ms": self.options.timeout_ms}
        try:
            server = self.server(subject, variant)
            target = {"pid": server.pid, "port": server.port, "raw": subject.raw, "paths": subject.paths}
            figures = run_load(load, target, self.tools, options)
            server.check()
        except BenchError as error:
            note(f"  {subject.name}, {load.title}: {error}")
            self.errors.setdefault(load.title, {})[subject.name] = str(error)
            self.samples.get(load.title, {}).pop(subject.name, None)
            self.stop(subject, variant)
            return
        if keep:
            self.samples.setdefault(load.title, {}).setdefault(subject.name, []).append(figures)

    def rounds(self):
        for number in range(self.options.rounds):
            note(f"round {number + 1} of {self.options.rounds}" + ("" if number else " (warms up, is not counted)"))
            for load in LOADS:
                # Rotated, so that nobody always follows the same neighbour.
                turn = number % len(self.subjects)
                for subject in self.subjects[turn:] + self.subjects[:turn]:
                    self.measure(load, subject, keep=number > 0)

    def idle_memory(self, subject):
        """Bytes of user memory per idle connection, on a server that has done nothing else before."""
        count = self.options.held
        server = self.start(subject, "off")
        try:
            command = [os.path.join(self.tools, "bench_hold"), "--port", str(server.port), "--path", subject.paths[0],
                       "--core", str(self.load_core), "--timeout-ms", "20000"]
            hold(server, command, WARM_CONNECTIONS, lambda: None)
            time.sleep(SETTLE_S)
            before = memory(server.pid)
            during = hold(server, command, count, lambda: memory(server.pid))
        finally:
            server.stop()
        per_connection = {key: (during[key] - before[key]) / count for key in before if key in during}
        return {"before": before, "during": during, "bytes_per_connection": per_connection}

    def idle(self):
        found = {}
        for subject in self.subjects:
            if "memory" in subject.kinds:
                note(f"holding {self.options.held:,} connections: {subject.name}")
                try:
                    found[subject.name] = self.idle_memory(subject)
                except BenchError as error:
                    found[subject.name] = {"error": str(error)}
        return found


def read_options():
    parser = argparse.ArgumentParser(description="weft beside its rivals, over loopback")
    parser.add_argument("--build", default="build", help="build directory: weft, and bench/ with the programs (build)")
    parser.add_argument("--full", action="store_true", help="9 rounds of 1 s instead of 3 of 0.3 s, 15,000 held")
    parser.add_argument("--rounds", type=int, help="rounds; the first is not counted")
    parser.add_argument("--seconds", type=float, help="measured per load, server and round")
    parser.add_argument("--held", type=int, help="idle connections for the memory figures, 0: none")
    parser.add_argument("--only", metavar="NAME,...", help="these servers; the raw epoll echo always takes part")
    parser.add_argument("--kinds", metavar="KIND,...", help=f"these kinds of load: {', '.join(KINDS)}")
    parser.add_argument("--json", metavar="FILE", help="write every sample there")
    parser.add_argument("--docs", metavar="FILE", help="a Markdown file whose tables and plots are to be renewed")
    parser.set_defaults(timeout_ms=10000)
    options = parser.parse_args()
    options.measuring = ["--full"] if options.full else []
    for name in FULL:
        if getattr(options, name) is not None:
            options.measuring += [f"--{name}", str(getattr(options, name))]
    for name, value in (FULL if options.full else FAST).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.rounds < 2 or not 0.05 <= options.seconds <= 600 or not 0 <= options.held <= 19000:
        parser.error("--rounds from 2, --seconds from 0.05 to 600, --held from 0 to 19000")
    if options.kinds:
        wanted = set(options.kinds.split(","))
        if not wanted <= set(KINDS):
            parser.error(f"--kinds takes {', '.join(KINDS)}")
        LOADS[:] = [load for load in LOADS if load.kind in wanted]
        options.measuring += ["--kinds", options.kinds]
    options.build = os.path.abspath(options.build)
    options.out = os.path.join(options.build, "rivals")
    return options


def choose(options):
    """The subjects that take part, built; and the versions of all."""
    found = subjects(options.build)
    if options.only:
        wanted = [name.strip() for name in options.only.split(",")]
        unknown = set(wanted) - {subject.name for subject in found}
        if unknown:
            raise BenchError(f"no server is called {', '.join(sorted(unknown))}; there are "
                             f"{', '.join(subject.name for subject in found)}")
        found = [subject for subject in found if subject is found[0] or subject.name in wanted]
    os.makedirs(options.out, exist_ok=True)
    for subject in found:
        build_subject(subject, options.out)
    return found, {subject.name: subject.version() for subject in found}


def main():
    options = read_options()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # servers inherit it
    found, versions = choose(options)
    for name, version in versions.items():
        note(f"{name:14} {version}")
    began, load_before = time.monotonic(), os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="rivals-") as scratch:
        rivals = Rivals(options, found, scratch)
        try:
            rivals.rounds()
        finally:
            rivals.stop_all()
        idle = rivals.idle() if options.held else {}
    result = {
        "command": "bench/rivals/run.py" + "".join(f" {word}" for word in options.measuring),
        "date": datetime.date.today().isoformat(), "machine": machine(), "versions": versions,
        "rounds": options.rounds - 1, "seconds": options.seconds, "held": options.held,
        "minutes": (time.monotonic() - began) / 60, "load_average_before": load_before,
        "server_core": rivals.server_core, "load_core": rivals.load_core,
        "loads": [{"title": load.title, "kind": load.kind, "noun": load.noun} for load in LOADS],
        "samples": rivals.samples, "errors": rivals.errors, "idle": idle,
    }
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
    print(report.terminal(result))
    if options.docs:
        report.renew(options.docs, result)


if __name__ == "__main__":
    # A terminated bench takes its servers with it.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)

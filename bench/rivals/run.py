#!/usr/bin/python3
"""weft beside its rivals and the floors, over loopback. See bench/rivals/README.md.

All servers run the whole time, pinned to one core; the load runs on another. A load goes to every server in turn, then
the next load, round after round. What fails with one server is told in the report and ends nothing else. Standard
library only.
"""

import argparse
import datetime
import json
import os
import resource
import socket
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import report  # noqa: E402
from loads import LOADS, by_wire, hold, run_load, run_program, write_texts  # noqa: E402
from process import BenchError, Server, free_port, machine, note, run_bench  # noqa: E402
from subjects import build_subject, command_of, subjects  # noqa: E402

FAULTS = (BenchError, OSError, ValueError, KeyError)
KINDS = sorted({load.kind for load in LOADS})
COMPARED = ("100 x 1 x 20 B", "10 x 64 x 64 B", "10 x 1 x 16 KiB", "fan-out 1 to 1,000")  # by both loads
USER = "system calls taken out"
MEMORY = "idle memory"
# Minutes: no round begins that would probably end later; what comes after the rounds has its share.
QUICK = {"rounds": 2, "seconds": 0.2, "held": 1000, "minutes": 3.5, "warm_s": 0}
FULL = {"rounds": 6, "seconds": 1.0, "held": 15000, "minutes": 24.0, "warm_s": 0.15}
USER_S, LOAD_S = 15, 0.7  # what user.py takes; what a load takes beside its window


class Rivals:
    def __init__(self, options, found, scratch):
        allowed = sorted(os.sched_getaffinity(0))
        self.options = options
        self.subjects = found
        self.server_core, self.load_core = allowed[0], allowed[1] if len(allowed) > 1 else allowed[0]
        self.tools = os.path.join(options.build, "bench")
        self.scratch = scratch
        self.texts = os.path.join(scratch, "texts")
        write_texts(self.texts)
        self.running = {}
        self.ports = set()
        self.samples = {}  # load title -> subject name -> a dict of figures per round
        self.errors = {}   # load title -> subject name -> why there is no figure
        self.rounds_done = 0

    def start(self, subject, variant):
        port = None if subject.raw else free_port()
        command = command_of(subject, variant, port, self.options.out, self.scratch)
        server = Server(subject.name, command, self.server_core, port)
        self.ports.add(server.port)
        return server

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

    def left_open(self):
        """The ports of ours on which somebody still listens."""
        found = []
        for port in sorted(self.ports):
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    found.append(port)
        return found

    def settings(self, seconds):
        window_ms = round(seconds * 1000)
        return {"load_core": self.load_core, "window_ms": window_ms, "warmup_ms": min(300, window_ms),
                "timeout_ms": self.options.timeout_ms, "patience_s": self.options.timeout_ms / 1000 + 30,
                "tools": self.tools, "weft": os.path.join(self.options.build, "weft"), "texts": self.texts}

    def target(self, subject, server):
        return {"pid": server.pid, "port": server.port, "raw": subject.raw, "paths": subject.paths}

    def failed(self, title, subject, error):
        note(f"  {subject.name}, {title}: {error}")
        self.errors.setdefault(title, {})[subject.name] = str(error) or repr(error)
        self.samples.get(title, {}).pop(subject.name, None)

    def measure(self, load, subject, seconds, keep):
        """One load against one server. A fault leaves an error instead of figures, and ends the server."""
        if load.kind not in subject.kinds or subject.name in self.errors.get(load.title, {}):
            return
        variant = subject.variant(load.kind)
        try:
            server = self.server(subject, variant)
            figures = run_load(load, self.target(subject, server), self.settings(seconds))
            server.check()
        except FAULTS as error:
            self.failed(load.title, subject, error)
            self.stop(subject, variant)
            return
        if keep:
            self.samples.setdefault(load.title, {}).setdefault(subject.name, []).append(figures)

    def round(self, number, seconds, keep):
        for load in LOADS:
            # Rotated, so that nobody always follows the same neighbour.
            turn = number % len(self.subjects)
            for subject in self.subjects[turn:] + self.subjects[:turn]:
                self.measure(load, subject, seconds, keep)

    def rounds(self, until):
        if self.options.warm_s > 0:  # two of the servers compile while they run
            note("a short round warms up and is not counted")
            self.round(0, self.options.warm_s, False)
        for number in range(1, self.options.rounds + 1):
            note(f"round {number} of {self.options.rounds}")
            began = time.monotonic()
            self.round(number, self.options.seconds, True)
            self.rounds_done = number
            if 2 * time.monotonic() - began > until and number < self.options.rounds:
                note(f"only {number} rounds: another would end after {self.options.minutes:g} minutes")
                break

    def loads_compared(self):
        """weft bench and the programs of bench/wire in turn against one weft: load title -> a list of pairs."""
        found = {}
        subject = next((s for s in self.subjects if report.is_weft(s.name)), None)
        for load in [load for load in LOADS if subject and load.title in COMPARED]:
            note(f"both loads: {load.title}")
            try:
                target = self.target(subject, self.server(subject, "off"))
                settings = self.settings(self.options.seconds)
                warm = 1 if self.options.warm_s > 0 else 0
                for number in range(self.rounds_done + warm):
                    pair = {}
                    for way in (run_load, by_wire)[::1 if number % 2 == 0 else -1]:
                        pair["wire" if way is by_wire else "ours"] = way(load, target, settings)["per_cpu_s"]
                    if number >= warm:
                        found.setdefault(load.title, []).append([pair["ours"], pair["wire"]])
            except FAULTS as error:
                self.failed(f"both loads: {load.title}", subject, error)
                self.stop(subject, "off")
        return found

    def idle(self):
        """Bytes of user memory per idle connection, each on a server that has done nothing else before."""
        found = {}
        for subject in [s for s in self.subjects if "memory" in s.kinds]:
            note(f"holding {self.options.held:,} connections: {subject.name}")
            try:
                server = self.start(subject, "off")
                try:
                    found[subject.name] = hold(self.target(subject, server), self.options.held, self.settings(1.0))
                finally:
                    server.stop()
            except FAULTS as error:
                self.failed(MEMORY, subject, error)
        return found

    def user(self):
        """bench/user.py for those it can take: subject name -> load -> own ns per message, and the stand-ins' ns."""
        found = {}
        for subject in [s for s in self.subjects if s.user]:
            note(f"{USER}: {subject.name}")
            path = os.path.join(self.scratch, "user.json")
            try:
                command = command_of(subject, "off", "{port}", self.options.out, self.scratch)
                code, _, err = run_program(
                    [os.path.join(os.path.dirname(HERE), "user.py"), "--build", self.options.build, "--rounds",
                     2 * self.options.rounds + 1, "--name", subject.name, "--command", " ".join(command), "--path",
                     subject.paths[0], "--json", path], {self.server_core, self.load_core}, 240)
                if code != 0:
                    raise BenchError(err.splitlines()[-1] if err else f"user.py ended with status {code}")
                with open(path, encoding="utf-8") as file:
                    found[subject.name] = {row["load"]: {"own": row["own_ns"], "raw": row["raw_ns"]["median"],
                                                         "quartiles": row["weft_ns"]["quartiles"]}
                                           for row in json.load(file)["loads"]}
            except FAULTS as error:
                self.failed(USER, subject, error)
        return found


def read_options():
    parser = argparse.ArgumentParser(description="weft beside its rivals, over loopback")
    parser.add_argument("--build", default="build", help="build directory: weft, and bench/ with the programs (build)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 0.2 s in place of 6 of 1 s: under 4 minutes")
    parser.add_argument("--rounds", type=int, help="rounds that count")
    parser.add_argument("--seconds", type=float, help="measured per load, server and round")
    parser.add_argument("--held", type=int, help="idle connections for the memory figures, 0: none")
    parser.add_argument("--minutes", type=float, help="begin no round that would end later (3.5 or 24)")
    parser.add_argument("--only", metavar="NAME,...", help="these servers; the raw epoll echo always takes part")
    parser.add_argument("--kinds", metavar="KIND,...", help=f"these kinds of load: {', '.join(KINDS)}")
    parser.add_argument("--json", metavar="FILE", help="write every sample there")
    parser.add_argument("--docs", metavar="FILE", help="write the report there as Markdown, its plots beside it")
    parser.set_defaults(timeout_ms=10000, warm_s=None)
    options = parser.parse_args()
    told = ("rounds", "seconds", "held", "minutes", "only", "kinds", "docs")
    asked = [f"--{name} {getattr(options, name)}" for name in told
             if getattr(options, name) is not None]
    options.command = " ".join(["bench/rivals/run.py"] + (["--quick"] if options.quick else []) + asked)
    for name, value in (QUICK if options.quick else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.rounds < 1 or not 0.05 <= options.seconds <= 600 or not 0 <= options.held <= 19000:
        parser.error("--rounds from 1, --seconds from 0.05 to 600, --held from 0 to 19000")
    if options.kinds:
        wanted = set(options.kinds.split(","))
        if not wanted <= set(KINDS):
            parser.error(f"--kinds takes {', '.join(KINDS)}")
        LOADS[:] = [load for load in LOADS if load.kind in wanted]
    options.build = os.path.abspath(options.build)
    options.out = os.path.join(options.build, "rivals")
    return options


def choose(options):
    """The subjects that take part, built; the versions of all, and why some take no part."""
    found = subjects(options.build)
    if options.only:
        wanted = [name.strip() for name in options.only.split(",")]
        unknown = {name for name in wanted if not any(s.name.startswith(name) for s in found)}
        if unknown:
            raise BenchError(f"no server is called {', '.join(sorted(unknown))}; there are "
                             f"{', '.join(subject.name for subject in found)}")
        found = [s for s in found if s is found[0] or any(s.name.startswith(name) for name in wanted)]
    os.makedirs(options.out, exist_ok=True)
    ready, versions, missing = [], {}, {}
    for subject in found:
        try:
            build_subject(subject, options.out)
            versions[subject.name] = subject.version()
            ready.append(subject)
            note(f"{subject.name:14} {versions[subject.name]}")
        except FAULTS as error:
            missing[subject.name] = str(error)
            note(f"{subject.name:14} takes no part: {error}")
    return ready, versions, missing


def compare(options, found, scratch):
    """All of it; what is known when it ends."""
    began = time.monotonic()
    rivals = Rivals(options, found, scratch)
    after = (len(found) * (1 + options.held / 2500) + USER_S +
             2 * len(COMPARED) * (options.rounds + 1) * (options.seconds + LOAD_S))
    try:
        rivals.rounds(began + options.minutes * 60 - after)
        loads = rivals.loads_compared()
    finally:
        rivals.stop_all()
    idle = rivals.idle() if options.held else {}
    user = rivals.user()
    left = rivals.left_open()
    if left:
        rivals.errors["at the end"] = {"a server": f"still listens: ports {', '.join(map(str, left))}"}
    return rivals, {"rounds": rivals.rounds_done, "samples": rivals.samples, "errors": rivals.errors, "idle": idle,
                    "user": user, "loads_compared": loads, "server_core": rivals.server_core,
                    "load_core": rivals.load_core, "minutes": (time.monotonic() - began) / 60}


def main():
    options = read_options()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # servers inherit it
    load_before = os.getloadavg()
    found, versions, missing = choose(options)
    with tempfile.TemporaryDirectory(prefix="rivals-") as scratch:
        _, result = compare(options, found, scratch)
    result.update({
        "command": options.command, "date": datetime.date.today().isoformat(), "machine": machine(),
        "versions": versions, "missing": missing, "seconds": options.seconds, "held": options.held,
        "load_average_before": load_before, "load_average_after": os.getloadavg(),
        "loads": [{key: value for key, value in vars(load).items() if key in ("kind", "title", "noun", "floor")}
                  for load in LOADS],
    })
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
    print(report.terminal(result))
    if options.docs:
        report.write(options.docs, result)


if __name__ == "__main__":
    run_bench(main)

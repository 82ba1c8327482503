#!/usr/bin/python3
"""Does the comparison notice? Servers with one fault each must get an error instead of a figure, and end nothing else.

Usage: selftest.py BUILD-DIRECTORY
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading

import report
import run
from loads import echo
from subjects import Subject, floor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "e2e"))
from faulty import Faulty  # noqa: E402

LOAD = echo(3, 1, 20, "three echoes")
EVERY = 100  # messages of a connection, of which one is spoilt

# How a server behaves, its fault in tests/e2e/faulty.py, what must be said about it; None: it has a figure.
ROWS = [
    ("right", None, None),
    ("flips a byte", "corrupt", "corrupt"),
    ("loses a message", "drop", "unanswered"),
    ("answers twice", "duplicate", "duplicated"),
    ("closes", "cut", "closed early"),
    ("dies", "die", "closed early"),
    ("refuses", "refuse", "handshakes failed"),
    ("has a child", None, "child processes, whose CPU time is not counted"),
    ("does not start", None, "ended with status 3"),
]


class Served(Faulty):
    def spoilt(self, opcode, data, answer):
        if self.fault == "die":
            os._exit(0)
        return super().spoilt(opcode, data, answer)


def serve(port, behaviour):
    """A server of this behaviour, until it is ended."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    if behaviour == "does not start":
        sys.exit(3)
    fault = {name: fault for name, fault, _ in ROWS}[behaviour]
    child = subprocess.Popen(["sleep", "60"]) if behaviour == "has a child" else None
    try:
        with Served(fault, EVERY, port=port):
            threading.Event().wait()
    finally:
        if child:
            child.kill()


def subject(behaviour):
    command = [sys.executable, os.path.abspath(__file__), "--serve", behaviour, "{port}"]
    return Subject(behaviour, command, lambda: "1", kinds={"echo"})


def compare(build, scratch):
    """The result of a comparison of all the rows."""
    tools = os.path.join(build, "bench")
    found = [floor("raw epoll", os.path.join(tools, "bench_raw_echo"), {"echo"})] + [subject(row[0]) for row in ROWS]
    options = argparse.Namespace(build=build, out=scratch, rounds=2, seconds=0.2, held=0, minutes=5, warm_s=0.1,
                                 timeout_ms=1000)
    run.LOADS[:] = [LOAD]
    _, result = run.compare(options, found, scratch)
    load = {key: getattr(LOAD, key) for key in ("kind", "title", "noun", "floor")}
    result.update({"versions": {s.name: "1" for s in found}, "loads": [load], "seconds": 0.2, "held": 0, "missing": {},
                   "machine": {"model": "m", "cores": 2, "kernel": "k"}, "date": "", "command": "c",
                   "load_average_before": [0.0], "load_average_after": [0.0]})
    return result


def check(result, page, behaviour, expected):
    """What is wrong, or None."""
    error = result["errors"].get(LOAD.title, {}).get(behaviour)
    samples = result["samples"].get(LOAD.title, {}).get(behaviour, [])
    if expected is None:
        return None if error is None and len(samples) == 2 else f"{len(samples)} figures, error {error}"
    if samples:
        return "it got a figure"
    if error is None or expected not in error:
        return f"it said: {error}"
    if f"error: {behaviour}, {LOAD.title}: " not in report.terminal(result):
        return "the table does not say so"
    if f"- {behaviour}, {LOAD.title}: no figure: " not in page:
        return "the page does not say so"
    return None


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--serve":
        serve(int(sys.argv[3]), sys.argv[2])
        return
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        result = compare(os.path.abspath(sys.argv[1]), scratch)
        page = os.path.join(scratch, "PAGE.md")
        report.write(page, result)
        with open(page, encoding="utf-8") as file:
            text = file.read()
    failed = 0
    for behaviour, _, expected in ROWS:
        wrong = check(result, text, behaviour, expected)
        failed += wrong is not None
        if wrong is not None:
            print(f"FAILED {behaviour}: {wrong}")
    if "at the end" in result["errors"]:
        failed += 1
        print(f"FAILED at the end: {result['errors']['at the end']}")
    print(f"{len(ROWS) + 1} checks, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

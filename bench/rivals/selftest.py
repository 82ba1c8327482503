#!/usr/bin/python3
"""Does the comparison notice? Servers with one fault each must get an error instead of a figure.

Usage: selftest.py BUILD-DIRECTORY
"""

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import threading

import run
from loads import echo
from report import terminal
from subjects import Subject, floor

HERE = os.path.dirname(os.path.abspath(__file__))
LOAD = echo(3, 1, 20, "three echoes")

# How a server behaves, and what must be said about it; None: it has a figure.
ROWS = [
    ("right", None),
    ("flips a byte", "byte 21 of the answer is"),
    ("loses a message", "no answer within"),
    ("dies", "closed by the server"),
    ("has a child", "child processes, whose CPU time is not counted"),
]


def wire_selftest():
    spec = importlib.util.spec_from_file_location("wire_selftest", os.path.join(HERE, "..", "wire", "selftest.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def serve(port, behaviour):
    """An echo server of this behaviour, until it is ended."""
    wire = wire_selftest()
    faults = {"flips a byte": wire.first_flipped, "loses a message": wire.first_lost,
              "dies": wire.at(0, lambda frame: os._exit(0))}
    peer = wire.Peer(False, faults.get(behaviour, wire.right), wire.UPGRADED, port)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    child = subprocess.Popen(["sleep", "60"]) if behaviour == "has a child" else None
    try:
        threading.Event().wait()
    finally:
        peer.listener.close()
        if child:
            child.kill()


def subject(behaviour):
    command = [sys.executable, os.path.abspath(__file__), "--serve", behaviour, "{port}"]
    return Subject(behaviour, command, lambda: "1", kinds={"echo"})


def compare(build, scratch):
    """The result of a comparison of all the rows."""
    tools = os.path.join(build, "bench")
    found = [floor("raw epoll", os.path.join(tools, "bench_raw_echo"), {"echo"})] + [subject(row[0]) for row in ROWS]
    options = argparse.Namespace(build=build, out=scratch, rounds=3, seconds=0.2, held=0, timeout_ms=1000)
    run.LOADS[:] = [LOAD]
    rivals = run.Rivals(options, found, scratch)
    try:
        rivals.rounds()
    finally:
        rivals.stop_all()
    return {"versions": {s.name: "1" for s in found}, "loads": [vars(LOAD)], "samples": rivals.samples,
            "errors": rivals.errors, "idle": {}, "rounds": 2, "seconds": 0.2, "server_core": 0, "load_core": 1,
            "machine": {"model": "m", "cores": 2, "kernel": "k"}, "date": "", "load_average_before": [0.0]}


def check(result, behaviour, expected):
    """What is wrong, or None."""
    error = result["errors"].get(LOAD.title, {}).get(behaviour)
    samples = result["samples"].get(LOAD.title, {}).get(behaviour, [])
    if expected is None:
        return None if error is None and len(samples) == 2 else f"{len(samples)} figures, error {error}"
    if samples:
        return "it got a figure"
    if error is None or expected not in error:
        return f"it said: {error}"
    if f"error: {behaviour}, {LOAD.title}: " not in terminal(result):
        return "the table does not say so"
    return None


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--serve":
        serve(int(sys.argv[3]), sys.argv[2])
        return
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        result = compare(os.path.abspath(sys.argv[1]), scratch)
    failed = 0
    for behaviour, expected in ROWS:
        wrong = check(result, behaviour, expected)
        failed += wrong is not None
        if wrong is not None:
            print(f"FAILED {behaviour}: {wrong}")
    print(f"{len(ROWS)} checks, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

"""The loads, and the one function that runs one of them against one server."""

import subprocess

from process import BenchError, children

SESSIONS_AT_ONCE = 32
MEMBERS = 1000
PACE = 20000


class Load:
    def __init__(self, kind, title, program, arguments, noun="messages"):
        self.kind, self.title, self.program, self.arguments, self.noun = kind, title, program, arguments, noun


def echo(connections, inflight, size, title):
    return Load("echo", title, "load", ["--connections", connections, "--inflight", inflight, "--bytes", size])


def deflate(kind, takeover):
    return Load(kind, f"deflate, {kind}", "pmd", ["--connections", 100, "--bytes", 1024, "--takeover", takeover])


def fan(inflight):
    title = f"fan-out 1 to {MEMBERS:,}" + (f", {inflight} in flight" if inflight > 1 else "")
    return Load("fan", title, "fan", ["--connections", MEMBERS, "--bytes", 64, "--inflight", inflight], "deliveries")


LOADS = [
    echo(100, 1, 20, "100 x 1 x 20 B"),
    echo(500, 1, 512, "500 x 1 x 512 B"),
    echo(10, 64, 64, "10 x 64 x 64 B"),
    echo(10, 1, 16384, "10 x 1 x 16 KiB"),
    echo(4, 1, 1 << 20, "4 x 1 x 1 MiB"),
    deflate("takeover", 1),
    deflate("no-takeover", 0),
    Load("sessions", "connect, echo, close", "churn", ["--connections", SESSIONS_AT_ONCE], "sessions"),
    fan(1),
    fan(16),
    Load("paced", f"{PACE:,} per second", "load", ["--connections", 100, "--bytes", 64, "--rate", PACE]),
]


def run_load(load, target, tools, options):
    """Runs one load against {pid, port, raw, paths}; returns its figures as a dict of floats.

    A server that loses, changes or refuses anything is a BenchError that says what happened.
    """
    echo_path, room, publisher = target["paths"]
    path = room if load.kind == "fan" else echo_path
    command = [f"{tools}/bench_{load.program}", "--mode", "raw" if target["raw"] else "ws", "--port", target["port"],
               "--core", options["load_core"], "--server-pid", target["pid"], "--warmup-ms", options["warmup_ms"],
               "--window-ms", options["window_ms"], "--timeout-ms", options["timeout_ms"]] + load.arguments
    if not target["raw"]:
        command += ["--path", path] + (["--publisher", publisher] if load.kind == "fan" and publisher else [])
    command = [str(word) for word in command]
    if children(target["pid"]):
        raise BenchError("the server has child processes, whose CPU time is not counted")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options["window_ms"] / 1000 + 60)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{' '.join(command)}: did not end") from None
    if done.returncode != 0:
        raise BenchError(done.stderr.strip() or f"{command[0]} ended with status {done.returncode}")
    figures = {key: float(value) for key, value in (pair.split("=") for pair in done.stdout.split())}
    if load.kind == "takeover" and not target["raw"] and not figures["server_takeover"]:
        raise BenchError("the server does not keep its compression context")
    return figures

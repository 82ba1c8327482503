"""The loads, and the one function that runs one of them against one server.

weft bench is the load of every WebSocket server. The floors know no WebSocket; theirs are the programs of bench/wire in
raw mode, which send the same number of bytes. run.py shows both beside each other against one weft server.
"""

import json
import os
import random
import subprocess

from process import BenchError, children, stop

SESSIONS_AT_ONCE = 32
MEMBERS = 1000
PACE = 20000
TEXT_BYTES = 1024
TEXTS = 65  # together longer than the largest window: nobody finds a whole message in it
PLACES = "127.0.0.2-50"  # one address has not enough ports for all sessions of a run
NOT_COMPRESSED = 0.9
LONGER = 4  # the window of a second try, when nothing was done in the first
INVALID = 70  # of weft bench: the client was the limit
WORDS = ("the to and you that it of we in for have on are with this not can be just what time think server today "
         "people maybe thank because really please coffee answer message week friday build break question review "
         "tomorrow").split()


class TooShort(BenchError):
    """Nothing went wrong, and nothing was done: the window was too short for this server on this machine."""


class Load:
    """`ours`: options of weft bench. `floor`: a program of bench/wire and its options."""

    def __init__(self, kind, title, ours, floor, noun="messages", bytes_of=None):
        self.kind, self.title, self.ours, self.floor, self.noun, self.bytes = kind, title, ours, floor, noun, bytes_of


def echo(connections, inflight, size, title):
    return Load("echo", title, ["-c", connections, "-r", 0, "-i", inflight, "--size", size, "--binary"],
                ["load", "--connections", connections, "--inflight", inflight, "--bytes", size])


def deflate(kind, floor_bytes):
    offer = "--deflate" if kind == "takeover" else "--no-takeover"
    return Load(kind, f"deflate, {kind}", ["-c", 100, "-r", 0, "--messages", "{texts}", offer],
                ["load", "--connections", 100, "--bytes", floor_bytes], bytes_of=TEXT_BYTES)


def fan(inflight):
    title = f"fan-out 1 to {MEMBERS:,}" + (f", {inflight} in flight" if inflight > 1 else "")
    ours = ["--pub", 1, "--sub", MEMBERS, "-r", 0, "-i", inflight, "--size", 64, "--settle", "300ms"]
    return Load("fan", title, ours, ["fan", "--connections", MEMBERS, "--bytes", 64, "--inflight", inflight],
                "deliveries")


LOADS = [
    echo(100, 1, 20, "100 x 1 x 20 B"),
    echo(500, 1, 512, "500 x 1 x 512 B"),
    echo(10, 64, 64, "10 x 64 x 64 B"),
    echo(10, 1, 16384, "10 x 1 x 16 KiB"),
    echo(4, 1, 1 << 20, "4 x 1 x 1 MiB"),
    deflate("takeover", 320),
    deflate("no-takeover", 448),
    Load("sessions", "connect, upgrade, close", ["--storm", "-c", SESSIONS_AT_ONCE, "--local-addr", PLACES],
         ["churn", "--connections", SESSIONS_AT_ONCE], "sessions"),
    fan(1),
    fan(16),
    Load("paced", f"{PACE:,} per second", ["-c", 100, "-r", PACE, "--size", 64],
         ["load", "--connections", 100, "--bytes", 64, "--rate", PACE]),
]


def write_texts(path):
    """Chat messages as JSON, a line each, always the same ones; a few words are said often."""
    dice = random.Random(1)
    with open(path, "w", encoding="ascii") as file:
        for _ in range(TEXTS):
            head = (f'{{"room":"lobby-{dice.randrange(20)}","user":{{"id":{dice.randrange(5000)},'
                    f'"name":"user{dice.randrange(200)}"}},"ts":1700{dice.randrange(10 ** 9):09},"text":"')
            said = " ".join(WORDS[min(dice.randrange(40), dice.randrange(40))] for _ in range(TEXT_BYTES // 2))
            file.write(f'{head}{said[:TEXT_BYTES - 2 - len(head)]}"}}\n')


def run_program(command, cores, timeout_s):
    """Runs a program on these cores to its end: exit code, stdout, stderr."""
    command = [str(word) for word in command]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, preexec_fn=lambda: os.sched_setaffinity(0, cores))
    try:
        out, err = process.communicate(timeout=timeout_s)
        return process.returncode, out, err.strip()
    except subprocess.TimeoutExpired:
        raise BenchError(f"{' '.join(command)}: did not end") from None
    finally:
        stop(process)


def run_bench(arguments, options):
    """Runs weft bench; returns its report. What it calls INVALID is one; any fault of the server is a BenchError."""
    command = [options["weft"], "bench"] + arguments + ["-t", 1, "--json", "--quiet"]
    code, out, err = run_program(command, {options["load_core"]},
                                 options["window_ms"] / 1000 + options["patience_s"])
    try:
        told = json.loads(out)
    except ValueError:
        raise BenchError(err or f"weft bench ended with status {code} and no report") from None
    if told["totals"]["done"] == 0 and told["errors"]["total"] == 0:
        raise TooShort(f"nothing was done in {told['totals']['seconds']:.1f} s")
    if code not in (0, INVALID) or told["errors"]["total"]:
        words = told["verdict"]["failed"] + told["errors"]["examples"][:2]
        raise BenchError("; ".join(words) or f"weft bench ended with status {code}")
    return told


def by_weft_bench(load, target, options):
    echo_path, room = target["paths"]
    url = f"ws://127.0.0.1:{target['port']}{room if load.kind == 'fan' else echo_path}"
    told = run_bench([url] + [str(word).format(texts=options["texts"]) for word in load.ours] +
                     ["-d", f"{options['window_ms']}ms", "--warmup", f"{options['warmup_ms']}ms", "--grace",
                      f"{options['timeout_ms']}ms", "--server-pid", target["pid"]], options)
    done, seconds, used = told["totals"]["done"], told["totals"]["seconds"], told["server"]
    if not used or used["cpu_s"] <= 0 or done == 0:
        raise BenchError(f"{done} done, and the server used no CPU time")
    figures = {"per_cpu_s": done / used["cpu_s"], "per_s": done / seconds, "seconds": seconds,
               "load_busy": told["client"]["cpu_s"] / seconds, "valid": told["verdict"]["valid"]}
    if load.kind in ("paced", "fan"):
        waits = told["last_receiver_ns" if load.kind == "fan" else "latency_ns"]
        figures.update({f"{name}_us": waits[key] / 1000 for name, key in
                        (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"))})
    if load.bytes:
        figures["answer_bytes"] = told["totals"]["wire_in"] / done
        check_compression(load, told["run"], figures["answer_bytes"])
    return figures


def check_compression(load, run, answer_bytes):
    """Figures of two servers have to be of one thing."""
    if not run["deflate_agreed"]:
        raise BenchError("the server does not take the offer of permessage-deflate")
    if answer_bytes > NOT_COMPRESSED * load.bytes:
        raise BenchError(f"the server does not compress: {answer_bytes:.0f} bytes per answer of {load.bytes}")
    keeps = "server_no_context_takeover" not in run["extensions"]
    if keeps != (load.kind == "takeover"):
        raise BenchError(f"the server {'keeps' if keeps else 'does not keep'} its compression context")


def by_wire(load, target, options):
    """The same by the programs of bench/wire; against WebSocket servers only to compare the two loads."""
    program, *arguments = load.floor
    command = [f"{options['tools']}/bench_{program}", "--mode", "raw" if target["raw"] else "ws", "--port",
               target["port"], "--core", options["load_core"], "--server-pid", target["pid"], "--warmup-ms",
               options["warmup_ms"], "--window-ms", options["window_ms"], "--timeout-ms", options["timeout_ms"]]
    if not target["raw"]:
        command += ["--path", target["paths"][1 if load.kind == "fan" else 0]]
    code, out, err = run_program(command + arguments, {options["load_core"]},
                                 options["window_ms"] / 1000 + options["patience_s"])
    if code != 0:
        raise BenchError(err or f"{command[0]} ended with status {code}")
    told = {key: float(value) for key, value in (pair.split("=") for pair in out.split())}
    figures = {"per_cpu_s": told[f"{load.noun}_per_server_cpu_s"], "per_s": told[f"{load.noun}_per_s"],
               "seconds": told["seconds"], "load_busy": told["load_cpu_s"] / told["seconds"]}
    figures.update({key: told[key] for key in ("p50_us", "p99_us", "p999_us") if key in told})
    return figures


def run_load(load, target, options):
    """Runs one load against {pid, port, raw, paths}; returns its figures.

    A server that loses, changes or refuses anything is a BenchError that says what happened.
    """
    if children(target["pid"]):
        raise BenchError("the server has child processes, whose CPU time is not counted")
    if target["raw"]:
        return by_wire(load, target, options)
    try:
        return by_weft_bench(load, target, options)
    except TooShort:
        return by_weft_bench(load, target, {**options, "window_ms": LONGER * options["window_ms"]})


def hold(target, count, options):
    """What `count` idle connections cost, on a server that nobody has spoken to; bytes for each of them.

    `open`: they have never said anything; `end`: each has had one message answered. Both after a rest.
    """
    url = f"ws://127.0.0.1:{target['port']}{target['paths'][0]}"
    once = ["-r", 0, "--warmup", 0, "--server-pid", target["pid"]]
    run_bench([url, "-c", 100, "-n", 100] + once, options)
    used = run_bench([url, "-c", count, "-n", count, "--settle", "1s"] + once, options)["server"]
    return {f"{kind}_{when}": (used[f"{kind}_{when}"] - used[f"{kind}_before"]) / count
            for kind in ("rss", "anon") for when in ("open", "end")}

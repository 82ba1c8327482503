"""What the benches share: servers pinned to a core, lines from their stdout, their memory, and the machine."""

import contextlib
import os
import platform
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

READY_S = 10
HOLD_S = 120


class BenchError(Exception):
    """Something did not work; the text says what."""


class Server:
    """A server process on one core; `stderr` is kept for the case that it fails."""

    def __init__(self, name, command, core, port=None):
        self.name = name
        self.stderr = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if port is None else subprocess.DEVNULL,
                stderr=self.stderr, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        except OSError as error:
            raise BenchError(f"{command[0]} cannot be started: {error}") from error
        self.pid = self.process.pid
        try:
            self.port = self._read_port() if port is None else self._await(port)
        except BaseException:
            self.stop()
            raise

    def _read_port(self):
        line = read_line(self.process, READY_S)
        if not line.strip().isdigit():
            raise BenchError(f"{self.name} did not print its port{self.last_words()}")
        return int(line)

    def _await(self, port):
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            self.check()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return port
            except OSError:
                time.sleep(0.02)
        raise BenchError(f"{self.name} does not listen on port {port} after {READY_S} s{self.last_words()}")

    def last_words(self):
        self.stderr.seek(0)
        text = self.stderr.read().decode(errors="replace").strip()
        return ":\n" + "\n".join(text.splitlines()[-10:]) if text else ""

    def check(self):
        if self.process.poll() is not None:
            raise BenchError(f"{self.name} ended with status {self.process.returncode}{self.last_words()}")

    def stop(self):
        stop(self.process)
        self.stderr.close()


def stop(process):
    """Ends a process of our own, by force when it does not go."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()


def read_line(process, timeout_s):
    """One line from the process's stdout; what there is at its end, or when the time is over."""
    deadline = time.monotonic() + timeout_s
    line = b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            break
        byte = os.read(process.stdout.fileno(), 1)
        if not byte:
            break
        line += byte
    return line.decode(errors="replace")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def hold(server, command, count, held):
    """Opens `count` connections by bench_hold, returns what held() does, and closes them."""
    process = subprocess.Popen(command + ["--connections", str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        if read_line(process, HOLD_S) != f"held {count}\n":
            server.check()
            process.terminate()
            why = process.stderr.read().decode(errors="replace").strip()
            raise BenchError(f"{count} connections could not be held: {why}{server.last_words()}")
        time.sleep(0.5)
        result = held()
        process.stdin.close()
        process.stdin = None
        if process.wait(timeout=30) != 0:
            raise BenchError(f"{count} connections were not held to the end{server.last_words()}")
        return result
    except subprocess.TimeoutExpired:
        raise BenchError("bench_hold did not end") from None
    finally:
        stop(process)


def memory(pid):
    """User memory of a process in bytes: rss, its anonymous part, and where smaps_rollup may be read pss and private."""
    def field_bytes(path):
        with open(path) as file:
            pairs = (line.split(":", 1) for line in file if line.endswith("kB\n"))
            return {key: int(value.split()[0]) * 1024 for key, value in pairs}
    status = field_bytes(f"/proc/{pid}/status")
    found = {"rss": status["VmRSS"], "anonymous": status["RssAnon"]}
    try:
        rollup = field_bytes(f"/proc/{pid}/smaps_rollup")
        found["pss"] = rollup["Pss"]
        found["private"] = rollup["Private_Clean"] + rollup["Private_Dirty"]
    except OSError:
        pass
    return found


def note(text):
    print(text, file=sys.stderr, flush=True)


def machine():
    model = platform.machine()
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"cores": os.cpu_count(), "model": model, "kernel": platform.release()}


def children(pid):
    """The processes that a process has started and that still run."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may have gone
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
                    open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:  # or a thread of it
                found += [int(child) for child in file.read().split()]
    return found


def run_bench(main):
    """The end of every bench: one that is terminated takes its servers with it."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)

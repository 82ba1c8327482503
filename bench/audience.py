"""What the benches with an audience share: a server, those who listen (wire/audience.c), and one who publishes to them.

Messages come at a steady pace. The clock of one is read just before it is sent; every client must get each of them once
and in order, or the run ends with an error.
"""

import contextlib
import hashlib
import hmac
import json
import os
import socket
import subprocess
import tempfile
import time

from process import BenchError, Server, free_port, note, read_line, stop

PATIENCE_S = 120
SETTLE_S = 1.0  # a server may add a member after it has answered
WARM = 2        # messages before those that are measured
APP_ID, APP_KEY, APP_SECRET = "1", "bench", "open sesame"


def message(number, size):
    """The text that wire/audience.c knows: its number, the clock, and a letter that belongs to the number."""
    head = f'{{"n":{number},"at":{time.monotonic_ns()},"text":"'
    return head + chr(ord("a") + number % 26) * (size - len(head) - 2) + '"}'


class Publisher:
    """Posts messages over one connection: to a room, or by the HTTP API to a channel of the Pusher protocol."""

    def __init__(self, port, pusher, size):
        self.port, self.pusher, self.size = port, pusher, size
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = self.socket.makefile("rb")

    def _target(self, body):
        if not self.pusher:
            return "/rooms/bench"
        path = f"/apps/{APP_ID}/events"
        query = (f"auth_key={APP_KEY}&auth_timestamp={int(time.time())}&auth_version=1.0"
                 f"&body_md5={hashlib.md5(body).hexdigest()}")
        signature = hmac.new(APP_SECRET.encode(), f"POST\n{path}\n{query}".encode(), hashlib.sha256).hexdigest()
        return f"{path}?{query}&auth_signature={signature}"

    def publish(self, number):
        body = message(number, self.size)
        if self.pusher:
            body = json.dumps({"name": "tick", "channel": "bench", "data": body})
        body = body.encode()
        self.socket.sendall(f"POST {self._target(body)} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: "
                            f"application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        self._read_answer(number)

    def _read_answer(self, number):
        status, length = self.answers.readline().decode(), 0
        while (line := self.answers.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = self.answers.read(length).decode()
        if status[9:12] not in ("200", "204"):
            raise BenchError(f"message {number} was refused: {status.strip()} {body}")

    def close(self):
        self.answers.close()
        self.socket.close()


class Audience:
    """The program with its connections open."""

    def __init__(self, server, command, count):
        self.server = server
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        bufsize=0)
        try:
            self.expect(f"open {count}\n")
        except BaseException:
            stop(self.process)
            raise

    def expect(self, line):
        got = read_line(self.process, PATIENCE_S)
        if got != line:
            self.fail(f"said {got!r}, not {line!r}")

    def fail(self, what):
        self.server.check()
        stop_quietly(self.process)
        why = self.process.stderr.read().decode(errors="replace").strip()
        raise BenchError(f"the audience {what}: {why}{self.server.last_words()}")

    def tell(self, line):
        try:
            self.process.stdin.write(line.encode() + b"\n")
        except BrokenPipeError:
            self.fail("is gone")

    def report(self):
        self.tell("end")
        line = read_line(self.process, PATIENCE_S)
        if not line.startswith("deliveries="):
            self.fail("has no report")
        return {key: float(value) for key, value in (pair.split("=") for pair in line.split())}


def stop_quietly(process):
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.terminate()
        process.wait(timeout=5)


def start_server(build, backend, core):
    """weft serve with one thread and, but for the log, as it is when nothing is said; and an app for Pusher clients."""
    port = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as config:
        config.write(f"[app bench]\nid = {APP_ID}\nkey = {APP_KEY}\nsecret = {APP_SECRET}\n")
        config.flush()
        os.chmod(config.name, 0o644)
        command = [os.path.join(build, "weft"), "serve", "--listen", f"127.0.0.1:{port}", "--threads", "1", "--backend",
                   backend, "--quiet", "--config", config.name]
        return Server(f"weft on {backend}", command, core, port)


def measure(server, build, core, via, path, count, plan):
    """What `count` clients get by one way of plan["messages"], plan["pace_s"] apart: the program's key=value."""
    program = os.path.join(build, "bench", "bench_audience")
    if not os.access(program, os.X_OK):
        raise BenchError(f"{program} is missing: build the target bench_programs")
    command = [program, "--port", server.port, "--path", path, "--via", via, "--connections", count, "--bytes",
               plan["bytes"], "--server-pid", server.pid, "--timeout-ms", 20000, "--core", core]
    audience = Audience(server, [str(word) for word in command], count)
    try:
        publisher = Publisher(server.port, via == "pusher", plan["bytes"])
        try:
            figures = conduct(audience, publisher, plan)
        finally:
            publisher.close()
    finally:
        stop(audience.process)
    due = count * plan["messages"]
    if via != "poll" and figures["deliveries"] != due:
        note(f"the machine is too busy for this pace: {figures['deliveries']:,.0f} deliveries where {due:,} were due")
    return figures


def conduct(audience, publisher, plan):
    """Publishes on time; counts from half a pace before the first that is measured to half a pace after the last."""
    pace_s, last = plan["pace_s"], WARM + plan["messages"]
    begun = time.monotonic() + SETTLE_S
    for number in range(1, last + 1):
        due = begun + number * pace_s
        if number == WARM + 1:
            sleep_until(due - pace_s / 2)
            audience.tell("begin")
            audience.expect("begun\n")
        sleep_until(due)
        publisher.publish(number)
    sleep_until(begun + (last + 0.5) * pace_s)
    figures = audience.report()
    audience.tell(f"finish {last}")
    audience.expect(f"finished {last}\n")
    if audience.process.wait(timeout=PATIENCE_S) != 0:
        audience.fail("ended badly")
    return figures


def sleep_until(moment):
    left = moment - time.monotonic()
    if left > 0:
        time.sleep(left)

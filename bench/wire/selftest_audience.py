#!/usr/bin/python3
"""Does bench_audience notice? Each row is what a server does to the first of two clients, and what must be said of it.

Where all is well every message, byte and request must have been counted, and every delay.

Usage: selftest_audience.py DIRECTORY-OF-THE-PROGRAMS
"""

import concurrent.futures
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

from selftest import UPGRADED, answer_frame, read_frame

PATIENCE_S = 10
BYTES, OLD_NS = 100, 50_000_000
PUSHER = '{"event":"%s","data":"{}"}'
PLACE = "0123456789abcdef:%d"


def text(number, change=None):
    head = f'{{"n":{number},"at":{time.monotonic_ns() - OLD_NS},"text":"'
    whole = head + chr(ord("a") + number % 26) * (BYTES - len(head) - 2) + '"}'
    return change(whole) if change else whole


def quoted(message):
    return '"' + message.replace('"', '\\"') + '"'


def future(message):
    head, rest = message.split('"at":')
    at, rest = rest.split(",", 1)
    return f'{head}"at":{"9" * len(at)},{rest}'


class Peer:
    """A connection of one client; `messages` are numbers, or texts or bytes as they are, which go out when told."""

    def __init__(self, via, sock, messages, go):
        self.via, self.socket, self.messages, self.go = via, sock, list(messages), go
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = sock.makefile("rb")
        self.sent = self.received = 0
        self.joined = False
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        try:
            {"ws": self.ws, "pusher": self.ws, "sse": self.sse}.get(self.via, self.poll)()
        except (OSError, EOFError, ValueError):
            pass

    def send(self, data):
        self.sent += len(data) if self.joined and self.go.is_set() else 0
        self.socket.sendall(data)

    def request(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.reader.read(1)
            if not byte:
                raise EOFError
            head += byte
        self.received += len(head) if self.joined else 0
        return head

    def each(self):
        self.joined = True
        self.go.wait()
        for message in self.messages:
            yield text(message) if isinstance(message, int) else message

    def ws(self):
        self.request()
        self.send(UPGRADED)
        if self.via == "pusher":
            self.send(answer_frame((PUSHER % "pusher:connection_established").encode(), 0x81))
            assert b"pusher:subscribe" in read_frame(self.reader)[1]
            self.send(answer_frame((PUSHER % "pusher_internal:subscription_succeeded").encode(), 0x81))
        for message in self.each():
            if isinstance(message, bytes):
                self.send(message)
            elif self.via == "pusher":
                self.send(answer_frame(b'{"event":"tick","data":%s}' % quoted(message).encode(), 0x81))
            else:
                self.send(answer_frame(message.encode(), 0x81))

    def sse(self):
        self.request()
        self.socket.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        self.chunk("event: joined\ndata: {}\n\n")
        for message in self.each():
            if isinstance(message, bytes):
                self.send(message)
            else:
                self.chunk(f'data: {{"offset":1,"data":{quoted(message)}}}\n\n')

    def chunk(self, event):
        self.send(f"{len(event):x}\r\n{event}\r\n".encode())

    def answer(self, place, messages, recovered="true"):
        body = f'{{"next":"{PLACE % place}","recovered":{recovered},"messages":[{",".join(messages)}]}}'
        self.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    def poll(self):
        self.request()
        self.answer(0, [], "false")
        messages, place = self.each(), 0
        for message in messages:
            head = self.request()
            assert (PLACE % place).encode() in head, head
            place += 1
            if isinstance(message, bytes):
                self.send(message)
            else:
                self.answer(place, [f'{{"offset":1,"data":{quoted(message)}}}'])
        while self.request() and self.via == "poll":
            self.answer(place, [])


class Audience:
    """The program with two connections to us."""

    def __init__(self, directory, via, first):
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(PATIENCE_S)
        self.go = threading.Event()
        self.process = subprocess.Popen(
            [os.path.join(directory, "bench_audience"), "--port", str(listener.getsockname()[1]), "--connections", "2",
             "--via", via, "--bytes", str(BYTES), "--timeout-ms", "5000" if via == "poll" else "500"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.peers = [Peer(via, listener.accept()[0], messages, self.go) for messages in (first, [1, 2, 3])]
        listener.close()
        self.said("open 2\n")
        while not all(peer.joined for peer in self.peers):
            time.sleep(0.01)

    def said(self, line):
        got = self.process.stdout.readline()
        if got != line:
            raise AssertionError(f"it printed {got!r}, not {line!r}")

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def report(self):
        self.tell("end")
        pairs = (pair.split("=") for pair in self.process.stdout.readline().split())
        return {key: float(value) for key, value in pairs}

    def end(self):
        self.process.kill()
        self.process.communicate()
        for peer in self.peers:
            peer.socket.close()


def frame(number, first=0x81):
    return answer_frame(text(number).encode(), first)


REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
FORGOT = (b'HTTP/1.1 200 OK\r\nContent-Length: 61\r\n\r\n'
          b'{"next":"0123456789abcdef:9","recovered":false,"messages":[]}')
ROWS = [
    ("a message twice", [1, 2, 2, 3], "client 0: message 2 came twice"),
    ("the first again at the end", [1, 2, 1, 3], "client 0: message 1 came twice"),
    ("a message lost", [1, 3], "client 0: message 3 came after 1"),
    ("the last lost", [1, 2], "message 3 did not come to 1 of 2 clients"),
    ("another letter", [1, text(2, lambda t: t.replace('cc"', 'cd"')), 3], "client 0: this is no message"),
    ("a letter less", [1, text(2, lambda t: t.replace('cc"', 'c"')), 3], "client 0: this is no message"),
    ("a message from the future", [1, text(2, future), 3], "client 0: this is no message"),
]
OWN_ROWS = [
    ("ws", "binary for text", [1, frame(2, 0x82)], "client 0: a frame begins with 0x82"),
    ("ws", "something else", [1, answer_frame(b"hello", 0x81)], "client 0: this was not expected: hello"),
    ("ws", "a Close", [1, answer_frame(b"\x03\xe9", 0x88)], "client 0: the server sent Close 1001"),
    ("sse", "the end of the stream", [1, b"0\r\n\r\n"], "the server ended a stream"),
    ("sse", "half an event", [1, b"5\r\ndata:\r\n"], "client 0: a chunk ends within an event"),
    ("long-poll", "a refusal", [1, REFUSED], 'the server answered "HTTP/1.1 503 Service Unavailable", not'),
    ("poll", "a gap", [1, FORGOT], "client 0: this was not expected"),
    ("pusher", "an error", [1, answer_frame(b'{"event":"pusher:error"}', 0x81)], "client 0: this was not expected"),
]


def row(directory, via, messages, expected):
    audience = Audience(directory, via, messages)
    try:
        audience.tell("begin")
        audience.said("begun\n")
        audience.go.set()
        with contextlib.suppress(BrokenPipeError):  # it may have noticed already
            audience.tell("finish 3")
        audience.process.wait(timeout=PATIENCE_S)
        err = audience.process.stderr.read()
        if audience.process.returncode != 1 or expected not in err or err.count("\n") != 1:
            raise AssertionError(f"exit status {audience.process.returncode}: {err}")
    finally:
        audience.end()


def counts(directory, via):
    """All is well: what it counts is what we sent and got, and no delay is shorter than it was."""
    audience = Audience(directory, via, [1, 2, 3])
    try:
        audience.tell("begin")
        audience.said("begun\n")
        before = [peer.received for peer in audience.peers]
        audience.go.set()
        time.sleep(3.2 if via == "poll" else 0.3)
        found = audience.report()
        sent = sum(peer.sent for peer in audience.peers)
        got = sum(peer.received - early for peer, early in zip(audience.peers, before))
        assert found["deliveries"] == 6 and found["p50_us"] >= OLD_NS / 1000, found
        assert found["last_max_us"] >= found["last_p50_us"] >= OLD_NS / 1000, found
        assert found["in_bytes"] == sent > 6 * BYTES, (found, sent)
        each = found["out_bytes"] // max(found["requests"], 1)
        assert found["in_segments"] >= 6 and found["out_segments"] >= 2, found
        if "poll" in via:  # who asked before it was begun was answered later
            early = 2 if via == "long-poll" else (got - found["out_bytes"]) // each
            assert found["requests"] in ((6,) if via == "long-poll" else (5, 6, 7, 8)) and 0 <= early <= 2, (found, got)
            assert found["out_bytes"] == each * found["requests"] == got - each * early, (found, got)
        else:
            assert found["requests"] == found["out_bytes"] == 0, found
        audience.tell("finish 3")
        audience.said("finished 3\n")
        assert audience.process.wait(timeout=PATIENCE_S) == 0
    finally:
        audience.end()


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: selftest_audience.py DIRECTORY")
    directory, checks = sys.argv[1], []
    for via in ("ws", "sse", "long-poll", "poll", "pusher"):
        checks.append((f"{via}: nothing", lambda v=via: counts(directory, v)))
        for name, messages, expected in ROWS if via != "poll" else ROWS[:1]:
            checks.append((f"{via}: {name}", lambda v=via, m=messages, e=expected: row(directory, v, m, e)))
    checks += [(f"{via}: {name}", lambda v=via, m=messages, e=expected: row(directory, v, m, e))
               for via, name, messages, expected in OWN_ROWS]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:  # they mostly wait
        running = [(name, pool.submit(check)) for name, check in checks]
    for name, check in running:
        if error := check.exception():
            failed += 1
            print(f"FAILED {name}: {error!r}")
    print(f"{len(checks)} checks, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

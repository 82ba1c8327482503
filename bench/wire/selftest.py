#!/usr/bin/python3
"""Does the wire bench notice? Each row is a server with one fault, and what the program must say about it.

Usage: selftest.py DIRECTORY-OF-THE-PROGRAMS
"""

import os
import socket
import struct
import subprocess
import sys
import threading
import time

ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
           b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
FAULT_AT = 10  # the answer that is wrong, counted per connection
PONGS = 3


def read_exactly(reader, count):
    data = reader.read(count)
    if len(data) < count:
        raise EOFError
    return data


def read_frame(reader):
    """One client frame: the bytes as they came, and the payload."""
    head = read_exactly(reader, 2)
    length = head[1] & 127
    if length > 125:
        more = read_exactly(reader, 2 if length == 126 else 8)
        head, length = head + more, int.from_bytes(more, "big")
    key, masked = read_exactly(reader, 4), read_exactly(reader, length)
    repeated = (key * (length // 4 + 1))[:length]
    payload = int.from_bytes(masked, "big") ^ int.from_bytes(repeated, "big")
    return head + key + masked, payload.to_bytes(length, "big")


def answer_frame(payload, first=0x82):
    size = len(payload)
    more = struct.pack(">BH", 126, size) if size < 65536 else struct.pack(">BQ", 127, size)
    head = bytes([size]) if size < 126 else more
    return bytes([first]) + head + payload


class Peer:
    """An echo server of one thread per connection. `fault(frame, number)` may change answer `number`; None closes."""

    def __init__(self, raw, fault, response, port=0):
        self.raw, self.fault, self.response = raw, fault, response
        self.pongs = 0
        self.listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        with sock, sock.makefile("rb") as reader:
            try:
                if not self.raw:
                    while reader.readline() not in (b"\r\n", b""):
                        pass
                    sock.sendall(self.response)
                number = 0
                while True:
                    frame, payload = read_frame(reader)
                    if frame[0] == 0x8A:
                        self.pongs += payload == b"are you there"
                        continue
                    answer = self.fault(frame if self.raw else self.echo(sock, payload), number)
                    if answer is None:
                        return
                    sock.sendall(answer)
                    number += 1
            except (EOFError, OSError):
                pass

    def echo(self, sock, payload):
        return answer_frame(payload)

    def await_pongs(self, count):
        deadline = time.monotonic() + 5
        while self.pongs < count and time.monotonic() < deadline:
            time.sleep(0.01)


class RoomPeer(Peer):
    """A room: what comes from one goes to all others, through `fault` for the first member. No pause between them."""

    def __init__(self, raw, fault, response):
        self.members, self.sent = [], 0
        super().__init__(raw, fault, response)

    def serve(self, sock):
        if self.raw:
            self.members.append(sock)
        with sock, sock.makefile("rb") as reader:
            try:
                if not self.raw:
                    while reader.readline() not in (b"\r\n", b""):
                        pass
                    self.members.append(sock)
                    sock.sendall(self.response)
                while True:
                    message = answer_frame(read_frame(reader)[1], 0x81) if not self.raw else \
                        read_exactly(reader, 2) + read_exactly(reader, 20)
                    for member in [m for m in self.members if m is not sock]:
                        copy = self.fault(message, self.sent) if member is self.members[0] else message
                        if copy is None:
                            member.shutdown(socket.SHUT_RDWR)
                        else:
                            member.sendall(copy)
                    self.sent += 1
            except (EOFError, OSError):
                pass


def at(number, change):
    return lambda frame, count: change(frame) if count == number else frame


def right(frame, _):
    return frame


flipped = at(FAULT_AT, lambda f: f[:-1] + bytes([f[-1] ^ 1]))
lost = at(FAULT_AT, lambda f: b"")
doubled = at(FAULT_AT, lambda f: f + f)
extra = at(FAULT_AT, lambda f: f + b"x")
closed = at(FAULT_AT, lambda f: None)
text = at(FAULT_AT, lambda f: b"\x81" + f[1:])
unfinished = at(FAULT_AT, lambda f: b"\x02" + f[1:])
too_big = at(FAULT_AT, lambda f: answer_frame(struct.pack(">H", 1009), 0x88))
first_flipped = at(0, lambda f: f[:-1] + bytes([f[-1] ^ 1]))
first_lost = at(0, lambda f: b"")
first_short = at(0, lambda f: f[:-1])
first_closed = at(0, lambda f: None)
pinging = at(0, lambda f: f + answer_frame(b"are you there", 0x89))
leaving = at(0, lambda f: f + answer_frame(struct.pack(">H", 1001), 0x88))
babbling = at(0, lambda f: f + f)
binary = at(FAULT_AT, lambda f: b"\x82" + f[1:])

# Program, mode, what is wrong, arguments, response, answers; the exit status is 1 where a message is expected, else 0.
ROWS = [
    ("load", "raw", "nothing", "", UPGRADED, right, None),
    ("load", "raw", "nothing, large", "--bytes 300000", UPGRADED, right, None),
    ("load", "raw", "a byte", "", UPGRADED, flipped, "byte 25 of the answer is"),
    ("load", "raw", "a lost answer", "", UPGRADED, lost, "no answer within 1000 ms: 10 came, 26 bytes are missing"),
    ("load", "raw", "a byte too many", "", UPGRADED, extra, "bytes came that nobody asked for after 10 answers"),
    ("load", "raw", "an early close", "", UPGRADED, closed, "closed by the server after 10 answers"),
    ("load", "ws", "nothing", "--connections 20", UPGRADED, right, None),
    ("load", "ws", "nothing, pipelined", "--inflight 64 --bytes 1", UPGRADED, right, None),
    ("load", "ws", "nothing, 16-bit length", "--bytes 126", UPGRADED, right, None),
    ("load", "ws", "nothing, 64-bit length", "--bytes 65536", UPGRADED, right, None),
    ("load", "ws", "a byte", "--bytes 100000 --inflight 2", UPGRADED, flipped,
     "after 10 answers: byte 100009 of the answer"),
    ("load", "ws", "a lost answer", "", UPGRADED, lost, "no answer within 1000 ms"),
    ("load", "ws", "a lost answer among others", "--inflight 8", UPGRADED, lost,
     "after 10 answers: byte 2 of the answer"),
    ("load", "ws", "an answer twice", "--inflight 8", UPGRADED, doubled, "after 11 answers: byte 2 of the answer"),
    ("load", "ws", "text for binary", "", UPGRADED, text, "byte 0 of the answer is 0x81, should be 0x82"),
    ("load", "ws", "no FIN", "", UPGRADED, unfinished, "byte 0 of the answer is 0x02, should be 0x82"),
    ("load", "ws", "a Close frame", "", UPGRADED, too_big, "the server sent Close 1009 instead of an answer"),
    ("load", "ws", "an early close", "", UPGRADED, closed, "closed by the server after 10 answers"),
    ("load", "ws", "the accept value", "", UPGRADED.replace(b"s3pP", b"s3pp"), right, "wrong Sec-WebSocket-Accept"),
    ("load", "ws", "the status", "", b"HTTP/1.1 404 Not Found\r\n\r\n", right, "refused: HTTP/1.1 404 Not Found"),
    ("load", "ws", "bytes after the response", "", UPGRADED + b"\x89\0", right, "2 bytes came after the handshake"),
    ("load", "ws", "no response", "", b"", right, "no handshake response: timed out"),
    ("load", "ws", "an endless response", "", b"HTTP/1.1 101 OK\r\nA: " + b"a" * 4096, right, "is over 2048 bytes"),
    ("load", "raw", "nothing, paced", "--connections 7 --rate 2000", UPGRADED, right, None),
    ("load", "ws", "nothing, paced", "--connections 7 --rate 2000", UPGRADED, right, None),
    ("load", "ws", "nothing, paced too fast", "--rate 100000 --bytes 10000 --window-ms 100", UPGRADED, right, None),
    ("load", "ws", "a byte, paced", "--rate 200", UPGRADED, flipped, "after 10 answers: byte 21 of the answer"),
    ("load", "ws", "a lost answer, paced", "--rate 30", UPGRADED, lost, "after 10 answers: byte 2 of the answer"),
    ("fan", "raw", "nothing", "--connections 5", UPGRADED, right, None),
    ("fan", "raw", "a byte", "--connections 5", UPGRADED, flipped,
     "member 0, after 10 messages: byte 21 of the answer"),
    ("fan", "ws", "nothing", "--connections 5 --inflight 8", UPGRADED, right, None),
    ("fan", "ws", "nothing, in bursts", "--connections 5 --inflight 8 --burst 1", UPGRADED, right, None),
    ("fan", "ws", "a byte", "--connections 5", UPGRADED, flipped, "member 0, after 10 messages: byte 21 of the answer"),
    ("fan", "ws", "a lost delivery", "--connections 5", UPGRADED, lost,
     "member 0: message 10 did not come within 1000"),
    ("fan", "ws", "a lost one among others", "--inflight 8", UPGRADED, lost, "after 10 messages: byte 2 of the answer"),
    ("fan", "ws", "a delivery twice", "--connections 5", UPGRADED, doubled, "22 bytes came that nobody published"),
    ("fan", "ws", "an early close", "--connections 5", UPGRADED, closed, "member 0, after 10 messages: closed by the"),
    ("fan", "ws", "binary for text", "--connections 5", UPGRADED, binary,
     "byte 0 of the answer is 0x82, should be 0x81"),
    ("churn", "raw", "nothing", "", UPGRADED, right, None),
    ("churn", "raw", "a byte", "", UPGRADED, first_flipped, "byte 25 of the answer is"),
    ("churn", "ws", "nothing", "--connections 8", UPGRADED, right, None),
    ("churn", "ws", "a byte", "", UPGRADED, first_flipped, "byte 21 of the answer is"),
    ("churn", "ws", "a lost answer", "", UPGRADED, first_lost, "no answer within 1000 ms"),
    ("churn", "ws", "a short answer", "", UPGRADED, first_short, "no answer within 1000 ms, 21 bytes of it came"),
    ("churn", "ws", "an early close", "", UPGRADED, first_closed, "closed by the server, the answer was due"),
    ("churn", "ws", "no response", "", b"", right, "no handshake response within 1000 ms"),
    ("churn", "ws", "the accept value", "", UPGRADED.replace(b"s3pP", b"s3pp"), right, "wrong Sec-WebSocket-Accept"),
    ("hold", "ws", "nothing", "--connections 60", UPGRADED, right, None),
    ("hold", "ws", "nothing, pinged", f"--connections {PONGS}", UPGRADED, pinging, None),
    ("hold", "ws", "a byte", "", UPGRADED, first_flipped, "byte 21 of the answer is"),
    ("hold", "ws", "a lost answer", "", UPGRADED, first_lost, "no answer: timed out"),
    ("hold", "ws", "an early close", "", UPGRADED, first_closed, "0 of 22 bytes of the answer came"),
    ("hold", "ws", "a Close while held", "", UPGRADED, leaving, "the server sent Close 1001 while held"),
    ("hold", "ws", "a message while held", "", UPGRADED, babbling, "22 bytes came while held that are no Ping"),
]


def run_row(directory, row):
    """Returns what is wrong with the program, or None."""
    program, mode, _, arguments, response, fault, expected = row
    kind = RoomPeer if program == "fan" else Peer
    peer = kind(mode == "raw", fault, response)
    timeout_ms, window_ms = (10000, 500) if expected is None else (1000, 2000)  # a fault needs some messages
    command = [os.path.join(directory, f"bench_{program}"), "--port", str(peer.port), "--timeout-ms", str(timeout_ms)]
    if program != "hold":
        command += ["--mode", mode, "--warmup-ms", "20", "--window-ms", str(window_ms)]
        command += ["--server-pid", str(os.getpid())]
    process = subprocess.Popen(command + arguments.split(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    try:
        if expected is not None:
            process.wait(timeout=20)
        elif program == "hold":
            process.stdout.readline()  # "held N"
            peer.await_pongs(PONGS if fault is pinging else 0)
        out, err = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "it did not end"
    finally:
        peer.listener.close()
    if process.returncode != (0 if expected is None else 1):
        return f"exit status {process.returncode}: {out}{err}"
    if expected is not None and (expected not in err or err.count("\n") != 1):
        return f"it said: {err}"
    if expected is None and program != "hold" and "per_server_cpu_s=" not in out:
        return f"it printed: {out}"
    if fault is pinging and peer.pongs != PONGS:
        return f"{peer.pongs} Pongs came instead of {PONGS}"
    return None


def raw_echo_keeps_what_does_not_fit(program):
    """16 MiB are sent before anything is read, over connections of which one leaves in the middle."""
    process = subprocess.Popen([program], stdout=subprocess.PIPE)
    try:
        port = int(process.stdout.readline())
        data = os.urandom(1 << 20) * 16
        leaver = socket.create_connection(("127.0.0.1", port), timeout=10)
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        with sock, leaver:
            writers = [threading.Thread(target=send_all, args=(s, data), daemon=True) for s in (sock, leaver)]
            for writer in writers:
                writer.start()
            time.sleep(0.3)
            leaver.shutdown(socket.SHUT_RDWR)
            got = bytearray()
            while len(got) < len(data):
                part = sock.recv(1 << 16)
                if not part:
                    return f"closed after {len(got)} bytes"
                got += part
            return None if got == data else "a byte came back wrong"
    except (OSError, ValueError) as error:
        return str(error)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def raw_broadcast_keeps_what_does_not_fit(program):
    """16 MiB go to two members who do not read yet, one of whom leaves."""
    process = subprocess.Popen([program, "--broadcast", "1"], stdout=subprocess.PIPE)
    try:
        port = int(process.stdout.readline())
        data = os.urandom(1 << 20) * 16
        speaker, member, leaver = (socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(3))
        with speaker, member, leaver:
            time.sleep(0.1)
            threading.Thread(target=send_all, args=(speaker, data), daemon=True).start()
            time.sleep(0.3)
            leaver.close()
            got = bytearray()
            while len(got) < len(data):
                part = member.recv(1 << 16)
                if not part:
                    return f"closed after {len(got)} bytes"
                got += part
            return None if got == data else "a byte came wrong"
    except (OSError, ValueError) as error:
        return str(error)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def send_all(sock, data):
    try:
        sock.sendall(data)
    except OSError:
        pass


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: selftest.py DIRECTORY")
    failed = 0
    checks = [(f"{r[0]} {r[1]}: {r[2]} {r[3]}", lambda r=r: run_row(sys.argv[1], r)) for r in ROWS]
    echo, echo_uring = (os.path.join(sys.argv[1], f"bench_raw_echo{kind}") for kind in ("", "_uring"))
    checks.append(("raw_echo: sends that do not fit", lambda: raw_echo_keeps_what_does_not_fit(echo)))
    checks.append(("raw_echo --broadcast: sends that do not fit", lambda: raw_broadcast_keeps_what_does_not_fit(echo)))
    if os.path.exists(echo_uring):
        checks.append(("raw_echo_uring: sends that do not fit", lambda: raw_echo_keeps_what_does_not_fit(echo_uring)))
    for name, check in checks:
        wrong = check()
        failed += wrong is not None
        if wrong is not None:
            print(f"FAILED {name}: {wrong.strip()}")
    print(f"{len(checks)} checks, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

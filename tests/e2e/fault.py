#!/usr/bin/python3
"""A thousand connections, four hundred of them bad, and a SIGTERM in the middle.

    WEFT_BIN=build/weft tests/e2e/fault.py

Six hundred members sit in twenty rooms, one of each room publishes all the time. Then come the others: frozen ones that
join and never read, or make the server echo and never read that, ones that are reset, ones that send garbage as frames or as HTTP, half handshakes, dripping ones.
The server has to get rid of them by itself. What must hold:

  - every member sees every message of its room once, in order, up to its close frame, which is 1001 and nothing else;
  - when the bad ones are gone, descriptors are exactly those of the living, /metrics says the same, and memory is back;
  - after the SIGTERM everybody is closed within the drain, and the program ends with 0.

The bound on memory. What may stay behind per worker: its receive buffers, once they have been filled (512 KiB), with io_uring
the room for small sends (512 KiB), its pools of free segments (64 chunks of 4 KiB and 4,096 references of 64 bytes: 512 KiB),
and what malloc keeps at the top of its heap (128 KiB); once, the 400 connections' own blocks and small change between living
ones (400 x 2 KiB). Together 4.1 MiB with two workers; 5 MiB is allowed. Blocks from 16 KiB up are given back to the system
at once here (GLIBC_TUNABLES), so that it is the server's memory that is measured and not malloc's hopes for the future. The
rooms' pasts are full before. What the frozen ones make the server buffer is several times the bound, or this would prove nothing.
"""

import os
import random
import resource
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time

ROOMS, MEMBERS = 20, 30
FROZEN, ECHOING, RESET, GARBAGE, HALF, DRIPPING = 50, 50, 100, 100, 50, 50
WORKERS = 2
RSS_BOUND = 5 << 20
PAYLOAD = 1000
PUBLISH_EVERY = 0.1  # seconds, per room
DRAIN = 2.0
ECHO_MESSAGES, ECHO_BYTES = 64, 60000  # more than the kernel takes; below --queue-max, so that the server reads on, and pings
KEY = "dGhlIHNhbXBsZSBub25jZQ=="

failures = []
live = random.Random(7)  # a repeatable run


def fail(text):
    failures.append(text)
    print("FAILED:", text, file=sys.stderr)


def frame(first, payload):
    """A masked client frame."""
    key = live.getrandbits(32).to_bytes(4, "big")
    size = len(payload)
    head = bytes([first, 0x80 | size]) if size < 126 else struct.pack(">BBH", first, 0x80 | 126, size)
    mask = (key * (size // 4 + 1))[:size]
    return head + key + (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")


def handshake(path):
    return (f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n").encode()


def connect(port, receive_bytes=0):
    sock = socket.socket()
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.connect(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return sock


class Member:
    """A well-behaved one: answers pings and closes, checks what it gets."""

    def __init__(self, world, room, publishes):
        self.room, self.publishes = room, publishes
        self.sock = connect(world.port)
        self.sock.send(handshake(f"/rooms/r{room}" + ("?echo=1" if publishes else "")))
        self.data = bytearray()
        self.open = self.closing = self.gone = False
        self.next = 0  # the number of the message that must come now

    def name(self):
        return f"a member of room {self.room}"

    def send(self, data):
        try:
            if self.sock.send(data) != len(data):
                fail(f"{self.name()}: the server takes nothing")
        except OSError as error:
            if not self.closing:
                fail(f"{self.name()}: {error}")

    def readable(self, world):
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            data = b""
            if not self.closing:
                fail(f"{self.name()}: {error}")
        if not data:
            if not self.closing:
                fail(f"{self.name()}: the connection ended without a close frame")
            world.selector.unregister(self.sock)
            self.sock.close()
            self.gone = True
            return
        self.data += data
        if not self.open:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self.data.startswith(b"HTTP/1.1 101 "):
                fail(f"{self.name()}: {bytes(self.data[:end])!r}")
            del self.data[:end + 4]
            self.open = True
        at = 0
        while True:
            have = len(self.data) - at
            size = self.data[at + 1] if have >= 2 else 0
            head = 4 if size == 126 else 2
            if have < head:
                break
            if size == 126:
                size = self.data[at + 2] << 8 | self.data[at + 3]
            if have < head + size:
                break
            self.frame(world, self.data[at], bytes(self.data[at + head:at + head + size]))
            at += head + size
        del self.data[:at]

    def frame(self, world, first, payload):
        if self.closing:
            fail(f"{self.name()}: a frame after the close frame")
        elif first == 0x81:
            number = int(payload[:8])
            if number != self.next:
                fail(f"{self.name()}: message {number} in place of {self.next}")
            self.next = number + 1
        elif first == 0x89:
            self.send(frame(0x8A, payload))
        elif first == 0x88:
            code = int.from_bytes(payload[:2], "big")
            if code != 1001 or not world.draining:
                fail(f"{self.name()}: closed with {code} {payload[2:]!r}")
            self.send(frame(0x88, payload[:2]))
            self.closing = True
            world.closed_at.append(time.monotonic())
        else:
            fail(f"{self.name()}: frame {first:#x}")


class Bad:
    """Reads (or not) and does harm when told; gone when the server has hung up or the harm is done."""

    def __init__(self, world, kind):
        self.kind, self.gone, self.sent = kind, False, 0
        self.deaf = kind in ("frozen", "echo")
        self.sock = connect(world.port, 4096 if self.deaf else 0)
        room = live.randrange(ROOMS)
        hello = handshake(f"/rooms/r{room}")
        if kind == "garbage" and live.random() < 0.3:
            hello = live.randbytes(200)
        elif kind == "echo":
            hello = handshake("/echo")
            self.rest = world.flood
        elif kind == "half":
            hello = hello[:live.randrange(1, len(hello) - 2)]
        elif kind == "drip":
            self.drip = hello[:-2] + b"X-Long: " + b"x" * 4000
            hello = b""
        if hello:
            self.sock.send(hello)
        self.at = time.monotonic() + live.uniform(0.1, 1.5)
        if not self.deaf:
            world.selector.register(self.sock, selectors.EVENT_READ, self)

    def readable(self, world):
        try:
            if self.sock.recv(65536):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.end(world)

    def end(self, world, reset=False):
        if self.gone:
            return
        if not self.deaf:
            world.selector.unregister(self.sock)
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        self.gone = True

    def act(self, world, now):
        if self.gone or now < self.at:
            return
        try:
            if self.kind == "reset":
                self.sock.send(b"\x82\xfe\x10")  # in the middle of a frame's head
                self.end(world, reset=True)
            elif self.kind == "garbage":
                # A reserved bit in front: pure chance would now and then send a frame that is right, and a room hears it.
                self.sock.send(bytes([live.randrange(256) | 0x40]) + live.randbytes(live.randrange(3000)))
                self.at = now + 0.2
            elif self.kind == "echo" and self.rest:
                self.rest = self.rest[self.sock.send(self.rest):]
            elif self.kind == "drip":
                self.sock.send(self.drip[self.sent:self.sent + 1])
                self.sent += 1
                self.at = now + 0.05
        except BlockingIOError:
            pass
        except OSError:
            self.end(world)


class World:
    def __init__(self, process, port):
        self.process, self.port = process, port
        self.selector = selectors.DefaultSelector()
        self.members, self.bad, self.closed_at = [], [], []
        self.sent = [0] * ROOMS
        self.publish_at = [0.0] * ROOMS
        self.publishing = self.draining = False
        self.flood = memoryview(frame(0x82, b"e" * ECHO_BYTES) * ECHO_MESSAGES)

    def publish(self, now):
        for room in range(ROOMS):
            publisher = self.members[room * MEMBERS]
            if now >= self.publish_at[room] and not publisher.closing and not publisher.gone:
                publisher.send(frame(0x81, b"%08d" % self.sent[room] + b"." * PAYLOAD))
                self.sent[room] += 1
                self.publish_at[room] = now + PUBLISH_EVERY * live.uniform(0.5, 1.5)

    def turn(self):
        for key, _ in self.selector.select(0.01):
            if not key.data.gone:
                key.data.readable(self)
        now = time.monotonic()
        if self.publishing:
            self.publish(now)
        for bad in self.bad:
            bad.act(self, now)

    def until(self, done, seconds, what):
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                fail(f"not within {seconds} s: {what}")
                return
            self.turn()

    def run_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()

    # ---- what the server looks like from outside ----

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def rss(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def metrics(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as sock:
            sock.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            data = b""
            while more := sock.recv(65536):
                data += more
        values = {}
        for line in data.decode().split("\r\n\r\n", 1)[1].splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
        return values

    def wait_metric(self, name, wanted, seconds):
        seen = None
        end = time.monotonic() + seconds
        while seen != wanted and time.monotonic() < end:
            self.run_for(0.2)
            seen = self.metrics()[name]
        if seen != wanted:
            fail(f"{name} is {seen}, not {wanted}, after {seconds} s")


def check_levels(world, base_descriptors, when):
    world.run_for(0.1)
    values = world.metrics()
    living = ROOMS * MEMBERS
    if values["weft_websockets"] != living or values["weft_connections"] != living + 1:  # and the one that asks
        fail(f"{when}: /metrics has {values['weft_websockets']} WebSockets, {values['weft_connections']} connections")
    world.until(lambda: world.descriptors() == base_descriptors + living, 3,
                f"{when}: {base_descriptors} + {living} descriptors, there are {world.descriptors()}")
    return values


def scenario(world):
    base = world.descriptors()
    for number in range(ROOMS * MEMBERS):
        member = Member(world, number // MEMBERS, number % MEMBERS == 0)
        world.members.append(member)
        world.selector.register(member.sock, selectors.EVENT_READ, member)
        if number % 50 == 0:
            world.turn()
    world.until(lambda: all(m.open for m in world.members), 10, "everybody has joined")
    world.publishing = True
    world.run_for(1.5)  # the rooms' pasts and the pools fill
    check_levels(world, base, "before the bad ones")
    rss_before = world.rss()

    kinds = ["frozen"] * FROZEN + ["echo"] * ECHOING + ["reset"] * RESET + ["garbage"] * GARBAGE + ["half"] * HALF + ["drip"] * DRIPPING
    live.shuffle(kinds)
    rss_most, buffered_most = 0, 0
    for number, kind in enumerate(kinds):
        world.bad.append(Bad(world, kind))
        if number % 10 == 0:
            world.turn()
    most = world.metrics()["weft_connections"]
    if most < ROOMS * MEMBERS + FROZEN + ECHOING:
        fail(f"only {most} connections at the height of it")
    end = time.monotonic() + 3
    while time.monotonic() < end:
        world.run_for(0.25)
        rss_most = max(rss_most, world.rss())
        buffered_most = max(buffered_most, world.metrics()["weft_buffered_bytes"])
    world.wait_metric("weft_websockets", ROOMS * MEMBERS, 9)
    world.wait_metric("weft_connections", ROOMS * MEMBERS + 1, 4)
    for bad in world.bad:
        if not bad.gone and not bad.deaf:
            fail(f"a {bad.kind} one was never hung up on")
    values = check_levels(world, base, "after the bad ones")
    rss_after = world.rss()
    grown = rss_after - rss_before
    print(f"memory: {rss_before >> 10} KiB before, {rss_most >> 10} at most, {rss_after >> 10} after; "
          f"buffered at most {int(buffered_most) >> 10}", file=sys.stderr)
    if buffered_most < 4 * RSS_BOUND:
        fail("the frozen ones did not weigh enough")
    if not world.sanitized and grown > RSS_BOUND:
        fail(f"memory grew by {grown >> 10} KiB")
    if values['weft_closes_total{code="1008"}'] < FROZEN + ECHOING:
        fail(f"{values} does not count the frozen ones")
    for reason in ("too_slow", "broken"):
        if not values[f'weft_refusals_total{{reason="{reason}"}}']:
            fail(f"nothing was refused as {reason}")

    # What had been sent well before the signal must reach everyone.
    sure = list(world.sent)
    world.run_for(0.5)
    started = time.monotonic()
    world.draining = True
    world.process.send_signal(signal.SIGTERM)
    world.until(lambda: all(m.gone for m in world.members), DRAIN + 6, "everybody is closed")
    for member in world.members:
        if member.next < sure[member.room]:
            fail(f"{member.name()} saw {member.next} messages, {sure[member.room]} had been sent before the signal")
    spread = max(world.closed_at) - min(world.closed_at) if world.closed_at else 0
    if len(world.closed_at) != ROOMS * MEMBERS or not DRAIN / 2 < spread < DRAIN + 3:
        fail(f"{len(world.closed_at)} close frames, spread over {spread:.1f} s")
    try:
        code = world.process.wait(10)
    except subprocess.TimeoutExpired:
        fail("the program does not end")
        return
    if code != 0:
        fail(f"exit code {code}")
    print(f"{sum(world.sent)} messages, {sum(m.next for m in world.members)} deliveries, drained in "
          f"{time.monotonic() - started:.1f} s", file=sys.stderr)


def main():
    program = os.environ.get("WEFT_BIN")
    if not program:
        sys.exit("WEFT_BIN names the program to test")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    ready, told = os.pipe()
    command = [program, "serve", "--listen", "127.0.0.1:0", "--ready-fd", str(told), "--threads", str(WORKERS),
               "--ping-interval", "500ms", "--ping-timeout", "2s", "--handshake-timeout", "2s",
               "--history", "10", "--queue-max", "8M", "--drain", f"{int(DRAIN * 1000)}ms", "--quiet"]
    if os.geteuid() == 0:
        command += ["--user", "root"]  # so that /proc can be read
    started = time.monotonic()
    environment = dict(os.environ, GLIBC_TUNABLES="glibc.malloc.mmap_threshold=16384")
    process = subprocess.Popen(command, pass_fds=(told,), env=environment)
    os.close(told)
    try:
        with os.fdopen(ready) as line:
            url = line.readline().strip()
        if not url:
            sys.exit("the program did not start")
        world = World(process, int(url.rsplit(":", 1)[1]))
        with open(program, "rb") as file:
            world.sanitized = b"__asan_init" in file.read()
        scenario(world)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    took = time.monotonic() - started
    if took > 30:
        fail(f"it took {took:.1f} s")
    print(f"{len(failures)} failures in {took:.1f} s")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

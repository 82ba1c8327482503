#!/usr/bin/python3
"""Does bench_members notice? Each row is what a server does to the first of two members, and what must be said of it.

Usage: selftest_members.py DIRECTORY-OF-THE-PROGRAMS
"""

import os
import socket
import struct
import subprocess
import sys

from selftest import UPGRADED, answer_frame, read_frame

PATIENCE_S = 10
HELLO = answer_frame(b"hello", 0x81)
PING = answer_frame(b"there?", 0x89)
BYE = answer_frame(struct.pack(">H", 1001), 0x88)
RESET, NOTHING = object(), b""

# What is wrong, commands, what the first member is sent after them, what is expected on stderr.
ROWS = [
    ("a message twice", ["expect hello"], HELLO + HELLO, "connection 0: the message came twice"),
    ("another message", ["expect hello"], answer_frame(b"hellO", 0x81), "a message came that was not expected"),
    ("a message too early", [], HELLO, "a message came that was not expected"),
    ("binary for text", ["expect hello"], answer_frame(b"hello", 0x82), "a frame begins with 0x82"),
    ("half a frame", ["expect hello"], HELLO[:-1], "a frame is too long or in pieces"),
    ("a Close too early", [], BYE, "the server sent Close 1001"),
    ("another Close", ["end"], answer_frame(struct.pack(">H", 1008) + b"why", 0x88), "the server sent Close 1008 why"),
    ("a Close without a code", ["end"], answer_frame(b"", 0x88), "the server sent Close 1005"),
    ("a frame after the Close", ["end"], BYE + PING, "a frame came after the Close"),
    ("no Close", ["end"], None, "ended with no Close"),
    ("an unknown command", ["dance"], NOTHING, '"dance" is no command'),
]


class Members:
    """The program with two connections to us."""

    def __init__(self, directory):
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(PATIENCE_S)
        self.process = subprocess.Popen(
            [os.path.join(directory, "bench_members"), "--port", str(listener.getsockname()[1]), "--connections", "2"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.peers, self.readers = [], []
        for _ in range(2):
            peer = listener.accept()[0]
            peer.settimeout(PATIENCE_S)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += peer.recv(4096)
            peer.sendall(UPGRADED)
            self.peers.append(peer)
            self.readers.append(peer.makefile("rb"))
        listener.close()
        self.said("open 2")

    def said(self, line):
        got = self.process.stdout.readline().rstrip("\n")
        if got != line:
            raise AssertionError(f"it printed {got!r}, not {line!r}")

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        if line.split()[0] in ("expect", "end"):
            self.said("ready")

    def frame(self, index):
        whole, payload = read_frame(self.readers[index])
        return whole[0], payload

    def close_peers(self):
        for end in self.readers + self.peers:
            end.close()

    def report(self):
        self.process.stdin.write("report\n")
        self.process.stdin.flush()
        return [int(word) for word in self.process.stdout.readline().split()[1:]]

    def end(self):
        self.process.kill()
        self.process.communicate()
        self.close_peers()


def row(members, commands, sent, expected):
    for command in commands:
        members.tell(command)
    if sent is None:
        members.peers[0].shutdown(socket.SHUT_RDWR)
    else:
        members.peers[0].sendall(sent)
    members.process.wait(timeout=PATIENCE_S)  # with stdin still open: its end is an error, too
    err = members.process.communicate(timeout=PATIENCE_S)[1]
    if members.process.returncode != 1 or expected not in err or err.count("\n") != 1:
        raise AssertionError(f"exit status {members.process.returncode}: {err}")


def counts(members, reset):
    """All as it should be, but that the first connection may be cut after its Close."""
    first, second = members.peers
    members.tell("expect hello")
    first.sendall(PING)
    assert members.frame(0) == (0x8A, b"there?")
    assert members.report()[:4] == [2, 1, 0, 1]
    members.tell("pings")
    first.sendall(PING + HELLO + PING)
    second.sendall(HELLO)
    assert [members.frame(0), members.frame(0)] == [(0x8A, b"there?")] * 2
    while members.report()[2] != 2:  # ends with the patience of ctest
        pass
    assert members.report()[:4] == [2, 1, 2, 3]
    members.tell("end")
    for index in range(2):
        members.peers[index].sendall(BYE)
        assert members.frame(index) == (0x88, b"\x03\xe9")
    if reset:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    members.close_peers()
    members.said("closed 1" if reset else "closed 2")
    assert members.process.wait(timeout=PATIENCE_S) == 0


def stdin_ends(members):
    err = members.process.communicate(timeout=PATIENCE_S)[1]
    assert members.process.returncode == 1 and "stdin ended" in err, err


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: selftest_members.py DIRECTORY")
    checks = [(name, lambda m, r=rest: row(m, *r)) for name, *rest in ROWS]
    checks += [("nothing", lambda m: counts(m, False)), ("a reset at the end", lambda m: counts(m, True)),
               ("the end of stdin", stdin_ends)]
    failed = 0
    for name, check in checks:
        members = Members(sys.argv[1])
        try:
            check(members)
        except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
            failed += 1
            print(f"FAILED {name}: {error!r}")
        finally:
            members.end()
    print(f"{len(checks)} checks, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Does bench/user.py notice? A server in Python, with the replay inside, is measured as it is and with one fault each.

Usage: selftest.py BUILD-DIRECTORY
"""

import os
import select
import socket
import subprocess
import sys

# The fault, the message it is done to, and what has to be said about it; None: nothing is wrong.
CHECKED, COUNTED = 3050, 20050  # in mid-turn: a message whose answer is compared, and one that is only counted
FAULTS = [
    ("none", 0, None),
    ("wrong", CHECKED, "should be 0x"),
    ("lost", CHECKED, "should be 0x"),
    ("lost", COUNTED, "the server "),  # waits, or on a busy machine has closed a connection by then
    ("twice", CHECKED, "should be 0x"),
    ("twice", COUNTED, "more bytes were sent"),
    ("close", COUNTED, "the server closed a connection"),
    ("exit", COUNTED, "ended with status 3"),
]


def serve(port, fault, fault_at):
    """An echo of what comes, as the raw one; the replay sees its epoll_wait, recv and send."""
    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    epoll = select.epoll()
    epoll.register(listener.fileno(), select.EPOLLIN)
    clients, count = {}, 0
    while True:
        for fd, _ in epoll.poll():
            if fd == listener.fileno():
                client = listener.accept()[0]
                client.setblocking(False)
                clients[client.fileno()] = client
                epoll.register(client.fileno(), select.EPOLLIN)
                continue
            data = clients[fd].recv(65536)
            if not data:
                epoll.unregister(fd)
                clients.pop(fd).close()
                continue
            count += 1
            if count == fault_at and fault == "exit":
                os._exit(3)
            if count == fault_at and fault == "close":
                clients.pop(fd).close()
                continue
            if count == fault_at and fault == "wrong":
                data = data[:-1] + bytes([data[-1] ^ 1])
            if count != fault_at or fault != "lost":
                clients[fd].send(data * 2 if count == fault_at and fault == "twice" else data)


def main():
    if sys.argv[1] == "--serve":
        serve(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    user = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "user.py")
    failed = 0
    for fault, at, words in FAULTS:
        done = subprocess.run(
            [user, "--build", sys.argv[1], "--rounds", "1", "--load", "x 20 B", "--raw", "--command",
             f"{sys.executable} {os.path.abspath(__file__)} --serve {{port}} {fault} {at}"],
            capture_output=True, text=True, timeout=60)
        fine = done.returncode == 0 if words is None else done.returncode == 1 and words in done.stderr
        print(f"{'ok' if fine else 'FAILED':8}{fault} {at}")
        if not fine:
            failed += 1
            print(f"status {done.returncode}, expected {words or 'no fault'}:\n{done.stdout}{done.stderr}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

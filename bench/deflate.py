#!/usr/bin/env python3
"""What compression costs and gives a room: one speaker, many members, every mode of `weft serve --deflate`.

    bench/deflate.py [--build DIR] [--members N] [--messages N] [--rounds N]

Members offer permessage-deflate as browsers do and read without looking; the server has one core, the load the other. The
modes take turns, figures are medians over the rounds:

    CPU/delivery    microseconds of the server's CPU time for each message that a member gets
    bytes/delivery  bytes on the wire for each
    bytes/member    what the server holds for each member at the end, as its own /metrics counts it
"""
import argparse
import os
import random
import select
import socket
import statistics
import struct
import subprocess
import sys
import urllib.request

MODES = ('off', 'no-takeover', 'shared', 'dedicated')
WORDS = ('the to and you is that it of we in for have on are with this not can be just what if time think server message '
         'should people tomorrow maybe really please because thanks today coffee question answer review friday').split()


def chat_message(dice):
    """A chat message as JSON, 60 to 270 bytes; a few words are said often."""
    words = ' '.join(WORDS[min(dice.randrange(len(WORDS)), dice.randrange(len(WORDS)))]
                     for _ in range(dice.randrange(3, 28)))
    return (f'{{"type":"message","room":"lobby-{dice.randrange(20)}","user":{{"id":{dice.randrange(5000)},'
            f'"name":"user{dice.randrange(300)}"}},"ts":17000{dice.randrange(10**8):08},"text":"{words}"}}').encode()


def frame(payload):
    head = bytes([0x81, 0x80 | len(payload)]) if len(payload) < 126 else struct.pack('>BBH', 0x81, 0xfe, len(payload))
    return head + bytes(4) + payload


class Server:
    def __init__(self, program, mode):
        ready, tell = os.pipe()
        self.child = subprocess.Popen(
            [program, 'serve', '--threads', '1', '--listen', '127.0.0.1:0', '--quiet', '--ready-fd', str(tell),
             '--ping-interval', 'never', '--slow', 'close', '--queue-max', '64M', '--deflate', mode],
            pass_fds=[tell], preexec_fn=lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}))
        os.close(tell)
        with os.fdopen(ready) as line:
            self.url = line.readline().strip()
        self.port = int(self.url.rsplit(':', 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()

    def cpu_s(self):
        with open(f'/proc/{self.child.pid}/stat', encoding='ascii') as stat:
            fields = stat.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def metric(self, name):
        with urllib.request.urlopen(f'{self.url}/metrics', timeout=10) as page:
            for line in page.read().decode().splitlines():
                if line.startswith(f'weft_{name} '):
                    return int(line.split()[1])
        raise KeyError(name)

    def join(self, offer):
        member = socket.create_connection(('127.0.0.1', self.port))
        extension = 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n' if offer else ''
        member.sendall((f'GET /rooms/bench HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\n'
                        'Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
                        f'Sec-WebSocket-Version: 13\r\n{extension}\r\n').encode())
        head = b''
        while not head.endswith(b'\r\n\r\n'):
            head += member.recv(1)
        return member


class Crowd:
    def __init__(self, members):
        self.epoll, self.members, self.bytes = select.epoll(), {}, 0
        for member in members:
            member.setblocking(False)
            self.epoll.register(member, select.EPOLLIN)
            self.members[member.fileno()] = member

    def read(self, wait_s):
        """Reads all there is; false when nothing came within the time."""
        ready = self.epoll.poll(wait_s)
        for fd, _ in ready:
            self.bytes += len(self.members[fd].recv(1 << 20))
        return bool(ready)


def run(program, mode, members, messages):
    dice = random.Random(1)
    frames = [frame(chat_message(dice)) for _ in range(messages)]
    with Server(program, mode) as server:
        crowd, speaker = Crowd([server.join(True) for _ in range(members)]), server.join(False)
        before = server.cpu_s()
        for one in frames:
            speaker.sendall(one)
            crowd.read(0.01)
        while crowd.read(0.5):
            pass
        spent = server.cpu_s() - before
        assert server.metric('delivered_total') == members * messages, 'a delivery is missing'
        deliveries = members * messages
        return spent * 1e6 / deliveries, crowd.bytes / deliveries, server.metric('buffered_bytes') / members


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument('--build', default='build', help='the build directory')
    parse.add_argument('--members', type=int, default=200)
    parse.add_argument('--messages', type=int, default=1500)
    parse.add_argument('--rounds', type=int, default=5)
    options = parse.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))})
    figures = {mode: [] for mode in MODES}
    for _ in range(options.rounds):
        for mode in MODES:
            figures[mode].append(run(os.path.join(options.build, 'weft'), mode, options.members, options.messages))
    print(f'{"mode":14}{"CPU/delivery":>14}{"bytes/delivery":>16}{"bytes/member":>14}')
    for mode in MODES:
        cpu, wire, held = (statistics.median(column) for column in zip(*figures[mode]))
        print(f'{mode:14}{cpu:11.2f} us{wire:16.1f}{held:14.0f}')


if __name__ == '__main__':
    sys.exit(main())

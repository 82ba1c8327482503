"""A WebSocket server with one fault, for what has to notice it. It shares nothing with the library.

    with Faulty('drop', every=1000) as server:
        server.url

Faults of one message in `every` (the middle one of each `every` on a connection): drop, duplicate, reorder, corrupt,
truncate, opcode, stray. Faults of a connection: greeting (says welcome first), cut (ends without a close frame after
`every` messages), close (closes with 1011 then), deaf (stops reading then). Faults of the handshake: refuse (503),
silent (accepts and never answers), nonsense (not HTTP), wrong_key. None: no fault.

As a room it passes a message on to all others instead; the fault is what one of them gets.
"""

import base64
import hashlib
import socket
import struct
import threading

GUID = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def head(opcode, size):
    if size < 126:
        return struct.pack('!BB', 0x80 | opcode, size)
    if size < 1 << 16:
        return struct.pack('!BBH', 0x80 | opcode, 126, size)
    return struct.pack('!BBQ', 0x80 | opcode, 127, size)


def unmask(data, key):
    size = len(data)
    repeated = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, 'big') ^ int.from_bytes(repeated, 'big')).to_bytes(size, 'big')


class Faulty:
    def __init__(self, fault=None, every=1000, is_room=False, port=0):
        self.fault, self.every, self.is_room = fault, every, is_room
        self.members = []
        self.listener = socket.create_server(('127.0.0.1', port), backlog=256)
        self.url = f'ws://127.0.0.1:{self.listener.getsockname()[1]}/echo'
        self.sockets = []
        self.faults = 0  # that were made
        self.headers = []  # of the handshakes, one after the other
        self.is_open = True
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_open = False
        self.listener.close()
        for one in self.sockets:
            one.close()

    def accept(self):
        while self.is_open:
            try:
                one, _ = self.listener.accept()
            except OSError:
                return
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets.append(one)
            threading.Thread(target=self.serve, args=[one], daemon=True).start()

    def serve(self, one):
        try:
            with one, one.makefile('rb') as reader:
                if self.upgrade(one, reader):
                    self.members.append(one)
                    self.echo(one, reader)
        except (OSError, EOFError, struct.error, ValueError):
            pass

    def upgrade(self, one, reader):
        key = None
        while (line := reader.readline()) not in (b'\r\n', b''):
            self.headers.append(line.strip().decode())
            name, _, value = line.partition(b':')
            if name.lower() == b'sec-websocket-key':
                key = value.strip()
        if self.fault == 'silent':
            reader.read(1)
            return False
        if self.fault == 'refuse':
            one.sendall(b'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 14\r\n\r\n'
                        b'full \x1b[31m now')
            return False
        if self.fault == 'nonsense':
            one.sendall(b'220 mail.example.org ESMTP\r\n')
            return False
        if self.fault == 'wrong_key':
            key = b'x'
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        one.sendall(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                    b'Sec-WebSocket-Accept: ' + accept + b'\r\n\r\n')
        return True

    def frame(self, reader):
        first, size = reader.read(2)
        size &= 127
        if size == 126:
            size, = struct.unpack('!H', reader.read(2))
        elif size == 127:
            size, = struct.unpack('!Q', reader.read(8))
        key = reader.read(4)
        return first & 15, unmask(reader.read(size), key)

    def echo(self, one, reader):
        number, held = 0, b''
        if self.fault == 'greeting':
            one.sendall(head(TEXT, 7) + b'welcome')
        while True:
            opcode, data = self.frame(reader)
            if opcode == CLOSE:
                one.sendall(head(CLOSE, len(data)) + data)
                return
            if opcode == PING:
                one.sendall(head(PONG, len(data)) + data)
                continue
            number += 1
            good = answer = head(opcode, len(data)) + data
            if number % self.every == self.every // 2:
                self.faults += 1
                if self.fault == 'cut':
                    return
                if self.fault == 'close':
                    one.sendall(head(CLOSE, 10) + struct.pack('!H', 1011) + b'bad luck')
                    return
                if self.fault == 'deaf':
                    threading.Event().wait(30)
                    return
                if self.fault == 'reorder':
                    held = answer
                    continue
                answer = self.spoilt(opcode, data, answer)
            others = [other for other in self.members if other is not one] if self.is_room else [one]
            for other in others:
                other.sendall(answer + held if other is others[0] else good)
            held = b''

    def spoilt(self, opcode, data, answer):
        if self.fault == 'drop':
            return b''
        if self.fault == 'duplicate':
            return answer + answer
        if self.fault == 'corrupt':
            at = len(data) * 3 // 4
            data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
        elif self.fault == 'truncate':
            data = data[:-1]
        elif self.fault == 'opcode':
            opcode = BINARY if opcode == TEXT else TEXT
        elif self.fault == 'stray':
            return answer + head(opcode, 5) + b'hello'
        return head(opcode, len(data)) + data

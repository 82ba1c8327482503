"""Servers made of strings: what they send, whoever asks, and how they end."""

import base64
import contextlib
import hashlib
import re
import socket
import struct
import threading
import time

from weft import PATIENCE_S, frame

GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'


class Peer:
    """The server's end of one connection, and the head that came by it."""

    def __init__(self, sock, number):
        self.socket, self.number, self.request = sock, number, b''
        while b'\r\n\r\n' not in self.request:
            some = sock.recv(4096)
            if not some:
                raise EOFError
            self.request += some

    def path(self):
        return self.request.split()[1].decode()

    def header(self, name):
        found = re.search(rf'\r\n{name}: ([^\r]*)', self.request.decode())
        return found and found[1]

    def accept(self):
        digest = hashlib.sha1((self.header('Sec-WebSocket-Key') + GUID).encode()).digest()
        return base64.b64encode(digest).decode()

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.socket.close()

    def wait(self):
        """Says no more, until the client goes."""
        while self.socket.recv(4096):
            pass


@contextlib.contextmanager
def serving_raw(meet, host='127.0.0.1'):
    """A server on a thread, each connection another: `meet` gets its socket and its number. Gives the port."""
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)

    def play(sock, number):
        sock.settimeout(PATIENCE_S)
        with sock, contextlib.suppress(OSError, EOFError):
            meet(sock, number)

    def accept():
        with contextlib.suppress(OSError):
            for number in range(1000):
                sock = listener.accept()[0]
                threading.Thread(target=play, args=[sock, number], daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def serving(play, **how):
    """The same for what begins with a request: `play` gets a Peer."""
    return serving_raw(lambda sock, number: play(Peer(sock, number)), **how)


def says(*texts, then='end', pause_s=0):
    """A server that sends this, whatever is asked."""
    def play(peer):
        for text in texts:
            peer.send(text)
            time.sleep(pause_s)
        if then == 'reset':
            time.sleep(0.05)  # what was said is to arrive before
            peer.reset()
        elif then == 'wait':
            peer.wait()
    return play


def head(status, *lines):
    return '\r\n'.join([f'HTTP/1.1 {status}', *lines, '', ''])


def page(status, body, *lines):
    return head(status, *lines, f'Content-Length: {len(body)}') + body


def upgrade(*lines, without=(), behind=b'', then='wait', **instead):
    """A 101 that is good but for what is named."""
    def play(peer):
        good = {'Upgrade': 'websocket', 'Connection': 'Upgrade', 'Sec-WebSocket-Accept': peer.accept()}
        good.update({name.replace('_', '-'): value for name, value in instead.items()})
        kept = [f'{name}: {value}' for name, value in good.items() if name not in without]
        peer.send(head('101 Switching Protocols', *kept, *lines).encode() + behind)
        if then == 'reset':
            time.sleep(0.05)
            peer.reset()
        elif then == 'answer':
            peer.socket.recv(4096)
        elif then == 'wait':
            peer.wait()
    return play


def closing(code, reason=b''):
    return frame(8, struct.pack('!H', code) + reason, masked=False)

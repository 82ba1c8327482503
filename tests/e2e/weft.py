"""What the tests in Python share: the program under test, and a client that is nothing but a socket.

$WEFT_BIN names the program. Everything that waits has a time-out, and a test that hangs for all that is ended, with a
trace, by `main`.
"""

import concurrent.futures
import faulthandler
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PATIENCE_S = 10
WHOLE_RUN_S = 100
MASK = b'\x37\xfa\x21\x3d'

for name in [name for name in os.environ if name.lower().endswith('_proxy')]:  # they lead away from here
    del os.environ[name]

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def program():
    return os.environ['WEFT_BIN']


def main(at_once=1, seconds=WHOLE_RUN_S):
    """The end of every test file: runs its tests, or those named, so many at once. For more than one at once they may have
    no fixture of their class, but one of the module. Who is late is told where it stands, and ends what it has started."""
    def too_late(*_):
        faulthandler.dump_traceback()
        raise SystemExit(f'not done after {seconds} s')
    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(seconds)
    faulthandler.dump_traceback_later(seconds + 15, exit=True)
    if at_once == 1:
        unittest.main(verbosity=2)
    module = sys.modules['__main__']
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromNames(sys.argv[1:], module) if sys.argv[1:] else loader.loadTestsFromModule(module)
    if hasattr(module, 'setUpModule'):
        module.setUpModule()
    try:
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            good = all(list(pool.map(run_test, tests_of(suite))))
    finally:
        unittest.doModuleCleanups()
    sys.exit(0 if good else 1)


def tests_of(suite):
    return [test for part in suite for test in (tests_of(part) if isinstance(part, unittest.TestSuite) else [part])]


def run_test(test):
    result, began = unittest.TestResult(), time.monotonic()
    test(result)
    for _, trace in result.failures + result.errors:
        print(trace, file=sys.stderr)
    print(f'{test} ... {"ok" if result.wasSuccessful() else "FAIL"} ({time.monotonic() - began:.1f} s)', file=sys.stderr)
    return result.wasSuccessful()


def run(*args):
    """Runs the program to its end: exit code, stdout, stderr."""
    done = subprocess.run([program(), *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def eventually(what, seconds=PATIENCE_S):
    """Asks until the answer is true, and returns it."""
    give_up = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        if time.monotonic() > give_up:
            raise AssertionError('it did not come to pass in time')
        time.sleep(0.01)


class Weft:
    """A running `weft serve`. As a context manager it is stopped at the end, and must then stop as it should."""

    def __init__(self, *args, listen='127.0.0.1:0'):
        ready, told = os.pipe()
        self.log = tempfile.TemporaryFile()
        addresses = ['--listen', listen] if listen else []
        self.process = subprocess.Popen([program(), 'serve', *addresses, '--ready-fd', str(told), *args],
                                        stdin=subprocess.DEVNULL, stderr=self.log, pass_fds=[told])
        os.close(told)
        try:
            self.url = self.first_line(ready)
        except BaseException:
            self.kill()
            raise
        finally:
            os.close(ready)
        found = re.fullmatch(r'http://(.*):(\d+)', self.url)
        self.host, self.port = (found[1].strip('[]'), int(found[2])) if found else (None, None)
        self.ws = self.url.replace('http://', 'ws://')

    def first_line(self, fd):
        line, give_up = b'', time.monotonic() + PATIENCE_S
        while not line.endswith(b'\n'):
            some = select.select([fd], [], [], max(0, give_up - time.monotonic()))[0] and os.read(fd, 256)
            if not some:
                raise AssertionError(f'the server did not come up: {line!r}, {self.stderr()!r}')
            line += some
        return line.decode().strip()

    def stderr(self):
        return os.pread(self.log.fileno(), 1 << 24, 0).decode()

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=PATIENCE_S):
        return self.process.wait(seconds)

    def stop(self):
        """Asks it to stop, twice or more: the first SIGTERM only drains. Returns the exit code."""
        for _ in range(PATIENCE_S * 20):
            if self.process.poll() is not None:
                break
            self.signal(signal.SIGTERM)
            try:
                self.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        return self.wait(1)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            code = self.stop()
            if code != 0 and kind is None:
                raise AssertionError(f'exit code {code}: {self.stderr()}')
        finally:
            self.kill()

    def raw(self):
        return Raw((self.host, self.port))


def mask(data):
    key = (MASK * (len(data) // 4 + 1))[:len(data)]
    return (int.from_bytes(data, 'big') ^ int.from_bytes(key, 'big')).to_bytes(len(data), 'big')


def frame(opcode, payload=b'', fin=True, masked=True, bits=0):
    """A client's frame, or with the right arguments one that no client should send."""
    first, bit, size = fin << 7 | bits << 4 | opcode, masked << 7, len(payload)
    if size < 126:
        head = struct.pack('!BB', first, bit | size)
    elif size < 1 << 16:
        head = struct.pack('!BBH', first, bit | 126, size)
    else:
        head = struct.pack('!BBQ', first, bit | 127, size)
    return head + MASK + mask(payload) if masked else head + payload


def close_frame(code, reason=b''):
    return frame(CLOSE, struct.pack('!H', code) + reason)


def handshake(path='/echo', key='dGhlIHNhbXBsZSBub25jZQ==', version='13', headers=()):
    lines = [f'GET {path} HTTP/1.1', 'Host: localhost', 'Connection: Upgrade', 'Upgrade: websocket',
             f'Sec-WebSocket-Key: {key}', f'Sec-WebSocket-Version: {version}', *headers, '', '']
    return '\r\n'.join(lines).encode()


class Raw:
    """A socket to the server, with what has been read and not yet looked at."""

    def __init__(self, address):
        """A host and a port, or the path of a unix socket."""
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE_S)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, PATIENCE_S)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.seen = b''

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        some = self.socket.recv(1 << 16)
        if not some:
            raise EOFError(f'the server ended the connection; unread: {self.seen!r}')
        self.seen += some

    def take(self, count):
        while len(self.seen) < count:
            self.more()
        data, self.seen = self.seen[:count], self.seen[count:]
        return data

    def first_line(self):
        """The line that begins what is not yet read; it stays unread."""
        while b'\n' not in self.seen and len(self.seen) < 64:
            self.more()
        return self.seen.split(b'\r\n')[0]

    def response(self):
        """The next HTTP response: status, headers with lower-case names, body."""
        while b'\r\n\r\n' not in self.seen:
            self.more()
        head, self.seen = self.seen.split(b'\r\n\r\n', 1)
        first, *lines = head.decode().split('\r\n')
        headers = {name.lower(): value.strip() for name, value in (line.split(':', 1) for line in lines)}
        return int(first.split()[1]), headers, self.take(int(headers.get('content-length', 0)))

    def frame(self):
        """The server's next frame: opcode with the final bit, payload."""
        first, size = self.take(2)
        if size & 0x80 or first & 0x70:
            raise AssertionError('the server masked a frame or set a reserved bit')
        if size == 126:
            size, = struct.unpack('!H', self.take(2))
        elif size == 127:
            size, = struct.unpack('!Q', self.take(8))
        return first, self.take(size)

    def message(self):
        """The server's next message, which must be a single data frame: opcode, payload."""
        first, payload = self.frame()
        if first not in (0x80 | TEXT, 0x80 | BINARY):
            raise AssertionError(f'no message but frame {first:#x} {payload!r}')
        return first & 15, payload

    def closed(self):
        """The server's next frame must be a close frame: code, or None, and reason."""
        first, payload = self.frame()
        if first != 0x80 | CLOSE:
            raise AssertionError(f'no close frame but {first:#x} {payload[:80]!r}')
        return (struct.unpack('!H', payload[:2])[0] if payload else None), payload[2:].decode()

    def at_end(self):
        """True when nothing but an orderly end of the stream follows. A reset raises."""
        return self.seen == b'' and self.socket.recv(1) == b''

    def open(self, path='/echo', **how):
        """The opening handshake."""
        self.send(handshake(path, **how))
        status, headers, body = self.response()
        if status != 101:
            raise AssertionError(f'{status} {body!r}')
        return headers

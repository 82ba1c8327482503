#!/usr/bin/python3
"""weft serve with TLS against clients that do what they should not: openssl's own, its library by hand, and sockets.
Whatever they do, the server lives and a WebSocket beside them answers.

    WEFT_BIN=/path/to/weft abuse.py
"""

import concurrent.futures
import contextlib
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True

import libssl  # noqa: E402
from authority import Authority, openssl  # noqa: E402
from weft import PATIENCE_S, TEXT, Raw, Weft, eventually, frame, handshake, main  # noqa: E402

ASK = b'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'
ALERT, HANDSHAKE, DATA = 21, 22, 23
DEADLINE_S = 1
ALERTS = {10: 'unexpected message', 22: 'record overflow', 50: 'decode error', 70: 'protocol version',
          120: 'no application protocol'}


def record(kind, data, version=0x0303):
    return struct.pack('!BHH', kind, version, len(data)) + data


def hello(server_name='localhost', alpn=None, version=None):
    """The ClientHello of python's ssl, as the record it would send."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    if version:
        context.set_ciphers('ALL:@SECLEVEL=0')
        context.minimum_version = context.maximum_version = version
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


class Secure(Weft):
    """A server that speaks TLS, with an open WebSocket that proves that it is well."""

    def __init__(self, pair, *args):
        super().__init__('--tls-cert', pair[0], '--tls-key', pair[1], '--threads', '1', *args)
        self.port = int(self.url.rsplit(':', 1)[1])
        self.witness = self.peer()
        self.witness.open('/echo')

    def connect(self):
        sock = socket.create_connection(('127.0.0.1', self.port), PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def peer(self, **settings):
        """A good client of python's ssl, spoken to as to a socket."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for name, value in settings.items():
            setattr(context, name, value)
        client = Raw.__new__(Raw)
        client.socket, client.seen = context.wrap_socket(self.connect(), server_hostname='localhost'), b''
        return client

    def is_well(self):
        self.witness.send(frame(TEXT, b'well?'))
        return self.witness.message() == (TEXT, b'well?')

    def s_client(self, *args, text=b''):
        done = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{self.port}', *args], input=text,
                              capture_output=True, timeout=2 * PATIENCE_S)
        return (done.stdout + done.stderr).decode('utf-8', 'replace')


def rest(sock):
    """All that comes until the end; a reset is one."""
    text = b''
    with contextlib.suppress(ConnectionError):
        while some := sock.recv(65536):
            text += some
    return text


def read_until(stream, words):
    said = b''
    while words not in said:
        some = os.read(stream.fileno(), 4096)
        if not some:
            raise AssertionError(f'{words} is not in {said}')
        said += some


def alert_in(text):
    """The alert in clear that the answer ends with."""
    return ALERTS.get(text[-1], text[-1]) if len(text) >= 7 and text[-7] == ALERT else None


class Abuse(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.ca = Authority(cls.folder)
        cls.pair = cls.ca.sign('local', 'DNS:localhost,IP:127.0.0.1')
        cls.plain = f'{cls.folder}/plain.sock'
        cls.server = cls.enterClassContext(Secure(cls.pair, '-v', '--handshake-timeout', f'{DEADLINE_S}s',
                                                  '--listen-plain', '127.0.0.1:0', '--message-timeout', '1s'))

    def tearDown(self):
        self.assertTrue(self.server.is_well())

    def tell(self, *texts):
        """What the server answers to these bytes."""
        with self.server.connect() as sock:
            with contextlib.suppress(ConnectionError):
                for text in texts:
                    sock.sendall(text)
            return rest(sock)

    def test_what_is_said_instead_of_a_hello(self):
        good = hello()
        overflow = record(HANDSHAKE, b'x' * 20000)
        for name, texts, expected in [
                ('http', [ASK], None), ('websocket', [handshake()], None), ('zeros', [b'\0' * 100], None),
                ('noise', [os.urandom(3000)], None), ('sslv2', [b'\x80\x2e\x01\x00\x02' + b'x' * 41], None),
                ('too long a record', [overflow], 'record overflow'),
                ('data first', [record(DATA, b'x' * 100)], 'unexpected message'),
                ('garbage behind the hello', [good, os.urandom(3000)], None),
                ('a hello that is none', [record(HANDSHAKE, b'\x01\0\x00\x10' + b'x' * 16)], 'decode error'),
                ('a finished first', [record(HANDSHAKE, b'\x14\0\x00\x20' + b'x' * 32)], 'unexpected message'),
                ('an alert', [record(ALERT, b'\x02\x28')], None),
                ('tls 1.0', [hello(version=ssl.TLSVersion.TLSv1)], 'protocol version'),
                ('tls 1.1', [hello(version=ssl.TLSVersion.TLSv1_1)], 'protocol version'),
                ('no protocol of ours', [hello(alpn=['smtp', 'h3'])], 'no application protocol')]:
            with self.subTest(name):
                started = time.monotonic()
                answer = self.tell(*texts)
                self.assertLess(time.monotonic() - started, DEADLINE_S + 3)
                if expected:
                    self.assertEqual(alert_in(answer), expected)
        with self.server.peer() as peer:
            peer.send(ASK.replace(b'/healthz', b'/metrics'))
            self.assertRegex(peer.response()[2].decode(), r'reason="tls"} 1\d\n')
        for why in 'http request', 'unsupported protocol', 'no application protocol', 'unexpected message':
            self.assertRegex(self.server.stderr(), rf'no tls peer=(127\.0\.0\.1:\d+|gone) why="{why}')

    def test_tls_to_the_plain_port(self):
        port = int(re.search(r'listening on http://127.0.0.1:(\d+)', self.server.stderr())[1])
        with socket.create_connection(('127.0.0.1', port), PATIENCE_S) as sock:
            sock.sendall(hello())
            self.assertTrue(rest(sock).startswith(b'HTTP/1.1 400 '))

    def test_names_nobody_has(self):
        for flags in ['-noservername'], ['-servername', 'nobody.example'], ['-servername', 'x' * 255]:
            self.assertIn('HTTP/1.1 200', self.server.s_client(*flags, '-quiet', '-ign_eof', text=ASK.replace(
                b'\r\n\r\n', b'\r\nConnection: close\r\n\r\n')), flags)
        for name in b'', b'local\0host', b'\xff' * 40:
            answer = self.tell(hello('y' * 40).replace(b'y' * 40, name.ljust(40, b'\0')))
            self.assertEqual(answer[:1], bytes([HANDSHAKE]) if name[:1] == b'\xff' else bytes([ALERT]), name)

    def test_a_hello_in_single_bytes(self):
        whole = hello()
        in_records = b''.join(record(HANDSHAKE, bytes([byte])) for byte in whole[5:])
        self.assertEqual(self.tell(in_records)[0], HANDSHAKE)
        with self.server.connect() as sock:
            for byte in whole:
                sock.sendall(bytes([byte]))
            self.assertEqual(sock.recv(1), bytes([HANDSHAKE]))

    def test_data_in_records_of_single_bytes(self):
        peer = self.server.peer()
        for byte in handshake() + frame(TEXT, b'slow but sure'):
            peer.send(bytes([byte]))
        self.assertEqual(peer.response()[0], 101)
        self.assertEqual(peer.message(), (TEXT, b'slow but sure'))
        peer.socket.close()

    def test_silence_has_a_deadline(self):
        def until_closed(*texts, pause_s=0):
            started = time.monotonic()
            with self.server.connect() as sock, contextlib.suppress(ConnectionError):
                for text in texts:
                    sock.sendall(text)
                    time.sleep(pause_s)
                rest(sock)
            return time.monotonic() - started

        def talks_no_more():
            peer, started = self.server.peer(), time.monotonic()
            with peer:
                rest(peer.socket)
            return time.monotonic() - started

        whole = hello()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            times = {'nothing': pool.submit(until_closed), 'a byte': pool.submit(until_closed, whole[:1]),
                     'half a hello': pool.submit(until_closed, whole[:len(whole) // 2]),
                     'a hello': pool.submit(until_closed, whole),
                     'drops': pool.submit(until_closed, *(bytes([byte]) for byte in whole[:30]), pause_s=0.1),
                     'no request': pool.submit(talks_no_more)}
        for name, took in times.items():
            self.assertTrue(DEADLINE_S - 0.1 < took.result() < DEADLINE_S + 3, f'{name}: {took.result()}')

    def test_half_a_frame_has_a_deadline(self):
        with self.server.peer() as peer:
            peer.open()
            peer.send(frame(TEXT, b'x' * 100)[:50])
            self.assertEqual(peer.closed()[0], 1008)

    def test_garbage_behind_the_handshake(self):
        for name, text in [('noise', os.urandom(1000)), ('http', ASK), ('a handshake in clear', hello()),
                           ('a record that is too long', record(DATA, b'x' * 20000)),
                           ('a record of another', record(DATA, os.urandom(500))),
                           ('an empty record', record(DATA, b''))]:
            with self.subTest(name), self.server.peer() as peer:
                peer.open()
                os.write(peer.socket.fileno(), text)
                with self.assertRaises(ssl.SSLError):  # an alert
                    peer.frame()

    def test_ends_that_are_not_told(self):
        before = self.server.stderr().count('code=1006')
        for how in 'fin', 'reset', 'shutdown':
            peer = self.server.peer()
            peer.open()
            if how == 'reset':
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            if how == 'shutdown':
                socket.socket.shutdown(peer.socket, socket.SHUT_WR)
                self.assertEqual(peer.socket.recv(1), b'')
            socket.socket.close(peer.socket)
        eventually(lambda: self.server.stderr().count('code=1006') == before + 3)

    def test_key_updates_without_end(self):
        for kind in libssl.KEY_UPDATE_NOT_REQUESTED, libssl.KEY_UPDATE_REQUESTED:
            peer = libssl.Peer(self.server.connect())
            peer.send(handshake())  # from here on no deadline runs
            self.assertTrue(peer.receive().startswith(b'HTTP/1.1 101 '))
            for count in range(3000):
                self.assertTrue(peer.update_key(kind), count)
                if count % 1000 == 0:
                    self.assertTrue(self.server.is_well())
            peer.send(frame(TEXT, b'still here'))
            self.assertEqual(peer.receive(), frame(TEXT, b'still here', masked=False))
            peer.close()

    def test_key_updates_by_the_program(self):
        """Which needs longer than the deadline here, beside other work."""
        with Secure(self.pair) as server:
            for letter in b'k\n', b'K\n':
                client = subprocess.Popen(['stdbuf', '-o0', 'openssl', 's_client', '-connect',
                                           f'127.0.0.1:{server.port}', '-tls1_3'],
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                with client:
                    # One at a time: what it reads together with other bytes is no command.
                    for line, answer in (b'', b'R BLOCK'), (letter, b'KEYUPDATE'), (ASK, b'HTTP/1.1 200 OK'):
                        client.stdin.write(line)
                        client.stdin.flush()
                        read_until(client.stdout, answer)

    def test_early_data_is_not_read(self):
        """A ticket that promises it, of another server with the same name; and none of ours does."""
        session, early = f'{self.folder}/session', f'{self.folder}/early'
        with socket.create_server(('127.0.0.1', 0)) as free:
            port = free.getsockname()[1]
        with open(early, 'wb') as file:
            file.write(ASK)
        other = subprocess.Popen(['openssl', 's_server', '-accept', f'127.0.0.1:{port}', '-cert', self.pair[0], '-key',
                                  self.pair[1], '-early_data', '-quiet'], stdin=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def whole():
                with contextlib.suppress(FileNotFoundError), open(session) as file:
                    return 'END SSL SESSION' in file.read()

            def ticket():
                client = subprocess.Popen(['openssl', 's_client', '-connect', f'127.0.0.1:{port}', '-sess_out',
                                           session], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL)
                with client:
                    until = time.monotonic() + 1
                    while client.poll() is None and time.monotonic() < until and not whole():
                        time.sleep(0.01)
                    client.kill()
                return whole()
            eventually(ticket)
        finally:
            other.kill()
            other.wait()
        promised = openssl('sess_id', '-in', session, '-text', '-noout').decode()
        self.assertRegex(promised, 'Max Early Data: [1-9]')
        said = self.server.s_client('-sess_in', session, '-early_data', early, '-tls1_3')
        self.assertIn('Early data was rejected', said)
        self.assertNotIn('HTTP/1.1 200', said)
        self.assertRegex(said, 'Max Early Data: 0|Verify')


class Flood(unittest.TestCase):
    def test_half_open_handshakes_stop_nobody(self):
        """More of them than connections are allowed; each has its hello answered and says no more."""
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            pair = Authority(folder).sign('local', 'DNS:localhost')
            server = stack.enter_context(Secure(pair, '--connections', '300'))
            whole = hello()
            for count in range(500):
                sock = stack.enter_context(server.connect())
                sock.sendall(whole if count % 2 else whole[:100])
                if count % 50 == 49:
                    with server.peer() as peer:
                        peer.open()
                        peer.send(frame(TEXT, b'hello'))
                        self.assertEqual(peer.message(), (TEXT, b'hello'))
                    self.assertTrue(server.is_well())


if __name__ == '__main__':
    main()

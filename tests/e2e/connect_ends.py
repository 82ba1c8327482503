#!/usr/bin/python3
"""How weft connect ends: exit codes, signals, certificates, connecting again.

    WEFT_BIN=/path/to/weft connect_ends.py
"""

import http.server
import os
import signal
import socket
import sys
import tempfile
import threading

sys.dont_write_bytecode = True

from authority import Authority  # noqa: E402
from connecting import Case, says, serving, silent, start_server  # noqa: E402
from weft import PATIENCE_S, Weft, main  # noqa: E402

setUpModule = start_server


class ExitCodes(Case):
    def test_how_the_peer_closes(self):
        for code, expected in ((1000, 0), (1001, 0), (1011, 66), (1002, 65), (3000, 67), (4999, 67)):
            with self.subTest(code), serving(says('x', code=code, reason='because')) as url:
                got, out, err = self.connect(url, '-U')
                self.assertEqual((got, out), (expected, b'x\n'))
                if expected:
                    self.assertEqual(err, f'weft: closed with {code}: because\n')

    def test_a_cut(self):
        async def cut(socket, path=None):
            socket.transport.abort()
        with serving(cut) as url:
            self.assertEqual(self.connect(url, '-U')[0], 64)

    def test_no_websocket(self):
        code, out, err = self.connect(self.server.ws + '/nothing')
        self.assertEqual((code, out), (22, b''))
        self.assertIn('HTTP 404', err)
        self.assertIn('Content-Length', err)
        self.assertIn('there is nothing here', err)
        self.assertEqual(self.connect(self.server.ws + '/nothing', '-q'), (22, b'', ''))

    def test_no_server(self):
        self.assertEqual(self.connect('ws://127.0.0.1:1/')[0], 7)
        self.assertEqual(self.connect('ws://no-such-name.invalid/')[0], 6)

    def secure(self, *flags):
        server = self.enterContext(Weft(*flags))
        return f'wss://127.0.0.1:{server.url.rsplit(":", 1)[1]}/echo'

    def test_certificates(self):
        with tempfile.TemporaryDirectory() as folder:
            ca, other = Authority(folder), Authority(folder, 'other')
            local = ca.sign('local', 'IP:127.0.0.1')
            for name, (cert, key), trusted, why in (
                    ('other authority', local, other, 'unable to get local issuer certificate'),
                    ('expired', ca.sign('stale', 'IP:127.0.0.1', times=('20200130000000Z', '20200131000000Z')), ca,
                     'certificate has expired'),
                    ('other name', ca.sign('away', 'DNS:example.org'), ca, 'IP address mismatch')):
                with self.subTest(name):
                    url = self.secure('--tls-cert', cert, '--tls-key', key)
                    code, out, err = self.connect(url, '--cacert', trusted.cert, feed=b'hi\n')
                    self.assertEqual((code, out), (60, b''))
                    self.assertRegex(err, f'weft: the certificate of 127.0.0.1:[0-9]+ is not good for 127.0.0.1: {why}( [(]-k .*)?\n')
                    self.assertEqual(self.connect(url, '-k', '-1', feed=b'hi\n'), (0, b'hi\n', ''))
            url = self.secure('--tls-cert', local[0], '--tls-key', local[1], '--tls-client-ca', ca.cert)
            ours = ca.sign('us', 'DNS:us')
            log = f'{folder}/keys'
            self.assertEqual(self.connect(url, '--cacert', ca.cert, '--cert', ours[0], '--key', ours[1], '-1', feed=b'hi\n',
                                          env={**os.environ, 'SSLKEYLOGFILE': log}), (0, b'hi\n', ''))
            with open(log) as file:
                self.assertIn('CLIENT_TRAFFIC_SECRET_0 ', file.read())
            code, out, err = self.connect(url, '--cacert', ca.cert)
            self.assertEqual(code, 35)
            self.assertIn('certificate required', err)
            for flags in (['--cacert', '/nonexistent'], ['--cacert', ca.key], ['--cert', '/nonexistent'],
                          ['--cert', ours[0], '--key', other.key]):
                self.assertEqual(self.connect(url, *flags)[0], 2, flags)

    def test_self_signed_and_no_tls(self):
        """Each with what helps."""
        secure = self.secure('--tls-self-signed')
        code, out, err = self.connect(secure)
        self.assertEqual(code, 60)
        self.assertRegex(err, 'self-signed certificate.*-k .*--cacert')
        code, out, err = self.connect(self.echo.replace('ws:', 'wss:'), '-k')
        self.assertEqual(code, 35)
        self.assertRegex(err, 'weft: no TLS with 127.0.0.1:[0-9]+: .*ws://')
        code, out, err = self.connect(secure.replace('wss:', 'ws:'))
        self.assertEqual(code, 64)
        self.assertIn('wss://', err)
        address = self.echo.removeprefix('ws://')
        code, out, err = self.connect(address)
        self.assertEqual(code, 2)
        self.assertIn(f'did you mean ws://{address}?', err)

    def test_timeouts(self):
        with socket.create_server(('127.0.0.1', 0), backlog=0) as server:
            url = f'ws://127.0.0.1:{server.getsockname()[1]}/'
            code, out, err = self.connect(url, '--connect-timeout', '200ms')  # it is connected, and nobody answers
            self.assertEqual(code, 28)
            self.assertIn('handshake_timeout', err)
            full = []
            for _ in range(4):
                full.append(self.enterContext(socket.socket()))
                full[-1].setblocking(False)
                full[-1].connect_ex(server.getsockname())
            code, out, err = self.connect(url, '--connect-timeout', '200ms')
            self.assertEqual(code, 28)
            self.assertIn('connect_timeout', err)

    def test_redirects_and_who_we_are(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append(self.headers.get('Authorization'))
                self.send_response(307)
                self.send_header('Location', there)
                self.end_headers()

            def log_message(self, *_):
                pass
        there, seen = self.echo.replace('ws:', 'http:'), []
        with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f'ws://127.0.0.1:{server.server_port}/'
            self.assertEqual(self.connect(url, '--auth', 'me:secret')[0], 22)
            self.assertEqual(self.connect(url, '-L', '-1', '-x', 'hi'), (0, b'hi\n', ''))
            server.shutdown()
        self.assertEqual(seen, ['Basic bWU6c2VjcmV0', None])

    def test_signals(self):
        for number, expected in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with serving(silent) as url:
                process = self.start(url, '-v')
                self.assertIn(b'open', process.stderr.readline())
                process.send_signal(number)
                self.assertEqual(process.wait(PATIENCE_S), expected)
                self.assertIn(b'closed with 1000', process.stderr.read())


class Reconnect(Case):
    def test_it_comes_back_and_says_it_again(self):
        heard = []

        async def handler(socket, path=None):
            heard.append(await socket.recv())
            await socket.send(f'answer {len(heard)}')
            await socket.close(1011 if len(heard) < 3 else 1000)
        with serving(handler) as url:
            code, out, err = self.connect(url, '--reconnect', '-x', 'hello', '-w', 'never')
        self.assertEqual((code, out, heard), (0, b'answer 1\nanswer 2\nanswer 3\n', ['hello'] * 3))
        self.assertEqual(err.count('connecting again'), 2)

    def test_it_gives_up(self):
        code, out, err = self.connect('ws://127.0.0.1:1/', '--reconnect=2')
        self.assertEqual((code, err.count('cannot connect'), err.count('connecting again')), (7, 3, 2))
        self.assertEqual(self.connect(self.echo, '--reconnect=x')[0], 2)

    def test_what_cannot_heal(self):
        code, out, err = self.connect(self.server.ws + '/nothing', '--reconnect')
        self.assertEqual((code, 'connecting again' in err), (22, False))
        with serving(says(code=3000)) as url:  # unauthorized
            code, out, err = self.connect(url, '--reconnect', '-U')
            self.assertEqual((code, 'connecting again' in err), (67, False))

    def test_restart_waits_longer(self):
        with serving(says(code=1012)) as url:
            process = self.start(url, '--reconnect', '-U')
            line = process.stderr.readline()
            while b'connecting again' not in line:
                self.assertNotEqual(line, b'')
                line = process.stderr.readline()
            self.assertGreaterEqual(float(line.split()[4]), 5)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(PATIENCE_S), 143)


if __name__ == '__main__':
    main(at_once=6)

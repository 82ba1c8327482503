#!/usr/bin/python3
"""How weft connect ends: exit codes, signals, certificates, connecting again.

    WEFT_BIN=/path/to/weft connect_ends.py
"""

import signal
import sys

sys.dont_write_bytecode = True

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

    def test_certificates(self):
        with Weft('--tls-self-signed') as server:
            url = f'wss://127.0.0.1:{server.url.rsplit(":", 1)[1]}/echo'
            self.assertEqual(self.connect(url, feed=b'hi\n')[0], 60)
            self.assertEqual(self.connect(url, '-k', feed=b'hi\n'), (0, b'hi\n', ''))
        self.assertEqual(self.connect(self.echo.replace('ws:', 'wss:'), '-k')[0], 35)

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

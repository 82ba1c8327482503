#!/usr/bin/python3
"""weft connect as its user sees it: pipes, flags, exit codes, signals, a terminal; against weft serve and the library
websockets for Python.

    WEFT_BIN=/path/to/weft connect.py
"""

import asyncio
import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
import unittest

import websockets

sys.dont_write_bytecode = True

from weft import PATIENCE_S, Weft, main, program  # noqa: E402


@contextlib.contextmanager
def serving(handler, **options):
    """A server nobody here wrote, on a thread; gives its URL."""
    loop, ready, url = asyncio.new_event_loop(), threading.Event(), []

    async def serve():
        done = asyncio.Event()
        async with websockets.serve(handler, '127.0.0.1', 0, **options) as server:
            url.append(f'ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/')
            ready.stop = lambda: loop.call_soon_threadsafe(done.set)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()], daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield url[0]
    finally:
        ready.stop()
        thread.join(PATIENCE_S)
        loop.close()


def says(*messages, code=1000, reason=''):
    async def handler(socket, path=None):
        for message in messages:
            await socket.send(message)
        await socket.close(code, reason)
    return handler


async def silent(socket, path=None):
    await socket.wait_closed()


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Weft())
        cls.echo = cls.server.ws + '/echo'

    def connect(self, url, *flags, feed=b''):
        done = subprocess.run([program(), 'connect', url, *flags], input=feed, capture_output=True, timeout=PATIENCE_S)
        return done.returncode, done.stdout, done.stderr.decode()

    def start(self, url, *flags, **how):
        return self.enterContext(subprocess.Popen([program(), 'connect', url, *flags], stdin=subprocess.PIPE,
                                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how))


class Pipes(Case):
    def test_the_answer_is_printed(self):
        self.assertEqual(self.connect(self.echo, feed=b'hi\n'), (0, b'hi\n', ''))

    def test_bytes_are_not_mangled(self):
        feed = b'\n\r\nspace \n\ttab\n\x00\xc3\xa9\x1b[31m\nlast\n'
        self.assertEqual(self.connect(self.echo, feed=feed), (0, feed, ''))

    def test_a_partial_last_line_is_sent(self):
        self.assertEqual(self.connect(self.echo, feed=b'a\nb'), (0, b'a\nb\n', ''))

    def test_binary(self):
        self.assertEqual(self.connect(self.echo, '-b', feed=b'\xff\xfe\n'), (0, b'\xff\xfe\n', ''))
        code, out, err = self.connect(self.echo, feed=b'fine\n\xff\n')
        self.assertEqual(code, 2)
        self.assertIn('--binary', err)

    def test_separators(self):
        self.assertEqual(self.connect(self.echo, '-0', '--expect', '2', feed=b'a\nb\0c'), (0, b'a\nb\0c\0', ''))
        self.assertEqual(self.connect(self.echo, '--separator', '--', '--expect', '3', feed=b'a-b--c----'),
                         (0, b'a-b--c----', ''))

    def test_ten_megabytes_of_lines(self):
        feed = b''.join(b'%d\n' % n for n in range(1_400_000))
        self.assertGreater(len(feed), 9_000_000)
        code, out, err = self.connect(self.echo, feed=feed)
        self.assertEqual((code, err), (0, ''))
        self.assertTrue(out == feed)

    def test_a_slow_reader_slows_the_writer(self):
        """Nothing reads stdout: stdin must stop being read, and memory must stay small."""
        process = self.start(self.echo)
        line, written = b'x' * 1023 + b'\n', 0
        os.set_blocking(process.stdin.fileno(), False)
        still = time.monotonic()
        while time.monotonic() - still < 1 and written < 100_000_000:
            try:
                written += os.write(process.stdin.fileno(), line * 32)
                still = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        self.assertLess(written, 50_000_000)
        with open(f'/proc/{process.pid}/status') as status:
            peak = int(next(row.split()[1] for row in status if row.startswith('VmHWM')))
        self.assertLess(peak, 64 * 1024)
        process.kill()

    def test_nobody_reads_stdout_any_more(self):
        process = self.start(self.echo)
        process.stdout.close()
        process.stdin.write(b'hi\n')
        process.stdin.flush()
        self.assertEqual(process.wait(PATIENCE_S), 0)
        self.assertEqual(process.stderr.read(), b'')

    def test_a_full_disk(self):
        with open('/dev/full', 'wb') as full:
            done = subprocess.run([program(), 'connect', self.echo], input=b'hi\n', stdout=full,
                                  stderr=subprocess.PIPE, timeout=PATIENCE_S)
        self.assertEqual((done.returncode, done.stderr), (1, b'weft: cannot write: No space left on device\n'))


class Flags(Case):
    def test_execute_and_one(self):
        self.assertEqual(self.connect(self.echo, '-x', 'a', '-x', 'b', feed=b'c\n'), (0, b'a\nb\nc\n', ''))
        self.assertEqual(self.connect(self.echo, '-1', '-x', 'a', '-x', 'b'), (0, b'a\n', ''))

    def test_expect(self):
        self.assertEqual(self.connect(self.echo, '--expect', '2', feed=b'a\nb\n')[0], 0)
        code, out, err = self.connect(self.echo, '--expect', '1', feed=b'a\nb\n')
        self.assertEqual((code, err), (1, 'weft: 2 messages came, not 1\n'))
        self.assertEqual(self.connect(self.echo, '--expect', 'x')[0], 2)

    def test_one_direction(self):
        self.assertEqual(self.connect(self.echo, '-u', feed=b'a\n'), (0, b'', ''))
        with serving(says('one', b'\x01')) as url:
            self.assertEqual(self.connect(url, '-U', feed=b'not read\n'), (0, b'one\n\x01\n', ''))

    def test_how_long_it_waits(self):
        with serving(silent) as url:
            for flags, least, most in ((['-w', '700ms'], 0.6, 2), (['-E'], 0, 1), ([], 2.5, 5)):
                started = time.monotonic()
                self.assertEqual(self.connect(url, *flags, feed=b'a\n'), (0, b'', ''))
                self.assertTrue(least < time.monotonic() - started < most, flags)

    def test_no_close_waits_for_the_peer(self):
        async def later(socket, path=None):
            await asyncio.sleep(4)
            await socket.send('late')
        with serving(later) as url:
            self.assertEqual(self.connect(url, '--no-close'), (0, b'late\n', ''))

    def test_what_the_handshake_says(self):
        seen = []

        async def handler(socket, path=None):
            headers = socket.request_headers if hasattr(socket, 'request_headers') else socket.request.headers
            seen.append((headers.get('X-One'), headers.get('Origin'), socket.subprotocol,
                         'Sec-WebSocket-Extensions' in headers))
        with serving(handler, subprotocols=['chat']) as url:
            flags = ['-H', 'X-One: 1', '--origin', 'http://a', '-s', 'chat']
            self.connect(url, *flags)
            self.connect(url, '--no-compress', *flags)
        self.assertEqual(seen, [('1', 'http://a', 'chat', True), ('1', 'http://a', 'chat', False)])

    def test_how_it_closes(self):
        codes = []

        async def handler(socket, path=None):
            await socket.wait_closed()
            codes.append((socket.close_code, socket.close_reason))
        with serving(handler) as url:
            self.assertEqual(self.connect(url, '-E')[0], 0)
            self.assertEqual(self.connect(url, '-E', '--close-code', '4001', '--close-reason', 'bye')[0], 0)
        self.assertEqual(codes, [(1000, ''), (4001, 'bye')])

    def test_pings(self):
        code, out, err = self.connect(self.echo, '-P', '--ping-interval', '50ms', '-w', '400ms')
        self.assertEqual((code, out), (0, b''))
        self.assertRegex(err, r'weft: pong after [0-9.]+ ms\n')

    def test_json(self):
        code, out, err = self.connect(self.echo, '--json', feed=b'"\\\x01\n')
        events = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([(e['dir'], e['op']) for e in events],
                         [('in', 'open'), ('out', 'text'), ('in', 'text'), ('in', 'close')])
        self.assertEqual((events[2]['payload'], events[2]['len'], events[3]['code']), ('"\\\x01', 3, 1000))

    def test_usage(self):
        for flags in (['-t', '-b'], ['-u', '-U'], ['-u', '-1'], ['-0', '--separator', 'x'], ['--separator', ''],
                      ['--close-code', '1005'], ['--close-reason', 'x' * 124], ['extra'], ['--nonsense'],
                      ['-H', 'no colon']):
            code, out, err = self.connect(self.echo, *flags)
            self.assertEqual((code, out), (2, b''), flags)
            self.assertRegex(err, r'\Aweft: [^\n]+\n\Z')
        self.assertEqual(self.connect('http//nothing')[0], 2)


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


class Terminal(Case):
    def screen(self, url, *flags, typed=b'', term='dumb', keys=()):
        """What a terminal shows, until the program ends; and the exit code. Keys are typed one after another, each when
        what it is to wait for has been shown."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(program(), [program(), 'connect', url, *flags], {**os.environ, 'TERM': term})
        shown, keys = b'', list(keys)
        os.write(terminal, typed)
        while True:
            if keys and keys[0][0] in shown:
                os.write(terminal, keys.pop(0)[1])
            try:
                some = os.read(terminal, 4096)
            except OSError:
                break
            shown += some
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown

    def test_a_peer_does_not_command_the_terminal(self):
        evil = 'red \x1b[31m\x07\x9b2J \u202e caf\u00e9'
        with serving(says(evil, b'\x00\x1bAB', code=4000, reason='\x1b]0;t\x07')) as url:
            code, shown = self.screen(url)
            self.assertEqual(code, 67)
            self.assertNotIn(b'\x1b', shown)
            self.assertNotIn(b'\xc2\x9b2J', shown)
            self.assertIn(b'red \\x1b[31m\\x07', shown)
            self.assertIn('caf\u00e9'.encode(), shown)
            self.assertIn(b'00 1b 41 42', shown)
            self.assertIn(b'\x1b[31m', self.screen(url, '--raw')[1])
            shown = self.screen(url, '--json')[1]
            self.assertNotIn(b'\x1b', shown)
            self.assertNotIn(b'\xc2\x9b', shown)

    def test_typing_and_end(self):
        code, shown = self.screen(self.echo, typed=b'hello\n\x04')
        self.assertEqual(code, 0)
        self.assertEqual(shown.count(b'hello'), 2)

    def test_lines_are_edited(self):
        code, shown = self.screen(self.echo, term='xterm', keys=[
            (b'> ', b'fist\x1b[D\x1b[Dr\r'),      # two to the left, a letter put in
            (b'first\r\n', b'\x1b[A\x7f!\r'),       # the one before, changed
            (b'firs!\r\n', b'half a li'),
            (b'half a li', b'\x15/ping\r'),          # all of it is wiped out
            (b'pong after', b'\x04')])
        self.assertEqual(code, 0, shown)

    def test_what_comes_stands_above_what_is_typed(self):
        async def handler(socket, path=None):
            await asyncio.sleep(0.5)
            await socket.send('news')
            await socket.wait_closed()
        with serving(handler) as url:
            code, shown = self.screen(url, term='xterm', keys=[(b'> ', b'unfinished'),
                                                               (b'news\r\n', b'\x15\x04')])
        self.assertEqual(code, 0, shown)
        self.assertIn(b'> unfinished', shown.split(b'news')[1])

    def test_commands(self):
        ended = []

        async def handler(socket, path=None):
            with contextlib.suppress(websockets.ConnectionClosed):
                async for message in socket:
                    await socket.send('got ' + message)
            ended.append((socket.close_code, socket.close_reason))
        with serving(handler) as url:
            code, shown = self.screen(url, typed=b'//two\n/nothing\n/close 1005\n/ping\n\x04')
            self.assertEqual(code, 0)
            for text in (b'got /two', b'no such command', b'/close takes', b'pong after'):
                self.assertIn(text, shown)
            self.assertNotIn(b'got /nothing', shown)
            self.screen(url, typed=b'/close 4001 so long\n')
        self.assertEqual(ended, [(1000, ''), (4001, 'so long')])


if __name__ == '__main__':
    main()

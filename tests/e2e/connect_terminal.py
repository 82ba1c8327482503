#!/usr/bin/python3
"""weft connect by hand, on a terminal.

    WEFT_BIN=/path/to/weft connect_terminal.py
"""

import asyncio
import base64
import contextlib
import fcntl
import hashlib
import os
import pty
import select
import signal
import socket
import struct
import sys
import termios
import threading
import time

import websockets

sys.dont_write_bytecode = True

from connecting import Case, says, serving, start_server  # noqa: E402
from screen import Screen  # noqa: E402
from weft import PATIENCE_S, main, program  # noqa: E402

setUpModule = start_server


class Terminal(Case):
    def screen(self, url, *flags, typed=b'', term='dumb', keys=(), columns=80, **env):
        """What a terminal is sent, until the program ends; and the exit code. Keys are typed one after another, each when
        what it is to wait for has come since the last one; in place of keys there may be a call."""
        pid, terminal = pty.fork()
        if pid == 0:
            env = {**os.environ, 'TERM': term, 'COLUMNS': '', 'LC_ALL': 'C', **env}
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
            os.execve(program(), [program(), 'connect', url, *flags], env)
        shown, seen, keys = b'', 0, list(keys)
        os.write(terminal, typed)
        while True:
            if keys and keys[0][0] in shown[seen:]:
                seen, action = shown.index(keys[0][0], seen) + len(keys[0][0]), keys.pop(0)[1]
                os.write(terminal, action) if isinstance(action, bytes) else action(pid, terminal)
                continue
            if not select.select([terminal], [], [], PATIENCE_S)[0]:
                os.kill(pid, signal.SIGKILL)
            try:
                some = os.read(terminal, 4096)
            except OSError:
                break
            shown += some
        os.close(terminal)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.assertEqual(keys, [], shown)
        return code, shown

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
            (b'pong', b'\x04')])
        self.assertEqual(code, 0, shown)

    def test_what_comes_stands_above_what_is_typed(self):
        async def handler(socket, path=None):
            await asyncio.sleep(0.3)
            await socket.send('news')
            await asyncio.sleep(0.3)
            await socket.send('more of\nthem')
            await socket.wait_closed()
        long = '\u4e16\u754c ' + 'x' * 70  # wide characters, and more rows than one
        with serving(handler) as url:
            code, shown = self.screen(url, '-q', term='xterm', columns=30, keys=[
                (b'> ', long.encode()), (b'news\r\n', b''), (b'them\r\n', b''), (b'xxxx', b'\x15\x04')])
        self.assertEqual(code, 0, shown)
        screen = Screen(30)
        screen.feed(shown.rsplit(b'them\r\n', 1)[0] + b'them\r\n')
        self.assertEqual(screen.lines(), ['< news', '< more of', '  them', ''])
        screen.feed(shown.rsplit(b'them\r\n', 1)[1].split(b'\x1b[2A')[0])
        self.assertEqual(''.join(screen.lines()[3:6])[:60], '> ' + long[:58])

    def test_the_window_changes(self):
        """What is typed stays, and is sent whole."""
        def widen(pid, terminal):
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 50, 0, 0))
            os.write(terminal, b' and the rest of it\r')
        code, shown = self.screen(self.echo, term='xterm', columns=20, keys=[
            (b'> ', b'a line of more than twenty letters'), (b'letters', widen),
            (b'\x1b[36m<\x1b[0m a line of more than twenty letters and the rest of it', b'\x04')])
        self.assertEqual(code, 0, shown)

    def test_what_is_typed_is_utf8(self):
        code, shown = self.screen(self.echo, term='xterm', keys=[
            (b'> ', '\u4e16\u754c \u00e9\r'.encode()), ('< \u4e16\u754c \u00e9\r\n'.encode(), b'\x04')], NO_COLOR='1')
        self.assertEqual(code, 0, shown)

    def test_many_lines_are_pasted(self):
        lines = [f'line {n} of many' for n in range(300)]
        heard = []

        async def handler(socket, path=None):
            async for message in socket:
                heard.append(message)
                await socket.send(message[::-1])
        with serving(handler) as url:
            code, shown = self.screen(url, term='xterm', keys=[
                (b'> ', '\r'.join(lines).encode() + b'\r'), (lines[-1][::-1].encode(), b'\x04')])
        self.assertEqual((code, heard), (0, lines))
        screen = Screen(80)
        screen.feed(shown.replace(b'\x1b[36m', b''))
        shown = [line for line in screen.lines() if line.startswith('< ')]
        self.assertEqual(shown, ['< ' + line[::-1] for line in lines])

    def test_colors(self):
        for term, env, mark in (('xterm', {}, b'\x1b[36m<\x1b[0m x'), ('xterm', {'NO_COLOR': '1'}, b'\r\x1b[J< x'),
                                ('dumb', {}, b'\nx')):
            code, shown = self.screen(self.echo, term=term, keys=[(b'' if term == 'dumb' else b'> ', b'x\r'),
                                                                  (mark, b'\x04')], **env)
            self.assertEqual(code, 0)
        self.assertNotIn(b'\x1b', shown)

    def test_stopped_and_continued(self):
        def stopped(pid, terminal):
            self.assertTrue(os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]))
            self.assertTrue(termios.tcgetattr(terminal)[3] & termios.ICANON)
            os.kill(pid, signal.SIGCONT)
        code, shown = self.screen(self.echo, term='xterm', keys=[
            (b'> ', b'gone\x15'), (b'gone', b'half'), (b'half', b'\x1a'), (b'', stopped), (b'> half', b' line\r'),
            (b'half line\r\n', b'\x04')])
        self.assertEqual(code, 0, shown)

    def test_interrupted(self):
        """Once, and who is told waits a second for the peer; twice, and it does not."""
        def left(pid, terminal):
            time.sleep(0.1)  # two at once are one
            times.append(time.monotonic())
            os.write(terminal, b'\x03')
        for keys, least, most in (([(b'half', left)], 0.9, 3), ([(b'half', left), (b'', left)], 0, 0.8)):
            times = []
            with deaf() as url:
                code, shown = self.screen(url, '-v', term='xterm', keys=[(b'open', b'half'), *keys])
            self.assertEqual(code, 130)
            self.assertTrue(least < time.monotonic() - times[0] < most)

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

    def test_pings_with_a_text(self):
        code, shown = self.screen(self.echo, typed=b'/ping are you there?\n/ping ' + b'x' * 126 + b'\n', keys=[
            (b'at most 125', b''), (b'pong "are you there?" after', b'\x04')])
        self.assertEqual(code, 0, shown)

    def test_frames(self):
        frames = []
        with wire(frames) as url:
            code, shown = self.screen(url, typed=b'\n'.join([
                b'/frame op=binary hex=00fF', b'/frame fin=0 ab', b'/frame fin=0 op=cont cd', b'not now', b'/frame op=ping p',
                b'/frame ef', b'/frame op=pong', b'/frame one', b'/frame op=close 4000 bye', b'']))
        self.assertEqual(code, 0)
        self.assertEqual(frames, [(0x82, b'\0\xff'), (0x01, b'ab'), (0x00, b'cd'), (0x89, b'p'), (0x80, b'ef'), (0x8a, b''),
                                  (0x81, b'one'), (0x88, b'\x0f\xa0bye')])
        self.assertEqual(shown.count(b'not sent'), 1)

    def test_frames_that_break_rules(self):
        with wire([]) as url:
            code, shown = self.screen(url, typed=b'\n'.join([
                b'/frame op=cont x', b'/frame fin=0 a', b'/frame op=text b', b'/frame op=ping fin=0', b'/frame hex=ff',
                b'/frame hex=f', b'/frame op=other x', b'/frame op=ping ' + b'x' * 126, b'/close', b'']))
        self.assertEqual(code, 0, shown)
        for text, count in ((b'5.4)', 2), (b'5.5)', 2), (b'5.6)', 1), (b'pairs of digits', 1), (b'/frame [fin', 1)):
            self.assertEqual(shown.count(text), count, shown)


@contextlib.contextmanager
def raw(talk):
    """A server for one connection, that is no WebSocket library: gives its URL."""
    def serve():
        with contextlib.suppress(OSError), server.accept()[0] as peer:
            head = b''
            while b'\r\n\r\n' not in head:
                head += peer.recv(4096)
            key = head.split(b'Sec-WebSocket-Key: ')[1].split(b'\r\n')[0]
            accept = base64.b64encode(hashlib.sha1(key + b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest())
            peer.sendall(b'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ' + accept +
                         b'\r\n\r\n')
            talk(peer)
    with socket.create_server(('127.0.0.1', 0)) as server:
        server.settimeout(PATIENCE_S)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f'ws://127.0.0.1:{server.getsockname()[1]}/'
        thread.join(PATIENCE_S)


def deaf():
    def talk(peer):
        while peer.recv(4096):
            pass
    return raw(talk)


def wire(frames):
    """Every frame it gets, as (first byte, payload); it answers a close."""
    def talk(peer):
        with peer.makefile('rb') as stream:
            while head := stream.read(2):
                size = head[1] & 127
                size = int.from_bytes(stream.read(2), 'big') if size == 126 else size
                key, data = stream.read(4), stream.read(size)
                frames.append((head[0], bytes(byte ^ key[at % 4] for at, byte in enumerate(data))))
                if head[0] == 0x88:
                    peer.sendall(bytes([0x88, len(frames[-1][1])]) + frames[-1][1])
                    return
    return raw(talk)


if __name__ == '__main__':
    main(at_once=6)

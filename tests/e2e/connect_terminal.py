#!/usr/bin/python3
"""weft connect by hand, on a terminal.

    WEFT_BIN=/path/to/weft connect_terminal.py
"""

import asyncio
import contextlib
import os
import pty
import sys

import websockets

sys.dont_write_bytecode = True

from connecting import Case, says, serving, start_server  # noqa: E402
from weft import PATIENCE_S, main, program  # noqa: E402

setUpModule = start_server


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
    main(at_once=6)

#!/usr/bin/python3
"""The examples: the clients against weft serve's echo, the servers as they are.

    WEFT_BIN=/path/to/weft EXAMPLES=/path/to/example_ examples.py

Those in other loops are skipped where they were not built, for want of the loop.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from weft import CLOSE, PATIENCE_S, TEXT, Raw, Weft, close_frame, eventually, frame, main  # noqa: E402

NOBODY = 'ws://127.0.0.1:1/'


def example(name, *args):
    """Runs it to its end: exit code, stdout, stderr."""
    done = subprocess.run([os.environ['EXAMPLES'] + name, *args], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=PATIENCE_S)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Examples(unittest.TestCase):
    def test_ask(self):
        with Weft() as weft:
            self.assertEqual(example('ask', weft.ws + '/echo', 'are you there?'), (0, 'are you there?\n', ''))
        code, out, err = example('ask', NOBODY, 'are you there?')
        self.assertEqual((code, out), (1, ''))
        self.assertIn('Connection refused', err)

    def test_room(self):
        """What was said is told to newcomers, the time to all, and its end is orderly."""
        folder = self.enterContext(tempfile.TemporaryDirectory())
        address = os.path.join(folder, 'room.sock')
        server = subprocess.Popen([os.environ['EXAMPLES'] + 'room', f'unix:{address}'])
        try:
            eventually(lambda: os.path.exists(address))
            with Raw(address) as one, Raw(address) as other:
                one.open('/')
                self.assertRegex(one.message()[1], rb'^[0-9]{10}$')
                one.send(frame(TEXT, b'hello'))
                one.send(frame(TEXT, b'again'))
                one.message()  # the next second: both were published
                other.open('/')
                self.assertEqual([other.message()[1] for _ in range(2)], [b'hello', b'again'])
                server.send_signal(signal.SIGTERM)
                while one.frame()[0] != 0x80 | CLOSE:
                    pass
                for raw in (one, other):
                    raw.send(close_frame(1001))
            self.assertEqual(server.wait(PATIENCE_S), 0)
        finally:
            server.kill()
            server.wait()

    def test_a_port_that_is_taken(self):
        """echo has a port of its own: it serves, or says that somebody has it."""
        with socket.socket() as holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            for _ in range(50):
                try:
                    holder.bind(('127.0.0.1', 9001))
                    holder.listen()
                    break
                except OSError:  # another has: this test on the other backend, for a moment, or somebody for good
                    time.sleep(0.1)
            code, out, err = example('echo')
        self.assertEqual((code, out), (1, ''))
        self.assertRegex(err, '127.0.0.1:9001.*in use')

    def in_a_loop(self, name):
        if not os.path.exists(os.environ['EXAMPLES'] + name):
            self.skipTest(f'there is no {name}')
        with Weft() as weft:
            self.assertEqual(example(name, weft.ws + '/echo'), (0, 'tick\n' * 3, ''))
        code, out, err = example(name, NOBODY)
        self.assertEqual((code, out), (0, ''))
        self.assertIn('Connection refused', err)

    def test_libuv(self):
        self.in_a_loop('libuv')

    def test_glib(self):
        self.in_a_loop('glib')


if __name__ == '__main__':
    main()

#!/usr/bin/python3
"""The clients among the examples, against weft serve's echo.

    WEFT_BIN=/path/to/weft EXAMPLES=/path/to/example_ examples.py

Those in other loops are skipped where they were not built, for want of the loop.
"""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from weft import PATIENCE_S, Weft, main  # noqa: E402

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

#!/usr/bin/python3
"""nghttp2's own client and load generator against the pages, over HTTP/2 in the clear and in TLS."""

import re
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True

from weft import PATIENCE_S, Weft, main  # noqa: E402

WAYS = ('--h2c',), ('--tls-self-signed',)


def tool(*args):
    done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=3 * PATIENCE_S)
    if done.returncode != 0:
        raise AssertionError(f'{args}: {done.stdout}{done.stderr}')
    return done.stdout


class Tools(unittest.TestCase):
    def test_a_page(self):
        for flags in WAYS:
            with Weft(*flags) as weft:
                self.assertEqual(tool('nghttp', '--no-verify-peer', f'{weft.url}/healthz'), 'ok\n')
                self.assertIn('<title>', tool('nghttp', '--no-verify-peer', weft.url))
                said = tool('nghttp', '-nv', '--no-verify-peer', f'{weft.url}/nowhere')
                self.assertRegex(said, r':status: 404')

    def test_load(self):
        for flags in WAYS:
            with Weft(*flags) as weft:
                said = tool('h2load', '-n', '5000', '-c', '20', '-m', '32', f'{weft.url}/room.js')
                requests = re.search(r'^requests: (.*)$', said, re.M).group(1)
                self.assertEqual(requests, '5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed, 0 errored, '
                                           '0 timeout')
                self.assertIn('5000 2xx', said)


if __name__ == '__main__':
    main()

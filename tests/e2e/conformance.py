#!/usr/bin/python3
"""The conformance suite against the built program: with compression both ways, with room for 16 MB, and as it is by default.

    WEFT_BIN=/path/to/weft CONFORMANCE_BIN=/path/to/conformance conformance.py
"""

import contextlib
import os
import re
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True

from weft import Weft, main  # noqa: E402

CASES_MIN, DEFLATE_CASES_MIN = 1200, 800
WHOLE_SUITE_S = 90


@contextlib.contextmanager
def relay(mode, port):
    """The suite knows TCP and HTTP/1.1; node carries it by TLS or as a stream of HTTP/2. Gives the URL."""
    process = subprocess.Popen([os.environ['WEFT_NODE'], 'relay.mjs', mode, str(port)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE)
    try:
        yield f'ws://127.0.0.1:{int(process.stdout.readline())}/echo'
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Conformance(unittest.TestCase):
    def judge(self, flags, options=(), by=None):
        with Weft('--pings', '1000000', '--queue-max', '64M', *flags) as server:
            port = int(server.url.rsplit(':', 1)[1])
            with relay(by, port) if by else contextlib.nullcontext(server.url.replace('http', 'ws') + '/echo') as url:
                done = subprocess.run([os.environ['CONFORMANCE_BIN'], '--jobs', '64', *options, url],
                                      stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WHOLE_SUITE_S)
        print(done.stdout, end='', flush=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        found = re.search(r'^(\d+) passed, (\d+) failed, (\d+) skipped$', done.stdout, re.M)
        passed, failed, skipped = map(int, found.groups())
        self.assertEqual(failed, 0)
        self.assertGreater(passed + skipped, DEFLATE_CASES_MIN if 'deflate' in options else
                           0 if '--filter' in options else CASES_MIN)
        return skipped

    def test_dedicated_compression_and_16_mb(self):
        skipped = self.judge(['--message-max', '16M', '--deflate', 'dedicated', '--deflate-min', '1'], ['--require-deflate'])
        self.assertEqual(skipped, 0)

    def test_shared_compression_and_the_default_limit(self):
        skipped = self.judge(['--deflate', 'shared'], ['--require-deflate', '--limit', str(64 << 10)])
        self.assertEqual(skipped, 0)

    def test_no_takeover(self):
        skipped = self.judge(['--deflate', 'no-takeover', '--deflate-min', '1'],
                            ['--require-deflate', '--limit', str(64 << 10), '--filter', 'deflate'])
        self.assertEqual(skipped, 0)

    def test_by_tls(self):
        skipped = self.judge(['--message-max', '16M', '--deflate-min', '1', '--tls-self-signed'],
                             ['--require-deflate'], 'tls')
        self.assertEqual(skipped, 0)

    def test_by_streams_of_http2(self):
        """All but the handshake, which is another one there."""
        for about in ('framing', 'reserved', 'opcodes', 'control', 'fragments', 'utf-8', 'limits', 'deflate', 'slow'):
            skipped = self.judge(['--message-max', '16M', '--deflate-min', '1', '--h2c'],
                                 ['--require-deflate', '--filter', about], 'h2')
            self.assertEqual(skipped, 0)

    def test_without_compression_offers_are_declined(self):
        skipped = self.judge(['--deflate', 'off'], ['--limit', str(64 << 10), '--filter', 'deflate'])
        self.assertGreater(skipped, 500)


if __name__ == '__main__':
    main()

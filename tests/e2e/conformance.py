#!/usr/bin/python3
"""The conformance suite against the built program: with compression both ways, with room for 16 MB, and as it is by default.

    WEFT_BIN=/path/to/weft CONFORMANCE_BIN=/path/to/conformance conformance.py
"""

import os
import re
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True

from weft import Weft, main  # noqa: E402

CASES_MIN, DEFLATE_CASES_MIN = 1200, 800
WHOLE_SUITE_S = 90


class Conformance(unittest.TestCase):
    def judge(self, flags, options=()):
        with Weft('--pings', '1000000', '--queue-max', '64M', *flags) as server:
            done = subprocess.run([os.environ['CONFORMANCE_BIN'], '--jobs', '64', *options, server.ws + '/echo'],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WHOLE_SUITE_S)
        print(done.stdout, end='', flush=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        found = re.search(r'^(\d+) passed, (\d+) failed, (\d+) skipped$', done.stdout, re.M)
        passed, failed, skipped = map(int, found.groups())
        self.assertEqual(failed, 0)
        self.assertGreater(passed + skipped, DEFLATE_CASES_MIN if '--filter' in options else CASES_MIN)
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

    def test_without_compression_offers_are_declined(self):
        skipped = self.judge(['--deflate', 'off'], ['--limit', str(64 << 10), '--filter', 'deflate'])
        self.assertGreater(skipped, 500)


if __name__ == '__main__':
    main()

#!/usr/bin/python3
"""The conformance suite against the built program: with compression both ways, with room for 16 MB, and as it is by default.

    WEFT_BIN=/path/to/weft CONFORMANCE_BIN=/path/to/conformance conformance.py
"""

import sys

sys.dont_write_bytecode = True

from judging import Judged  # noqa: E402
from weft import main  # noqa: E402


class Conformance(Judged):
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

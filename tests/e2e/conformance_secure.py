#!/usr/bin/python3
"""The conformance suite against the built program by TLS, and by streams of HTTP/2.

    WEFT_BIN=/path/to/weft CONFORMANCE_BIN=/path/to/conformance WEFT_NODE=node conformance_secure.py
"""

import sys

sys.dont_write_bytecode = True

from judging import Judged  # noqa: E402
from weft import main  # noqa: E402


class Secure(Judged):
    def test_by_tls(self):
        skipped = self.judge(['--message-max', '16M', '--deflate-min', '1', '--tls-self-signed'],
                             ['--require-deflate'], 'tls')
        self.assertEqual(skipped, 0)

    def test_by_streams_of_http2(self):
        """All but the handshake, which is another one there."""
        skipped = self.judge(['--message-max', '16M', '--deflate-min', '1', '--h2c'],
                             ['--require-deflate', '--without', 'handshake: '], 'h2')
        self.assertEqual(skipped, 0)

    def test_by_streams_of_http2_in_tls(self):
        """Some of them: beneath a stream all is as it was."""
        for about in ('close codes: ', 'control: '):
            skipped = self.judge(['--message-max', '16M', '--deflate-min', '1', '--tls-self-signed'],
                                 ['--require-deflate', '--filter', about], 'h2tls')
            self.assertEqual(skipped, 0)


if __name__ == '__main__':
    main(seconds=240)

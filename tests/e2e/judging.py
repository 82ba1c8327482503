"""The conformance suite, run against a server of this program; what the tests that do so share.

$CONFORMANCE_BIN is the suite, $WEFT_NODE is node.
"""

import contextlib
import os
import re
import subprocess
import unittest

from weft import Weft

CASES_MIN, DEFLATE_CASES_MIN = 1200, 800
WHOLE_SUITE_S = 120


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


class Judged(unittest.TestCase):
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

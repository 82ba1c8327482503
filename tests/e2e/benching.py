"""What the tests of weft bench share."""

import json
import subprocess
import tempfile
import unittest

from faulty import Faulty
from weft import Weft, program

FAILED, USAGE, DNS, CONNECT, HTTP, TIMEOUT, ABNORMAL, PROTOCOL, CLOSED, INVALID = 1, 2, 6, 7, 22, 28, 64, 65, 66, 70
SHORT = ['-d', '1s', '--warmup', '100ms', '--grace', '500ms']
# A test is about what was asked for, not about whether this machine is quiet enough to measure a latency of 50 us.
FINE = (0, INVALID)


def bench(*args, seconds=40):
    done = subprocess.run([program(), 'bench', *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def report(*args, **how):
    """The exit code, and what --json said."""
    code, out, err = bench(*args, '--json', **how)
    if not out.startswith('{'):
        raise AssertionError(f'exit code {code}, no report: {out!r} {err!r}')
    return code, json.loads(out)


class Case(unittest.TestCase):
    def serve(self, *flags):
        return self.enterContext(Weft('--log', 'json', *flags))

    def faulty(self, *how):
        return self.enterContext(Faulty(*how))

    def folder(self):
        return self.enterContext(tempfile.TemporaryDirectory())

    def only(self, errors, *kinds):
        """These errors, and no others."""
        seen = {kind for kind, count in errors.items() if kind not in ('total', 'missing', 'examples') and count}
        self.assertEqual(seen, set(kinds), errors)

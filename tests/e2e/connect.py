#!/usr/bin/python3
"""weft connect as its user sees it, in a pipe: bytes, flags, events.

    WEFT_BIN=/path/to/weft connect.py
"""

import asyncio
import json
import os
import random
import re
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True

from connecting import Case, says, serving, silent, start_server  # noqa: E402
from weft import PATIENCE_S, main, program  # noqa: E402

setUpModule = start_server


async def silent_to_pings(socket, path=None):
    socket.pong = lambda *_: asyncio.sleep(0)
    await socket.wait_closed()


class Pipes(Case):
    def test_the_answer_is_printed(self):
        self.assertEqual(self.connect(self.echo, feed=b'hi\n'), (0, b'hi\n', ''))

    def test_bytes_are_not_mangled(self):
        feed = b'\n\r\nspace \n\ttab\n\x00\xc3\xa9\x1b[31m\nlast\n'
        self.assertEqual(self.connect(self.echo, feed=feed), (0, feed, ''))

    def test_a_partial_last_line_is_sent(self):
        self.assertEqual(self.connect(self.echo, feed=b'a\nb'), (0, b'a\nb\n', ''))

    def test_binary(self):
        self.assertEqual(self.connect(self.echo, '-b', feed=b'\xff\xfe\n'), (0, b'\xff\xfe\n', ''))
        code, out, err = self.connect(self.echo, feed=b'fine\n\xff\n')
        self.assertEqual(code, 2)
        self.assertIn('--binary', err)

    def test_separators(self):
        self.assertEqual(self.connect(self.echo, '-0', '--expect', '2', feed=b'a\nb\0c'), (0, b'a\nb\0c\0', ''))
        self.assertEqual(self.connect(self.echo, '--separator', '--', '--expect', '3', feed=b'a-b--c----'),
                         (0, b'a-b--c----', ''))

    def test_ten_megabytes_of_lines(self):
        feed = b''.join(b'%d\n' % n for n in range(1_400_000))
        self.assertGreater(len(feed), 9_000_000)
        code, out, err = self.connect(self.echo, feed=feed)
        self.assertEqual((code, err), (0, ''))
        self.assertTrue(out == feed)

    def test_ten_megabytes_of_anything(self):
        feed = random.Random(1).randbytes(10_000_000) + b'\n'  # lines of some 256 bytes, and a few of over 2,000
        code, out, err = self.connect(self.echo, '-b', feed=feed)
        self.assertEqual((code, err), (0, ''))
        self.assertTrue(out == feed)
        feed = random.Random(2).randbytes(60_000) + b'\r\n-\r\n'  # a separator that is no line, and hides in others
        code, out, err = self.connect(self.echo, '-b', '--separator', '\r\n-\r\n', feed=feed + b'\r\n-\r' + feed)
        self.assertEqual((code, err), (0, ''))
        self.assertTrue(out == feed + b'\r\n-\r' + feed)

    def fill(self, process, line):
        """Writes until nobody takes any more. How much that was."""
        written, still = 0, time.monotonic()
        os.set_blocking(process.stdin.fileno(), False)
        while time.monotonic() - still < 0.7 and written < 100_000_000:
            try:
                written += os.write(process.stdin.fileno(), (line * 64)[written % len(line):])
                still = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        self.assertLess(written, 50_000_000)
        with open(f'/proc/{process.pid}/status') as status:
            peak = int(next(row.split()[1] for row in status if row.startswith('VmHWM')))
        self.assertLess(peak, 64 * 1024)
        return written

    def test_a_slow_reader_slows_the_writer(self):
        """Nothing reads stdout: stdin must stop being read, and memory must stay small. Then all of it comes."""
        process = self.start(self.echo)
        line = random.Random(3).randbytes(500).hex().encode() + b'\n'  # nothing that deflate makes small
        written = self.fill(process, line)
        out, err = process.communicate(timeout=PATIENCE_S)
        self.assertEqual((process.returncode, err), (0, b''))
        self.assertTrue(out == (line * (written // len(line) + 1))[:written] + (b'\n' if written % len(line) else b''))

    def test_a_peer_that_stops_reading(self):
        heard, go_on = [], threading.Event()

        async def handler(socket, path=None):
            while not go_on.is_set():
                await asyncio.sleep(0.02)
            async for message in socket:
                heard.append(message)
        line = b'x' * 1000 + b'\n'
        with serving(handler, max_queue=1, compression=None) as url:
            process = self.start(url, '-u')
            written = self.fill(process, line)
            go_on.set()
            out, err = process.communicate(timeout=PATIENCE_S)
        self.assertEqual((process.returncode, out, err), (0, b'', b''))
        self.assertTrue(''.join(text + '\n' for text in heard).encode()[:written] == (line * (written // len(line) + 1))[:written])
        self.assertEqual(len(heard), -(-written // len(line)))

    def test_nobody_reads_stdout_any_more(self):
        process = self.start(self.echo)
        process.stdout.close()
        process.stdin.write(b'hi\n')
        process.stdin.flush()
        self.assertEqual(process.wait(PATIENCE_S), 0)
        self.assertEqual(process.stderr.read(), b'')

    def test_a_full_disk(self):
        with open('/dev/full', 'wb') as full:
            done = subprocess.run([program(), 'connect', self.echo], input=b'hi\n', stdout=full,
                                  stderr=subprocess.PIPE, timeout=PATIENCE_S)
        self.assertEqual((done.returncode, done.stderr), (1, b'weft: cannot write: No space left on device\n'))


class Flags(Case):
    def test_execute_and_one(self):
        self.assertEqual(self.connect(self.echo, '-x', 'a', '-x', 'b', feed=b'c\n'), (0, b'a\nb\nc\n', ''))
        self.assertEqual(self.connect(self.echo, '-1', '-x', 'a', '-x', 'b'), (0, b'a\n', ''))

    def test_expect(self):
        self.assertEqual(self.connect(self.echo, '--expect', '2', feed=b'a\nb\n')[0], 0)
        code, out, err = self.connect(self.echo, '--expect', '1', feed=b'a\nb\n')
        self.assertEqual((code, err), (1, 'weft: 2 messages came, not 1\n'))
        self.assertEqual(self.connect(self.echo, '--expect', 'x')[0], 2)

    def test_one_direction(self):
        self.assertEqual(self.connect(self.echo, '-u', feed=b'a\n'), (0, b'', ''))
        with serving(says('one', b'\x01')) as url:
            self.assertEqual(self.connect(url, '-U', feed=b'not read\n'), (0, b'one\n\x01\n', ''))

    def test_how_long_it_waits(self):
        with serving(silent) as url:
            for flags, least, most in ((['-w', '700ms'], 0.6, 2.5), (['-E'], 0, 2.5), ([], 2.5, 8)):
                started = time.monotonic()
                self.assertEqual(self.connect(url, *flags, feed=b'a\n'), (0, b'', ''))
                self.assertTrue(least < time.monotonic() - started < most, flags)

    def test_no_close_waits_for_the_peer(self):
        async def later(socket, path=None):
            await asyncio.sleep(0.8)
            await socket.send('late')
        with serving(later) as url:
            self.assertEqual(self.connect(url, '--no-close', '-w', '100ms'), (0, b'late\n', ''))

    def test_what_the_handshake_says(self):
        seen = []

        async def handler(socket, path=None):
            headers = socket.request_headers if hasattr(socket, 'request_headers') else socket.request.headers
            seen.append((headers.get('X-One'), headers.get('Origin'), socket.subprotocol,
                         'Sec-WebSocket-Extensions' in headers))
        with serving(handler, subprotocols=['chat']) as url:
            flags = ['-H', 'X-One: 1', '--origin', 'http://a', '-s', 'chat']
            self.connect(url, *flags)
            self.connect(url, '--no-compress', *flags)
        self.assertEqual(seen, [('1', 'http://a', 'chat', True), ('1', 'http://a', 'chat', False)])

    def test_how_it_closes(self):
        codes = []

        async def handler(socket, path=None):
            await socket.wait_closed()
            codes.append((socket.close_code, socket.close_reason))
        with serving(handler) as url:
            self.assertEqual(self.connect(url, '-E')[0], 0)
            self.assertEqual(self.connect(url, '-E', '--close-code', '4001', '--close-reason', 'bye')[0], 0)
        self.assertEqual(codes, [(1000, ''), (4001, 'bye')])

    def test_pings(self):
        code, out, err = self.connect(self.echo, '-P', '--ping-interval', '50ms', '-w', '400ms')
        self.assertEqual((code, out), (0, b''))
        self.assertRegex(err, r'weft: pong after [0-9.]+ ms\n')
        with serving(silent_to_pings) as url:
            code, out, err = self.connect(url, '-U', '--ping-interval', '50ms', '--ping-timeout', '100ms')
        self.assertEqual((code, out), (28, b''))
        self.assertIn('ping_timeout', err)

    def test_the_peers_pings_and_pongs(self):
        async def handler(socket, path=None):
            await socket.ping(b'are you \x1b[31m there?')
            await socket.pong(b'unasked')
            await socket.send('said')
        with serving(handler, ping_interval=None) as url:
            self.assertEqual(self.connect(url, '-U', '-P'), (0, b'said\n', 'weft: ping from the peer: are you \x1b[31m there?\n'
                             'weft: pong from the peer that nobody asked for: unasked\n'))
            self.assertEqual(self.connect(url, '-U'), (0, b'said\n', ''))
            events = self.events(url, '-U')
        self.assertEqual([(e['dir'], e['op'], e['payload'], e['len'], e['wire_len'], e['rsv'], e['fin']) for e in events[1:3]],
                         [('in', 'ping', 'are you \x1b[31m there?', 20, 22, 0, True),
                          ('in', 'pong', 'unasked', 7, 9, 0, True)])

    def events(self, url, *flags, feed=b''):
        code, out, err = self.connect(url, '--json', *flags, feed=feed)
        events = [json.loads(line) for line in out.splitlines()]
        for event in events:
            self.assertEqual(list(event)[:10], ['ts_ns', 'conn', 'dir', 'op', 'fin', 'rsv', 'wire_len', 'len', 'rtt_ns',
                                                'payload'])
            self.assertAlmostEqual(event['ts_ns'] / 1e9, time.time(), delta=PATIENCE_S)
        return events

    def test_json(self):
        events = self.events(self.echo, feed=b'"\\\x01\n')
        self.assertEqual([(e['dir'], e['op']) for e in events],
                         [('in', 'open'), ('out', 'text'), ('in', 'text'), ('out', 'close'), ('in', 'close')])
        for event in events[1:3]:
            self.assertEqual((event['payload'], event['len'], event['fin']), ('"\\\x01', 3, True))
        self.assertEqual((events[3]['code'], events[4]['code'], events[4]['clean'], events[4]['by_peer']),
                         (1000, 1000, True, False))
        self.assertEqual([(e['wire_len'], e['rsv']) for e in events[1:]], [(9, 0), (None, None), (8, 0), (4, 0)])

    def test_json_of_what_is_compressed_and_binary(self):
        out = self.events(self.echo, feed=b'x' * 1000)[1]
        self.assertEqual((out['len'], out['rsv']), (1000, 4))
        self.assertLess(out['wire_len'], 100)
        out = self.events(self.echo, '--no-compress', feed=b'x' * 1000)[1]
        self.assertEqual((out['wire_len'], out['rsv']), (1008, 0))
        for event in self.events(self.echo, '-b', feed=b'\x00\xff')[1:3]:
            self.assertEqual((event['op'], event['payload'], event['payload_hex']), ('binary', None, '00ff'))

    def test_json_of_a_heartbeat_and_of_failure(self):
        events = self.events(self.echo, '--ping-interval', '50ms', '-w', '300ms')
        self.assertLess(0, [e['rtt_ns'] for e in events if e['op'] == 'pong'][0])
        failed, = self.events('ws://127.0.0.1:1/')
        self.assertEqual((failed['op'], failed['exit']), ('failed', 7))
        self.assertIn('cannot connect', failed['payload'])

    def test_colors(self):
        def words(*flags, **env):
            return self.connect(self.echo, '-v', '-w', '1ms', '-x', 'x', *flags, env={**os.environ, **env})[1:]
        self.assertEqual(words()[1].count('\x1b'), 0)
        out, err = words('--color=always', NO_COLOR='1', TERM='dumb')
        self.assertIn('\x1b[2mweft:\x1b[0m open', err)
        self.assertNotIn(b'\x1b', out)
        self.assertIn('\x1b[31mweft:\x1b[0m ', self.connect('ws://127.0.0.1:1/', '--color=always')[2])
        self.assertEqual(self.connect(self.echo, '--color=blue')[0], 2)

    def test_usage(self):
        for flags in (['-t', '-b'], ['-u', '-U'], ['-u', '-1'], ['-0', '--separator', 'x'], ['--separator', ''],
                      ['--close-code', '1005'], ['--close-reason', 'x' * 124], ['extra'], ['--nonsense'],
                      ['-H', 'no colon']):
            code, out, err = self.connect(self.echo, *flags)
            self.assertEqual((code, out), (2, b''), flags)
            self.assertRegex(err, r'\Aweft: [^\n]+\n\Z')
        self.assertEqual(self.connect('http//nothing')[0], 2)
        self.assertIn('did you mean --no-compress?', self.connect(self.echo, '--no-compres')[2])
        self.assertEqual(self.connect(self.echo, '-w', '5 parsecs')[0], 2)

    def test_every_flag_is_in_the_help(self):
        helped = subprocess.run([program(), 'help', 'connect'], capture_output=True, text=True).stdout
        for flag in ('-H,', '--origin', '-s,', '-t,', '-b,', '-1,', '-u,', '-U,', '-E, --exit-on-eof', '--no-close',
                     '-w, --wait', '--expect', '-x, --execute', '-0,', '--separator', '--ping-interval', '--ping-timeout',
                     '-P, --show-ping-pong', '--close-code', '--close-reason', '--reconnect', '--no-compress', '--color',
                     '-v,', '-q,', '--json', '--raw', '-k,', '--cacert', '--cert', '--key', '-L,', '--auth'):
            self.assertIn(flag, helped)
        with open(os.path.join(os.path.dirname(__file__), '../../docs/CONNECT.md')) as file:
            written = re.findall(r'\d+', ' '.join(re.findall(r'^\| ([0-9, ]+) \|', file.read(), re.M)))
        self.assertEqual(set(re.findall(r'^  (\d+) +\w', helped, re.M)) - {'70'}, set(written))


if __name__ == '__main__':
    main(at_once=6)

#!/usr/bin/python3
"""weft bench: do its figures hold back nothing, and are its reports what they promise to be?

    WEFT_BIN=/path/to/weft bench_report.py
"""

import html.parser
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True

from benching import FAILED, FINE, INVALID, SHORT, Case, bench, report  # noqa: E402
from weft import PATIENCE_S, main, program  # noqa: E402

SCHEMA = {
    '': 'client connect_ns errors last_receiver_ns latency_ns machine run samples schema send_lag_ns server '
        'spread_ns started totals verdict weft',
    'verdict': 'exit failed invalid valid',
    'machine': 'kernel processor processors',
    'run': 'asked_count asked_s connections deflate_agreed deflate_offered extensions inflight mode model opcode payload '
           'publishers rate size_max size_min subscribers threads url warmup_s',
    'totals': 'complete delayed done expected interrupted opened payload_in payload_out rate seconds sent unit '
              'wire_in wire_out',
    'errors': 'closed connect corrupt duplicated examples handshake lost missing reordered stray total unanswered '
              'wrong_opcode',
    'latency_ns': 'count curve deviation max mean min p50 p75 p90 p95 p99 p99.9 p99.99',
    'client': 'busiest_thread cpu_s cpu_us waited',
    'server': 'anon_before anon_end anon_open cpu_s cpu_us rss_before rss_each rss_end rss_open',
    'samples': 'columns rows',
}


class Honesty(Case):
    def frozen(self, stop_s, *flags):
        """A run in which the server stands still once."""
        server = self.serve('--threads', '1')

        def freeze():
            time.sleep(1.5)
            server.signal(signal.SIGSTOP)
            time.sleep(stop_s)
            server.signal(signal.SIGCONT)

        thread = threading.Thread(target=freeze)
        thread.start()
        code, told = report(server.ws + '/echo', '-c', '10', '--warmup', '500ms', *flags)
        thread.join()
        self.assertIn(code, FINE)
        self.only(told['errors'])
        return told

    def test_a_second_of_ten_is_in_the_99th_percentile(self):
        told = self.frozen(1, '-r', '1k', '-d', '10s')
        self.assertGreaterEqual(told['latency_ns']['p99'], 850e6)
        self.assertLess(told['latency_ns']['p50'], 100e6)
        self.assertEqual(told['latency_ns']['count'], 10000)

    def test_a_tenth_of_two_seconds_is_too(self):
        told = self.frozen(0.3, '-r', '2k', '-d', '3s')
        self.assertGreaterEqual(told['latency_ns']['p99'], 250e6)

    def test_the_closed_model_hides_it_and_says_so(self):
        told = self.frozen(0.5, '-r', '0', '-d', '3s')
        self.assertLess(told['latency_ns']['p99'], 250e6)
        self.assertGreaterEqual(told['latency_ns']['max'], 450e6)
        code, out, _ = bench(self.serve().ws + '/echo', '-r', '0', *SHORT)
        self.assertIn('throughput only: latency excludes queueing', out)

    def client_frozen(self, path, *flags):
        """A run in which the client stands still for half of a second."""
        process = subprocess.Popen([program(), 'bench', self.serve().ws + path, '-d', '3s', '--warmup', '500ms',
                                    '--json',
                                    *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(1.5)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=PATIENCE_S)
        told = json.loads(out)
        self.only(told['errors'])
        self.assertEqual(process.returncode, INVALID, err)
        self.assertGreaterEqual(told['latency_ns']['p99'], 400e6)
        self.assertGreaterEqual(told['send_lag_ns']['p99'], 400e6)
        self.assertIn('send lag', told['verdict']['invalid'][-1])
        times = [row[0] for row in told['samples']['rows']]
        self.assertEqual(times, sorted(times))

    def test_a_client_that_stands_still_is_in_it_too(self):
        self.client_frozen('/echo', '-r', '1k')
        self.client_frozen('/rooms/a', '-r', '200', '--pub', '1', '--sub', '5')

    def test_a_client_at_its_limit_says_invalid(self):
        server = self.serve()
        code, told = report(server.ws + '/echo', '-c', '2', '-r', '20M', '-t', '1', '-d', '500ms', '--warmup', '0',
                            '--grace', '10s')
        self.only(told['errors'])
        self.assertEqual(code, INVALID)
        self.assertFalse(told['verdict']['valid'])


class Forms(Case):
    def test_json_keeps_its_schema(self):
        server = self.serve()
        _, told = report(server.ws + '/echo', '-r', '300', *SHORT, '--server-pid', str(server.process.pid))
        self.assertEqual(told['schema'], 'weft-bench-1')
        for path, names in SCHEMA.items():
            self.assertEqual(' '.join(sorted(told[path] if path else told)), names)
        for other in ('send_lag_ns', 'connect_ns', 'last_receiver_ns', 'spread_ns'):
            self.assertEqual(sorted(told[other]), sorted(told['latency_ns']))
        self.assertEqual(told['samples']['columns'], 'at_s seconds done errors p50 p90 p99 max server_cpu_s'.split())
        rows = told['samples']['rows']
        self.assertIn(len(rows), (9, 10))
        self.assertGreater(rows[-1][1], 0.02)
        self.assertEqual(sum(row[2] for row in rows), told['totals']['done'])
        self.assertEqual(told['latency_ns']['curve'][-1][:2], [1, told['latency_ns']['max']])

    def test_files(self):
        server, folder = self.serve(), self.folder()
        paths = {form: os.path.join(folder, 'run.' + form) for form in ('json', 'csv', 'hgrm', 'html', 'txt')}
        flags = [flag for path in paths.values() for flag in ('-o', path)]
        code, out, _ = bench(server.ws + '/echo', '-r', '300', *SHORT, *flags)
        self.assertIn(code, FINE)
        texts = {}
        for form, path in paths.items():
            with open(path) as file:
                texts[form] = file.read()
        self.assertEqual(texts['txt'], out)
        self.assertEqual(json.loads(texts['json'])['totals']['sent'], 300)
        self.assertTrue(texts['csv'].startswith('at_s,seconds,done,rate,'))
        self.assertIn('1/(1-Percentile)', texts['hgrm'])
        parser = html.parser.HTMLParser()
        parser.feed(texts['html'])
        self.assertEqual(texts['html'].count('<svg'), 3)
        self.assertNotRegex(texts['html'], r'https?://|<script|<link|nan|\binf\b')

    def test_diff(self):
        """A run beside itself, and beside what it would be at three tenths of the rate."""
        folder = self.folder()
        a, b = os.path.join(folder, 'a.json'), os.path.join(folder, 'b.json')
        _, told = report(self.serve().ws + '/echo', '-r', '1k', *SHORT)
        for at, row in enumerate(told['samples']['rows']):
            row[2] = 95 + at  # what noise there is shall not decide
        with open(a, 'w') as file:
            json.dump(told, file)
        told['totals']['rate'] *= 0.3
        told['run']['rate'] = 300
        for row in told['samples']['rows']:
            row[2] *= 0.3
        with open(b, 'w') as file:
            json.dump(told, file)
        code, out, err = bench('diff', a, b)
        self.assertEqual((code, err), (FAILED, ''))
        self.assertRegex(out, r'rate .* 0\.300 .* WORSE')
        self.assertIn('run.rate was 1000 and is 300', out)
        code, out, _ = bench('diff', b, a)
        self.assertEqual(code, 0)
        self.assertRegex(out, r'rate .* better')
        code, out, _ = bench('diff', a, a)
        self.assertEqual(code, 0)
        self.assertNotIn('WORSE', out)

    def test_a_pipe_gets_no_colors_and_no_live_view(self):
        code, out, err = bench(self.serve().ws + '/echo', *SHORT)
        self.assertNotIn('\x1b', out)
        self.assertEqual(err, '')
        code, out, err = bench(self.serve().ws + '/echo', *SHORT, '--color', 'always')
        self.assertIn('\x1b[', out)

    def test_a_reader_that_leaves_is_no_crash(self):
        process = subprocess.Popen([program(), 'bench', self.serve().ws + '/echo', *SHORT], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        process.stdout.close()
        self.assertEqual(process.stderr.read(), b'')
        process.stderr.close()
        process.wait(PATIENCE_S)
        self.assertIn(process.returncode, FINE)

    def live(self, columns, **environment):
        """What a terminal of so many columns saw."""
        server = self.serve()
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(environment, TERM='xterm')
            os.execv(program(), [program(), 'bench', server.ws + '/echo', *SHORT])
        import fcntl
        import struct
        import termios
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
        seen = b''
        while select.select([terminal], [], [], PATIENCE_S)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                break
        os.waitpid(pid, 0)
        os.close(terminal)
        return seen.decode()

    def test_the_live_view_fits_its_terminal(self):
        for columns in (200, 80, 40, 20):
            seen = self.live(columns)
            lines = [re.sub(r'\x1b\[[0-9;]*[mK]', '', part) for part in seen.split('\r\x1b[K')[2:-1]]
            self.assertGreater(len(lines), 4)
            self.assertLess(max(map(len, lines)), columns)
            self.assertTrue(any('measuring' in line for line in lines), lines)
            if columns != 40:
                self.assertEqual(any('p99' in line for line in lines), columns >= 80)

    def test_no_color(self):
        self.assertIn('\x1b[1m', self.live(80))
        self.assertNotRegex(self.live(80, NO_COLOR='1'), r'\x1b\[[0-9;]+m')


if __name__ == '__main__':
    main()

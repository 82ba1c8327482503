#!/usr/bin/python3
"""weft bench against servers that are good, and all the ways in which a run can end. Servers with one fault each are in
bench_faults.py.

    WEFT_BIN=/path/to/weft bench.py
"""

import os
import re
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True

from benching import (ABNORMAL, CLOSED, CONNECT, DNS, FAILED, FINE, HTTP, INVALID, PROTOCOL, SHORT,  # noqa: E402
                      TIMEOUT, USAGE, Case, bench, report)
from weft import PATIENCE_S, Weft, main, program  # noqa: E402


class Good(Case):
    def test_open_model(self):
        server = self.serve()
        code, told = report(server.ws + '/echo', '-c', '4', '-r', '500', *SHORT)
        self.assertIn(code, FINE)
        self.only(told['errors'])
        self.assertEqual(told['run']['model'], 'open')
        self.assertEqual(told['totals']['sent'], 500)
        self.assertAlmostEqual(told['totals']['rate'], 500, delta=250)
        self.assertEqual(told['latency_ns']['count'], 500)
        self.assertEqual(told['send_lag_ns']['count'], 500)
        self.assertEqual(told['totals']['opened'], 4)

    def test_closed_model(self):
        server = self.serve()
        code, told = report(server.ws + '/echo', '-c', '4', '-r', '0', '-i', '8', *SHORT)
        self.assertIn(code, FINE)
        self.only(told['errors'])
        self.assertEqual(told['run']['model'], 'closed')
        self.assertGreater(told['totals']['rate'], 1000)

    def test_a_count_is_kept(self):
        server = self.serve()
        for model in (['-r', '2k'], ['-r', '0']):
            for threads in ('1', '2'):
                code, told = report(server.ws + '/echo', '-n', '777', '-c', '5', '-t', threads, '--warmup', '50ms',
                                    *model)
                self.assertIn(code, FINE)
                self.only(told['errors'])
                self.assertEqual((told['totals']['sent'], told['totals']['done']), (777, 777), model)

    def test_sizes_kinds_and_deflate(self):
        server = self.serve()
        for flags in (['--size', '16'], ['--size', '16..4096'], ['--size', '32'], ['--size', '60000', '-b'],
                      ['-b', '--deflate'], ['--size', '2000', '--deflate'], ['-m', 'grüße'], ['-m', '']):
            for model in (['-r', '500'], ['-r', '0']):
                with self.subTest(flags + model):
                    code, told = report(server.ws + '/echo', '-c', '3', '-d', '300ms', '--warmup', '50ms', *model,
                                        *flags)
                    self.assertIn(code, FINE)
                    self.only(told['errors'])
                    self.assertGreater(told['totals']['sent'], 100)
                    if model == ['-r', '500']:
                        self.assertEqual(told['latency_ns']['count'], told['totals']['sent'])
                    self.assertEqual(told['run']['deflate_agreed'], '--deflate' in flags)
                    self.assertEqual(told['run']['extensions'].startswith('permessage-deflate'), '--deflate' in flags)

    def test_deflate_without_context(self):
        server = self.serve('--deflate', 'dedicated')
        for flag, keeps in (('--deflate', True), ('--no-takeover', False)):
            code, told = report(server.ws + '/echo', '-c', '1', '-n', '50', '-r', '0', '--warmup', '0', '-m',
                                'abcdefgh' * 9, flag)
            self.assertIn(code, FINE)
            self.only(told['errors'])
            self.assertTrue(told['run']['deflate_agreed'])
            for side in ('server', 'client'):
                self.assertEqual(f'{side}_no_context_takeover' in told['run']['extensions'], not keeps)

    def test_messages_of_a_file(self):
        server = self.serve()
        path = os.path.join(self.folder(), 'lines')
        with open(path, 'w') as file:
            file.write('{"n":1}\r\n\n{"n":22}\nlast')
        code, told = report(server.ws + '/echo', '--messages', path, '-n', '300', '-r', '0', '-c', '1', '--warmup', '0')
        self.assertIn(code, FINE)
        self.only(told['errors'])
        self.assertEqual((told['run']['size_min'], told['run']['size_max'], told['run']['payload']), (4, 8, 'file'))
        self.assertEqual(told['totals']['payload_in'], 100 * (7 + 8 + 4))
        self.assertEqual(told['totals']['wire_in'], told['totals']['payload_in'] + 300 * 2)
        self.assertEqual(told['totals']['wire_out'], told['totals']['payload_out'] + 300 * 6)

    def test_fan_out(self):
        server = self.serve()
        for threads in ('1', '2'):
            code, told = report(server.ws + '/rooms/a', '--pub', '2', '--sub', '30', '-r', '100', '-t', threads, *SHORT)
            self.assertIn(code, FINE)
            self.only(told['errors'])
            self.assertEqual(told['totals']['sent'], 100)
            self.assertEqual(told['totals']['complete'], 100)
            self.assertEqual(told['last_receiver_ns']['count'], 100)
            self.assertEqual(told['latency_ns']['count'], 3000)
            self.assertGreaterEqual(told['last_receiver_ns']['max'], told['spread_ns']['max'])

    def test_closed_fan_out(self):
        server = self.serve()
        for threads, model in (('1', ['-n', '400']), ('2', ['-n', '400']), ('2', ['-d', '300ms'])):
            code, told = report(server.ws + '/rooms/a', '--pub', '2', '--sub', '30', '-i', '4', '-t', threads,
                                '--warmup', '50ms', *model)
            self.assertIn(code, FINE)
            self.only(told['errors'])
            self.assertEqual((told['run']['model'], told['run']['inflight']), ('closed', 4))
            sent = told['totals']['sent']
            self.assertEqual(told['totals']['complete'], sent)
            self.assertEqual(told['latency_ns']['count'], 30 * sent)
            self.assertTrue(sent == 400 if '-n' in model else sent > 50)

    def test_closed_fan_out_keeps_so_many_in_flight(self):
        """One delivery in 200 is dropped, and what it was of stays in flight: with two, the second ends it all."""
        code, told = report(self.faulty('drop', 200, True).url, '--pub', '1', '--sub', '5', '-i', '2', '-d', '500ms',
                            '--warmup', '0', '--grace', '200ms')
        self.assertEqual(code, FAILED)
        self.assertEqual(told['errors']['missing'], 2)
        self.assertEqual(told['totals']['sent'], 300)

    def test_storm(self):
        server = self.serve()
        code, told = report(server.ws + '/echo', '--storm', '-c', '4', *SHORT)
        self.assertIn(code, FINE)
        self.only(told['errors'])
        self.assertGreater(told['totals']['rate'], 50)
        code, told = report(server.ws + '/echo', '--storm', '-c', '8', '-r', '200', *SHORT)
        self.assertIn(code, FINE)
        self.only(told['errors'])
        self.assertEqual(told['totals']['sent'], 200)

    def test_what_the_server_uses(self):
        server = self.serve()
        code, told = report(server.ws + '/echo', '-c', '50', '-r', '2k', *SHORT, '--server-pid',
                            str(server.process.pid))
        self.assertIn(code, FINE)
        used = told['server']
        self.assertTrue(0.5 < used['cpu_us'] < 500, used)
        self.assertGreater(used['rss_open'], 1 << 20)
        samples = [row[8] for row in told['samples']['rows']]
        self.assertAlmostEqual(sum(samples), used['cpu_s'], delta=used['cpu_s'] / 3)

    def test_memory_is_read_at_rest(self):
        server, started = self.serve(), time.monotonic()
        for threads in ('1', '2'):
            code, told = report(server.ws + '/echo', '-c', '50', '-r', '0', '-n', '500', '--warmup', '0', '-t', threads,
                                '--settle', '200ms', '--server-pid', str(server.process.pid))
            self.assertIn(code, FINE)
            self.only(told['errors'])
            self.assertGreater(time.monotonic() - started, 0.4)
            used, started = told['server'], time.monotonic()
            for when in ('before', 'open', 'end'):
                self.assertTrue(1 << 16 < used[f'anon_{when}'] < used[f'rss_{when}'], used)

    def test_what_a_cgroup_uses(self):
        """One of files that stand still: what is read is what they say."""
        server, folder = self.serve(), self.folder()
        for name, text in (('cpu.stat', 'nr_periods 9\nusage_usec 7000000\nuser_usec 1\n'), ('memory.current',
                                                                                             '123456\n')):
            with open(os.path.join(folder, name), 'w') as file:
                file.write(text)
        code, told = report(server.ws + '/echo', '-d', '300ms', '--warmup', '0', '--server-cgroup', folder)
        self.assertIn(code, FINE)
        self.assertEqual((told['server']['cpu_s'], told['server']['rss_end']), (0, 123456))
        os.remove(os.path.join(folder, 'cpu.stat'))
        self.assertEqual(bench(server.ws + '/echo', '--server-cgroup', folder)[0], USAGE)

    def test_addresses_to_connect_from(self):
        server = self.serve('-v')
        code, _ = report(server.ws + '/echo', '-c', '6', '-r', '100', *SHORT, '--local-addr', '127.0.0.7-9')
        self.assertIn(code, FINE)
        peers = re.findall(r'127\.0\.0\.(\d+):', server.stderr())
        self.assertEqual({peer for peer in peers if peer != '1'}, {'7', '8', '9'})

    def test_what_is_said_in_the_handshake(self):
        server = self.faulty(None)
        code, _ = report(server.url, '-c', '1', '-n', '1', '--warmup', '0', '-H', 'X-One: 1', '-H', 'X-Two: 2 and more',
                         '--origin', 'http://example.org', '-s', 'chat', '-s', 'superchat')
        self.assertIn(code, FINE)
        for line in ('X-One: 1', 'X-Two: 2 and more', 'Origin: http://example.org'):
            self.assertIn(line, server.headers)
        self.assertTrue(any(re.fullmatch('Sec-WebSocket-Protocol: chat, *superchat', line) for line in server.headers))

    def test_connections_are_opened_at_their_rate(self):
        server, started = self.serve(), time.monotonic()
        code, told = report(server.ws + '/echo', '-c', '20', '--connect-rate', '25', '-n', '20', '-r', '0',
                            '--warmup', '0')
        self.assertIn(code, FINE)
        self.assertGreater(time.monotonic() - started, 19 / 25)
        self.assertEqual((told['totals']['opened'], told['connect_ns']['count']), (20, 20))

    def test_a_unix_socket(self):
        path = os.path.join(self.folder(), 'weft.sock')
        self.enterContext(Weft('--user', 'root', listen=f'unix:{path}') if os.geteuid() == 0
                          else Weft(listen=f'unix:{path}'))
        code, told = report(f'ws+unix:{path}:/echo', '-r', '100', *SHORT)
        self.assertIn(code, FINE)
        self.only(told['errors'])


class Ends(Case):
    def test_nobody_listens(self):
        code, out, err = bench('ws://127.0.0.1:1/', *SHORT)
        self.assertEqual(code, CONNECT)
        self.assertIn('refused', out)
        code, told = report('ws://127.0.0.1:1/', '--storm', *SHORT)
        self.assertEqual(code, CONNECT)

    def test_no_such_host(self):
        code, out, err = bench('ws://no.such.host.invalid/', *SHORT)
        self.assertEqual((code, out), (DNS, ''))
        self.assertIn('no.such.host.invalid', err)

    def test_refused(self):
        code, out, err = bench(self.faulty('refuse').url, *SHORT)
        self.assertEqual(code, HTTP)
        self.assertIn('503', out)
        self.assertIn('HTTP 503', err)
        self.assertIn('7', err)
        self.assertIn('full \\x1b[31m now', err)

    def test_never_answers(self):
        started = time.monotonic()
        code, told = report(self.faulty('silent').url, '--connect-timeout', '500ms', *SHORT)
        self.assertEqual(code, TIMEOUT)
        self.assertEqual(told['errors']['handshake'], 10)
        self.assertLess(time.monotonic() - started, 5)

    def test_not_a_websocket_server(self):
        for fault in ('nonsense', 'wrong_key'):
            code, told = report(self.faulty(fault).url, *SHORT)
            self.assertEqual(code, PROTOCOL, fault)
            self.assertEqual(told['errors']['handshake'], 10)

    def test_cut_midway(self):
        code, told = report(self.faulty('cut', 200).url, '-c', '2', '-r', '1k', *SHORT)
        self.assertEqual(code, ABNORMAL)
        self.assertEqual(told['errors']['closed'], 2)

    def test_closed_midway(self):
        code, told = report(self.faulty('close', 200).url, '-c', '2', '-r', '1k', *SHORT)
        self.assertEqual(code, CLOSED)
        self.assertEqual(told['errors']['closed'], 2)
        self.assertIn('1011: bad luck', told['errors']['examples'][0])

    def test_stops_reading(self):
        code, told = report(self.faulty('deaf', 100).url, '-c', '2', '-r', '500', *SHORT)
        self.assertEqual(code, FAILED)
        self.only(told['errors'], 'unanswered')
        self.assertGreaterEqual(told['latency_ns']['max'], 500e6)  # what never came has waited at least so long

    def test_ctrl_c_prints_the_report(self):
        server = self.serve()
        process = subprocess.Popen([program(), 'bench', server.ws + '/echo', '-d', '60s', '--warmup', '100ms'],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
        self.assertIn(process.returncode, FINE)
        self.assertIn(b'interrupted', out)
        self.assertEqual(err, b'')

    def test_the_second_ctrl_c_leaves(self):
        process = subprocess.Popen([program(), 'bench', self.faulty('silent').url, '-d', '60s', '--connect-timeout',
                                    '60s'],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.5)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
        self.assertLess(time.monotonic() - started, 3)


class Rules(Case):
    def test_exit_codes(self):
        server = self.serve()
        pid = str(server.process.pid)
        for rule, broken in (('p99>10s', False), ('p50>=1ns', True), ('rate<1', False), ('rate<1M', True),
                             ('errors>0', False),
                             ('cpu_us>0', True), ('rss>1G', False), ('rss_each>1M', False), ('connect_p99>5s', False)):
            code, told = report(server.ws + '/echo', '-d', '300ms', '--warmup', '0', '--server-pid', pid, '--fail-if',
                                'p99>10s',
                                '--fail-if', rule)
            self.assertIn(code, (FAILED, INVALID) if broken else FINE, rule)
            self.assertEqual(any(line.startswith(rule) for line in told['verdict']['failed']), broken, rule)

    def test_usage(self):
        url = 'ws://127.0.0.1:9/'
        for args in ([], [url, url], [url, '--fail-if', 'p99'], [url, '--fail-if', 'p99>5'], [url, '--fail-if', 'x>5'],
                     [url, '--fail-if', 'cpu_us>5'], [url, '-r', 'many'], [url, '-r', '100', '-i', '5'], [url,
                                                                                                          '--pub', '1'],
                     [url, '--pub', '1', '--sub', '1', '--storm'], [url, '--pub', '2', '--sub', '1', '-i', '20000'],
                     [url, '--size', '15'], [url, '--size', '9..3'], [url, '-m', 'a', '--messages', 'b'],
                     [url, '--messages', '/nowhere'], [url, '--messages', '/dev/null'], [url, '--server-pid', '0'],
                     [url, '--server-pid', '1073741823'], [url, '--server-cgroup', '/nowhere'], [url, '--local-addr',
                                                                                                 'x'],
                     [url, '--local-addr', '127.0.0.9-2'], [url, '-o', 'x.y'], [url, '-o', '/nowhere/x.json'],
                     [url, '--json', '--csv'], [url, '-c', '0'], [url, '--sise', '5'], ['gopher://x/'], ['ws://u:p@x/'],
                     ['diff', 'a'], ['diff', '/nowhere', '/nowhere'], ['diff', '/dev/null', '/dev/null']):
            code, out, err = bench(*args)
            self.assertEqual((code, out), (USAGE, ''), args)
            self.assertRegex(err, r'\Aweft: [^\n]+\n\Z')

    def test_help(self):
        code, short, _ = bench('-h')
        self.assertEqual(code, 0)
        self.assertLessEqual(short.count('\n'), 40)
        self.assertLess(short.index('weft bench ws://'), short.index('--connections'))
        code, long, _ = bench('--help')
        self.assertIn('--local-addr', long)
        self.assertNotIn('--local-addr', short)
        self.assertIn('INVALID', long)
        self.assertLess(max(map(len, long.splitlines())), 130)


if __name__ == '__main__':
    main()

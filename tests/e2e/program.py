#!/usr/bin/python3
"""The program as its user and its service manager see it: command line, config file, exit codes, signals, log.

    WEFT_BIN=/path/to/weft program.py
"""

import json
import os
import pty
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock
import urllib.request

sys.dont_write_bytecode = True

from weft import PATIENCE_S, TEXT, Weft, close_frame, eventually, frame, handshake, main, program, run  # noqa: E402

USAGE, CANNOT_LISTEN = 2, 7


class Case(unittest.TestCase):
    def serve(self, *flags, **how):
        return self.enterContext(Weft(*flags, **how))

    def config(self, text):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        path = os.path.join(folder, 'weft.ini')
        with open(path, 'w') as file:
            file.write(text)
        return path

    def fails(self, code, *args):
        """It ends with this code and one line on stderr, which is returned."""
        got, out, err = run(*args)
        self.assertEqual((got, out), (code, ''), err)
        self.assertRegex(err, r'\Aweft: [^\n]+\n\Z')
        return err


class CommandLine(Case):
    def test_help_and_version(self):
        for args, expected in ((['--help'], 'serve'), (['help'], 'serve'), (['help', 'serve'], '--listen'),
                               (['serve', '--help'], 'Signals:'), (['serve', '-h'], '--listen'),
                               (['version'], 'weft ')):
            code, out, err = run(*args)
            self.assertEqual((code, err), (0, ''), args)
            self.assertIn(expected, out)
            self.assertLess(max(map(len, out.splitlines())), 130)

    def test_nothing_at_all(self):
        code, out, err = run()
        self.assertEqual((code, out), (USAGE, ''))
        self.assertIn('weft serve', err)

    def test_misspelled(self):
        self.assertIn('--listen', self.fails(USAGE, 'serve', '--lisen', '127.0.0.1:0'))
        self.assertIn('--message-max', self.fails(USAGE, 'serve', '--mesage-max=1k'))
        self.assertIn('--ping-interval', self.fails(USAGE, 'serve', '--ping-intervall', '1s'))
        self.assertIn('--listen', self.fails(USAGE, 'serve', '--port', '9001'))
        self.assertIn('serve', self.fails(USAGE, 'sevre'))
        self.assertIn('weft serve --listen', self.fails(USAGE, '--listen', ':9001'))
        self.assertNotIn('did you mean', self.fails(USAGE, 'serve', '--xyzzy'))

    def test_values_that_are_none(self):
        for args in (['--history', 'x'], ['--history', '-1'], ['--history', ''], ['--drain', '5x'], ['--drain', '1 s'],
                     ['--message-max', '0'], ['--message-max', '64q'], ['--message-max', '99999999999999999999'],
                     ['--slow', 'maybe'], ['--threads', '256'], ['--ping-interval', '1ms'], ['--log', 'xml'],
                     ['--listen'], ['--verbose=1'], ['-z'], ['stray'], ['--listen', 'no.such.name:80'],
                     ['--listen', '127.0.0.1:65536'], ['--listen', '[::1:80'], ['--listen', 'unix:'],
                     ['--listen', '127.0.0.1']):
            with self.subTest(args):
                self.fails(USAGE, 'serve', *args)

    def test_an_empty_token_is_no_token(self):
        """As in --token "$TOKEN" with TOKEN not set: a door that ?token= opens is worse than none."""
        self.fails(USAGE, 'serve', '--listen', '127.0.0.1:0', '--token', '')

    def test_port_in_use(self):
        port = self.serve().port
        line = self.fails(CANNOT_LISTEN, 'serve', '--listen', f'127.0.0.1:{port}')
        self.assertIn(f'127.0.0.1:{port}', line)

    def test_a_killed_server_leaves_its_port_at_once(self):
        listen = '127.0.0.1:0'
        for _ in range(10):
            server = Weft('--threads', '2', listen=listen)
            self.addCleanup(server.kill)
            listen = f'127.0.0.1:{server.port}'
            for _ in range(8):
                self.enterContext(socket.create_connection((server.host, server.port), PATIENCE_S))
            server.kill()
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((server.host, server.port))

    def test_a_shared_port(self):
        """New connections reach both servers, and when one has gone all of them the other."""
        first = self.serve('--reuse-port', '--threads', '1', '--message-max', '1k')
        address = f'127.0.0.1:{first.port}'
        second = self.serve('--reuse-port', '--threads', '1', '--message-max', '2k', listen=address)
        self.assertEqual(second.port, first.port)
        self.fails(CANNOT_LISTEN, 'serve', '--listen', address)

        def reached():
            with urllib.request.urlopen(first.url + '/rooms', timeout=PATIENCE_S) as answer:
                return json.load(answer)['message_bytes_max']
        self.assertEqual({reached() for _ in range(64)}, {1024, 2048})  # all to one of the two: once in 2^63
        second.stop()
        self.assertEqual({reached() for _ in range(64)}, {1024})

    def test_a_unix_socket_that_cannot_be(self):
        self.fails(CANNOT_LISTEN, 'serve', '--listen', 'unix:/nowhere/at/all.sock')
        path = self.config('precious')
        self.fails(CANNOT_LISTEN, 'serve', '--listen', f'unix:{path}')
        with open(path) as file:
            self.assertEqual(file.read(), 'precious')

    def test_several_addresses(self):
        server = self.serve('--listen', '127.0.0.1:0')
        eventually(lambda: server.stderr().count('\n') == 3)  # the last is about an app for trying things out
        urls = [line.removeprefix('listening on ') for line in server.stderr().splitlines()[:2]]
        self.assertEqual(urls[0], server.url)
        for url in urls:
            with urllib.request.urlopen(url + '/healthz', timeout=PATIENCE_S) as answer:
                self.assertEqual(answer.read(), b'ok\n')

    def test_a_terminal_gets_something_to_paste(self):
        ours, terminal = pty.openpty()
        self.addCleanup(os.close, ours)
        server = subprocess.Popen([program(), 'serve', '--listen', '127.0.0.1:0'], stdin=subprocess.DEVNULL, stderr=terminal)
        os.close(terminal)
        try:
            text = b''
            while b'--config weft.ini' not in text:
                self.assertTrue(select.select([ours], [], [], PATIENCE_S)[0], text)
                text += os.read(ours, 4096)
        finally:
            server.terminate()
            server.wait(PATIENCE_S)
        text = text.decode().replace('\r', '')
        port = re.search(r'listening on http://127.0.0.1:(\d+)\n', text)[1]
        env = dict(line.split('=') for line in re.findall(r'^  (PUSHER_.*)$', text, re.M))
        self.assertEqual((env['PUSHER_HOST'], env['PUSHER_PORT'], env['PUSHER_SCHEME']), ('127.0.0.1', port, 'http'))
        self.assertRegex(env['PUSHER_APP_ID'], r'^\d{6}$')
        self.assertRegex(text, rf"new Pusher\('{env['PUSHER_APP_KEY']}', {{\n +cluster: '', wsHost: '127.0.0.1', wsPort: {port},")
        self.assertLessEqual(max(map(len, text.splitlines())), 80 + len(port))

    @unittest.skipIf(os.geteuid() != 0, 'only root has something to give up')
    def test_root_becomes_nobody(self):
        with open(f'/proc/{self.serve().process.pid}/status') as status:
            fields = dict(line.split(':', 1) for line in status)
        self.assertEqual(set(fields['Uid'].split()), {'65534'})
        self.assertEqual(set(fields['Gid'].split()), {'65534'})
        self.assertEqual((fields['Groups'].strip(), fields['NoNewPrivs'].strip()), ('', '1'))

    @unittest.skipIf(os.geteuid() != 0, 'only root has something to give up')
    def test_a_unix_socket_made_by_root_is_for_everybody(self):
        """And its owner is who serves it: a proxy beside us is seldom the same user."""
        folder = self.enterContext(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o755)
        path = os.path.join(folder, 'weft.sock')
        previous = os.umask(0o077)
        try:
            self.serve(listen=f'unix:{path}')
        finally:
            os.umask(previous)
        made = os.stat(path)
        self.assertTrue(stat.S_ISSOCK(made.st_mode))
        self.assertEqual((oct(stat.S_IMODE(made.st_mode)), made.st_uid, made.st_gid), ('0o666', 65534, 65534))
        ask = f"""if True:
            import socket
            server = socket.socket(socket.AF_UNIX)
            server.settimeout({PATIENCE_S})
            server.connect({path!r})
            server.sendall(b'GET /healthz HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')
            print(server.recv(4096).split(b'\\r\\n')[0].decode())
        """
        asked = subprocess.run([sys.executable, '-c', ask], user=65534, group=65534, extra_groups=[], cwd='/',
                               capture_output=True, timeout=PATIENCE_S)
        self.assertEqual((asked.stdout, asked.stderr), (b'HTTP/1.1 200 OK\n', b''))

    def test_man_pages_and_completions_say_what_help_says(self):
        for command in ('serve', 'connect', 'bench'):
            helped = run('help', command)[1]
            options = set(re.findall(r'--([a-z0-9-]+)', '\n'.join(
                line[:34] for line in helped.splitlines() if re.match(r'  (-.,|   ) --', line)))) - {'help'}
            self.assertGreater(len(options), 20)
            page = run('help', '--man', command)[1].replace('\\-', '-')
            self.assertEqual({option for option in options if f'--{option}' not in page}, set())
            for shell in ('bash', 'zsh', 'fish'):
                text = run('help', '--completion', shell)[1]
                dashes = '-l ' if shell == 'fish' else '--'
                self.assertEqual({option for option in options if dashes + option not in text}, set(), shell)
        self.assertIn('.BR weft\\-serve (1)', run('help', '--man')[1])
        self.assertEqual(run('help', '--completion', 'tcsh')[0], 2)
        self.assertEqual(run('help', '--man', 'sreve')[0], 2)

    def test_bash_completes(self):
        def complete(*words):
            script = (f'source /dev/stdin; COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; _weft; '
                      'echo "${COMPREPLY[@]}"')
            done = subprocess.run(['bash', '-c', script], input=run('help', '--completion', 'bash')[1], text=True,
                                  capture_output=True, timeout=10, check=True)
            return done.stdout.split()
        self.assertEqual(complete('weft', 'b'), ['bench'])
        self.assertEqual(complete('weft', 'serve', '--backend', '""'), ['auto', 'epoll', 'io_uring'])
        self.assertIn('--reconnect', complete('weft', 'connect', '--re'))


class ConfigFile(Case):
    text = '''
# what a deployment would have
message-max = 1k

[serve]
listen = 127.0.0.1:0
history = 3
token = from the file
'''

    def settled(self, server):
        with urllib.request.urlopen(server.url + '/rooms', timeout=PATIENCE_S) as answer:
            return json.load(answer)['message_bytes_max']

    def publish(self, server, token):
        with server.raw() as raw:
            raw.send(f'POST /rooms/a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: 1\r\n\r\nx'
                     .encode())
            return raw.response()[0]

    def test_is_read(self):
        # One thread: others may join before they have heard what was published.
        server = self.serve('--threads', '1', '--config', self.config(self.text), listen=None)
        self.assertEqual(self.settled(server), 1024)
        self.assertEqual([self.publish(server, 'from the file') for _ in range(9)], [204] * 9)
        raw = self.enterContext(server.raw())
        raw.open('/rooms/a?last=100&echo=1&token=from%20the%20file')
        raw.send(frame(TEXT, b'now'))
        self.assertEqual([raw.message()[1] for _ in range(4)], [b'x', b'x', b'x', b'now'])

    def test_flags_win_wherever_they_stand(self):
        path = self.config(self.text)
        for flags in (['--message-max', '2k', '--token', 'flag', '-c', path],
                      ['-c', path, '--message-max', '2k', '--token', 'flag']):
            server = self.serve(*flags, listen=None)
            self.assertEqual(self.settled(server), 2048)
            self.assertEqual((self.publish(server, 'from the file'), self.publish(server, 'flag')), (401, 204))

    def test_flags_win_over_lists_too(self):
        server = self.serve('-c', self.config('listen = 127.0.0.1:0\nlisten = 127.0.0.1:0\n'), listen=None)
        eventually(lambda: server.stderr().count('listening on') == 2)
        server = self.serve('-c', self.config('listen = 127.0.0.1:0\nlisten = 127.0.0.1:0\n'))
        server.stop()
        self.assertEqual(server.stderr().count('listening on'), 1)

    def test_a_switch_can_be_off(self):
        server = self.serve('-c', self.config('verbose = no\nquiet = no\n'))
        with server.raw() as raw:
            raw.open()
        server.stop()
        self.assertIn('listening on', server.stderr())
        self.assertNotIn('opened', server.stderr())

    def test_what_is_wrong_is_told_with_its_line(self):
        for text, told in (('\nhistroy = 3\n', 'history'), ('\nhistory = many\n', 'history'),
                           ('\nconfig = x\n', 'config'), ('\nnothing here\n', 'name = value'),
                           ('[serv]\nhistory = 3\n', 'serv is no section')):
            line = self.fails(USAGE, 'serve', '-c', self.config(text))
            self.assertIn('line 2', line)
            self.assertIn(told, line)

    def test_without_libcurl_there_are_no_webhooks(self):
        app = '[app a]\nid = 1\nkey = k\nsecret = s\n'
        folder = self.enterContext(tempfile.TemporaryDirectory())
        with open(os.path.join(folder, 'libcurl.so.4'), 'wb') as file:
            file.write(bytes(4096))
        with unittest.mock.patch.dict(os.environ, LD_LIBRARY_PATH=folder):
            self.serve('--config', self.config(app))
            line = self.fails(USAGE, 'serve', '-c', self.config(app + 'webhook = http://localhost/\n'))
        self.assertIn('line 5: webhook needs libcurl, which cannot be loaded: ', line)

    def test_unreadable(self):
        self.assertIn('/nowhere/weft.ini', self.fails(USAGE, 'serve', '--config', '/nowhere/weft.ini'))

    def test_the_file_that_is_printed(self):
        """It is good as it is, and with each option and setting in force that has a standard value."""
        code, text, err = run('serve', '--print-config')
        self.assertEqual((code, err), (0, ''))
        self.assertNotEqual(text, run('serve', '--print-config')[1])  # keys of one's own
        self.assertEqual(run('serve', '-c', self.config(text), '--check'), (0, 'good\n', ''))
        helped = set(re.findall(r'^  (?:-.,|   ) --([a-z0-9-]+)', run('serve', '--help')[1], re.M))
        options, _, app = text.partition('\n[app ')
        self.assertEqual(helped - set(re.findall(r'^#([a-z0-9-]+) = ', options, re.M)),
                         {'help', 'config', 'check', 'print-config'})
        settled = re.sub(r'^#([a-z0-9-]+ = (?![A-Z]+$))', r'\1', options, flags=re.M)
        settled += '\n[app ' + re.sub(r'^#(?!webhook_ca)([a-z_]+ = )', r'\1', app, flags=re.M)
        self.assertGreater(len(re.findall(r'^[a-z]', settled, re.M)), 50)
        self.assertEqual(run('serve', '-c', self.config(settled), '--check'), (0, 'good\n', ''))

    def test_check_says_what_is_wrong(self):
        app = '[app a]\nid = 1\nkey = k\nsecret = s\n'
        self.assertIn('line 5', self.fails(USAGE, 'serve', '--check', '-c', self.config(app + 'colour = red\n')))
        self.assertIn('/nowhere.pem', self.fails(USAGE, 'serve', '--check', '-c', self.config(
            '[serve]\ntls-cert = /nowhere.pem\ntls-key = /nowhere.pem\n')))
        self.assertIn('check', self.fails(USAGE, 'serve', '-c', self.config('check = true\n')))

    def test_check_disturbs_nobody(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o777)
        store = os.path.join(folder, 'store')
        path = self.config(f'[serve]\nstore = {store}\nlisten = 127.0.0.1:0\n')
        server = self.serve('-c', path, listen=None)
        check = ('serve', '-c', path, '--check', '--listen', f'127.0.0.1:{server.port}')
        self.assertEqual(run(*check), (0, 'good\n', ''))

    def test_a_folder_is_no_file(self):
        self.assertIn('/proc/self', self.fails(USAGE, 'serve', '--listen', '127.0.0.1:0', '--config', '/proc/self'))


class Ending(Case):
    def crowd(self, server, count):
        """Opens WebSockets that answer a close frame; returns threads, and a list that fills with code and time."""
        closes = []

        def stay(raw):
            code = raw.closed()[0]
            closes.append((code, time.monotonic()))
            raw.send(close_frame(code))
            raw.at_end()

        threads = []
        for n in range(count):
            raw = self.enterContext(server.raw())
            raw.open(f'/rooms/{n % 3}')
            threads.append(threading.Thread(target=stay, args=[raw], daemon=True))
            threads[-1].start()
        return threads, closes

    def end(self, server, number, seconds=PATIENCE_S):
        """Signals it, and returns the exit code and how long it took."""
        started = time.monotonic()
        server.signal(number)
        return server.wait(seconds), time.monotonic() - started

    def test_systemd_is_told(self):
        for abstract in (False, True):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                folder = self.enterContext(tempfile.TemporaryDirectory())
                os.chmod(folder, 0o755)
                path = f'{folder}/notify'
                manager.bind('\0' + path if abstract else path)
                if not abstract:
                    os.chmod(path, 0o777)
                manager.settimeout(PATIENCE_S)
                os.environ['NOTIFY_SOCKET'] = '@' + path if abstract else path
                try:
                    server = self.serve()
                finally:
                    del os.environ['NOTIFY_SOCKET']
                self.assertEqual(manager.recv(64), b'READY=1')
                server.signal(signal.SIGTERM)
                self.assertEqual(manager.recv(64), b'STOPPING=1')

    def test_a_drain_is_spread(self):
        server = self.serve('--drain', '1s', '--threads', '1')
        threads, closes = self.crowd(server, 20)
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        time.sleep(0.3)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port), 1)
        self.assertEqual(server.wait(), 0)
        for thread in threads:
            thread.join(PATIENCE_S)
        self.assertEqual([code for code, _ in closes], [1001] * 20)
        times = [at - started for _, at in closes]
        self.assertLess(times[0], 0.5)
        self.assertGreater(times[-1], 0.8)
        self.assertLess(times[-1], 3)
        halves = sum(at < 0.5 for at in times)
        self.assertTrue(6 <= halves <= 14, times)
        self.assertIn('drained', server.stderr())

    def test_no_drain_time_is_at_once(self):
        server = self.serve('--drain', '0', '--threads', '2')
        _, closes = self.crowd(server, 20)
        code, seconds = self.end(server, signal.SIGTERM)
        self.assertEqual(code, 0)
        self.assertLess(seconds, 2)
        eventually(lambda: len(closes) == 20)

    def test_sigint_takes_a_second_at_most(self):
        server = self.serve('--drain', '60s')
        _, closes = self.crowd(server, 10)
        code, seconds = self.end(server, signal.SIGINT)
        self.assertEqual(code, 0)
        self.assertLess(seconds, 3)
        eventually(lambda: [code for code, _ in closes] == [1001] * 10)

    def test_the_second_signal_stops_at_once(self):
        for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT),
                              (signal.SIGTERM, signal.SIGINT)):
            server = self.serve('--drain', '60s')
            for _ in range(5):
                self.enterContext(server.raw()).open()
            server.signal(first)
            time.sleep(0.2)
            self.assertIsNone(server.process.poll())
            code, seconds = self.end(server, second)
            self.assertEqual(code, 0)
            self.assertLess(seconds, 2)

    def test_an_idle_http_connection_holds_nothing_up(self):
        self.idle_http_connections(1)

    def test_nor_do_several(self):
        """The drain is spread so that WebSockets do not all come back at once; these do not come back."""
        self.idle_http_connections(5)

    def idle_http_connections(self, count):
        server = self.serve('--drain', '5s')
        for _ in range(count):
            raw = self.enterContext(server.raw())
            raw.send(b'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')
            self.assertEqual(raw.response()[0], 200)
        code, seconds = self.end(server, signal.SIGTERM)
        self.assertEqual(code, 0)
        self.assertLess(seconds, 2)

    def test_a_request_under_way_is_answered(self):
        server = self.serve('--drain', '200ms')
        raw = self.enterContext(server.raw())
        raw.send(b'POST /rooms/a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello')
        time.sleep(0.1)
        server.signal(signal.SIGTERM)
        time.sleep(0.4)
        raw.send(b'world')
        status, headers, _ = raw.response()
        self.assertEqual((status, headers.get('connection')), (204, 'close'))
        self.assertTrue(raw.at_end())
        raw.socket.close()
        self.assertEqual(server.wait(1), 0)

    def test_who_does_not_answer_the_close_frame_is_cut(self):
        server = self.serve('--drain', '0')
        raw = self.enterContext(server.raw())
        raw.open()
        code, seconds = self.end(server, signal.SIGTERM)
        self.assertEqual(code, 0)
        self.assertGreater(seconds, 3)
        self.assertLess(seconds, 7)
        self.assertEqual(raw.closed()[0], 1001)


class Log(Case):
    nasty = 'a"b\\c\n2026-01-01T00:00:00.000Z forged event=yes\x1b[31m\x7f\t'

    def provoke(self, server):
        """Gives the log everything a peer can put into it."""
        with server.raw() as raw:
            for path in ('/rooms/a%0ab', '/rooms/a%22%1b[31m"\\', '/nowhere%0a', '/healthz?x=%0a"'):
                raw.send(f'GET {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: "x\\\r\n\r\n'.encode())
                raw.response()
        with server.raw() as raw:
            raw.send(b'GET /\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n')
            self.assertEqual(raw.response()[0], 400)
        for reason in (self.nasty, 'tschüß 🧵', 'x' * 123, '"' * 123, '\x01' * 123):
            with server.raw() as raw:
                raw.open('/rooms/log')
                raw.send(close_frame(4321, reason.encode()))
                self.assertEqual(raw.closed()[0], 4321)
        with server.raw() as raw:
            raw.open()
            raw.send(frame(TEXT, b'\xff'))
            self.assertEqual(raw.closed()[0], 1007)
        eventually(lambda: server.stderr().count('4321') >= 5 and '1007' in server.stderr())

    def json_lines(self):
        server = self.serve('--log', 'json', '-v')
        self.provoke(server)
        server.stop()
        text = server.stderr()
        self.assertTrue(text.endswith('\n'))
        for character in text:
            self.assertTrue(character == '\n' or character.isprintable(), repr(character))
        lines = [json.loads(line) for line in text.splitlines()]
        for line in lines:
            self.assertRegex(line['time'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$')
            self.assertIn(line['level'], ('error', 'info', 'debug'))
            self.assertIsInstance(line['event'], str)
        return lines

    def test_json_lines_say_what_was_done(self):
        lines = self.json_lines()
        by_event = {}
        for line in lines:
            by_event.setdefault(line['event'], []).append(line)
        self.assertEqual(len(by_event['joined']), 5)
        self.assertEqual(len(by_event['left']), 5)
        self.assertEqual({line['code'] for line in by_event['left']}, {'4321'})
        reasons = [line['reason'] for line in by_event['left']]
        for reason in (self.nasty, 'x' * 123, '"' * 123, '\x01' * 123):
            self.assertIn(reason, reasons)
        self.assertEqual(by_event['closed'][0]['code'], '1007')
        self.assertIn('UTF-8', by_event['closed'][0]['why'])
        paths = [line['path'] for line in by_event['request']]
        self.assertIn('/rooms/a%22%1b[31m"\\', paths)

    def test_json_keeps_what_is_not_ascii(self):
        reasons = [line['reason'] for line in self.json_lines() if line['event'] == 'left']
        self.assertIn('tschüß 🧵', reasons)

    def test_verbose_logs_each_request(self):
        """The help promises it; those that the application never sees are requests too."""
        server = self.serve('-v', '--log', 'json')
        with server.raw() as raw:
            for path, status in (('/healthz', 200), ('/nowhere', 404), ('/echo', 426)):
                raw.send(f'GET {path} HTTP/1.1\r\nHost: a\r\n\r\n'.encode())
                self.assertEqual(raw.response()[0], status)
        server.stop()
        logged = [json.loads(line) for line in server.stderr().splitlines()]
        self.assertEqual([line['status'] for line in logged if line['event'] == 'request'], ['200', '404', '426'])

    def test_why_a_page_may_not_join_is_told(self):
        server = self.serve('-v', '--log', 'json')
        for origin in ('https://other.example', 'null'):
            with server.raw() as raw:
                raw.send(handshake('/rooms/a', headers=[f'Origin: {origin}']))
                self.assertEqual(raw.response()[0], 403)
        server.stop()
        told = [line for line in map(json.loads, server.stderr().splitlines()) if line['event'] == 'refused']
        self.assertEqual([line['origin'] for line in told], ['https://other.example', 'null'])
        self.assertIn('Origin', told[0]['why'])

    def test_text_lines_cannot_be_forged(self):
        server = self.serve('-v')
        self.provoke(server)
        server.stop()
        for line in server.stderr().splitlines():
            self.assertTrue(line.isprintable(), repr(line))
            self.assertRegex(line, r'^(listening on http|\d{4}-\d\d-\d\dT[\d:.]+Z [a-z ]+)')
            self.assertNotIn('Z forged', line[:40])

    def test_quiet_and_loud(self):
        counts = []
        for flags in (['-q'], [], ['-v']):
            server = self.serve(*flags)
            with server.raw() as raw:
                raw.open()
            server.stop()
            counts.append(server.stderr().count('\n'))
        self.assertEqual(counts[0], 0)
        self.assertLess(counts[1], counts[2])


if __name__ == '__main__':
    main()

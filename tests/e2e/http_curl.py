#!/usr/bin/python3
"""The HTTP side of the program as curl sees it.

    WEFT_BIN=/path/to/weft http_curl.py
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from collections import namedtuple

sys.dont_write_bytecode = True

from weft import PATIENCE_S, TEXT, Weft, close_frame, frame, main  # noqa: E402

Answer = namedtuple('Answer', 'status headers body connects')


class Case(unittest.TestCase):
    def serve(self, *flags, **how):
        self.server = self.enterContext(Weft(*flags, **how))
        return self.server

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def curl_raw(self, *args):
        always = ['--silent', '--show-error', '--noproxy', '*', '--max-time', str(PATIENCE_S)]
        done = subprocess.run(['curl', '--disable', *always, *args],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=2 * PATIENCE_S)
        self.assertEqual(done.returncode, 0, f'curl {args}: {done.stderr.decode()}')
        return done.stdout, done.stderr.decode()

    def curl(self, path, *args):
        """One request. curl itself must be content with the answer."""
        head, body = os.path.join(self.folder, 'head'), os.path.join(self.folder, 'body')
        open(body, 'wb').close()
        base = self.server.url if self.server.host else 'http://localhost'
        told, _ = self.curl_raw('--path-as-is', '-D', head, '-o', body, '-w', '%{num_connects}', *args, base + path)
        with open(head, newline='') as lines, open(body, 'rb') as content:
            last = [block for block in lines.read().split('\r\n\r\n') if block][-1]
            first, *fields = last.split('\r\n')
            headers = {name.lower(): value.strip() for name, value in (field.split(':', 1) for field in fields)}
            return Answer(int(first.split()[1]), headers, content.read(), int(told))

    def rooms(self):
        return {room['name']: room['messages'] for room in json.loads(self.curl('/rooms').body)['rooms']}

    def file(self, size):
        path = os.path.join(self.folder, 'upload')
        with open(path, 'wb') as upload:
            upload.write(b'x' * size)
        return '@' + path


class Pages(Case):
    def test_the_chat_page_and_what_it_needs(self):
        self.serve()
        page = self.curl('/')
        self.assertEqual(page.status, 200)
        self.assertEqual(page.headers['content-type'], 'text/html; charset=utf-8')
        self.assertTrue(page.body.lower().startswith(b'<!doctype html>'))
        self.assertIn("default-src 'none'", page.headers['content-security-policy'])
        self.assertEqual(page.headers['x-content-type-options'], 'nosniff')
        needed = re.findall(r'(?:src|href)="(/[^"]*)"', page.body.decode())
        self.assertTrue(needed)
        for path in needed:
            part = self.curl(path)
            self.assertEqual(part.status, 200, path)
            self.assertRegex(part.headers['content-type'], 'css' if path.endswith('.css') else 'javascript', path)

    def test_dates_are_now(self):
        self.serve()
        date = self.curl('/').headers['date']
        said = time.mktime(time.strptime(date, '%a, %d %b %Y %H:%M:%S GMT')) - time.timezone
        self.assertLess(abs(said - time.time()), 3)

    def test_head_says_what_get_says(self):
        self.serve()
        for path in ('/', '/rooms', '/healthz'):
            get, head = self.curl(path), self.curl(path, '--head', '-o', os.devnull)
            self.assertEqual(head.status, 200)
            self.assertEqual(int(head.headers['content-length']), len(get.body))
            self.assertEqual(head.headers['content-type'], get.headers['content-type'])
        raw = self.enterContext(self.server.raw())
        raw.send(b'HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')
        while raw.seen.count(b'\r\n\r\n') < 2:
            raw.more()
        self.assertTrue(raw.seen.split(b'\r\n\r\n')[1].startswith(b'HTTP/1.1 200 OK'), 'no body in between')

    def test_an_etag_that_is_known(self):
        self.serve()
        etag = self.curl('/').headers['etag']
        known = self.curl('/', '-H', f'If-None-Match: {etag}')
        self.assertEqual((known.status, known.body), (304, b''))
        self.assertEqual(known.headers['etag'], etag)
        self.assertEqual(self.curl('/', '-H', 'If-None-Match: "other"').status, 200)

    def test_an_etag_in_the_other_forms_of_rfc_9110_13_1_2(self):
        self.serve()
        etag = self.curl('/').headers['etag']
        for form in (f'"other", {etag}', f'W/{etag}', '*'):
            with self.subTest(form):
                self.assertEqual(self.curl('/', '-H', f'If-None-Match: {form}').status, 304)

    def test_404(self):
        self.serve()
        for path in ('/nowhere', '/healthz/', '/../etc/passwd', '/%2e%2e/etc/passwd', '/index.html/x'):
            self.assertEqual(self.curl(path).status, 404, path)

    def test_405_says_what_is_allowed(self):
        self.serve()
        for path, allow in (('/', 'GET, HEAD'), ('/rooms', 'GET, HEAD'), ('/rooms/a', 'GET, HEAD, POST, OPTIONS'),
                            ('/echo', 'GET, HEAD'), ('/metrics', 'GET, HEAD'), ('/healthz', 'GET, HEAD')):
            for method in ('PUT', 'DELETE', 'OPTIONS'):
                if method in allow:
                    continue
                answer = self.curl(path, '-X', method)
                self.assertEqual((answer.status, answer.headers.get('allow')), (405, allow), path)

    def test_healthz(self):
        self.serve()
        answer = self.curl('/healthz')
        self.assertEqual((answer.status, answer.body), (200, b'ok\n'))


class Connections(Case):
    def test_two_requests_on_one(self):
        url = self.serve().url
        told, _ = self.curl_raw('-w', '%{num_connects}', url + '/healthz', url + '/healthz')
        self.assertEqual(told, b'ok\n1ok\n0')

    def test_http_1_0(self):
        self.serve()
        answer = self.curl('/healthz', '--http1.0')
        self.assertEqual((answer.status, answer.body, answer.headers['connection']), (200, b'ok\n', 'close'))

    def test_connection_close(self):
        url = self.serve().url
        told, _ = self.curl_raw('-w', '%{num_connects}', '-H', 'Connection: close', url + '/healthz', url + '/healthz')
        self.assertEqual(told, b'ok\n1ok\n1')

    def test_unix_socket(self):
        path = os.path.join(self.folder, 'weft.sock')
        stay = ['--user', 'root'] if os.geteuid() == 0 else []  # nobody may not remove the file from our folder
        for ending in (signal.SIGKILL, signal.SIGTERM):  # the second server finds what the first leaves behind
            server = self.server = Weft(*stay, listen=f'unix:{path}')
            self.addCleanup(server.kill)
            self.assertEqual(server.url, f'unix:{path}')
            self.assertEqual(self.curl('/healthz', '--unix-socket', path).body, b'ok\n')
            self.assertEqual(self.curl('/rooms/a', '--unix-socket', path, '-d', 'hello').status, 204)
            server.signal(ending)
            server.wait()
            self.assertEqual(os.path.exists(path), ending == signal.SIGKILL)

    def test_ipv6(self):
        with open('/proc/net/if_inet6') as addresses:
            if '0' * 31 + '1 ' not in addresses.read():
                self.skipTest('there is no ::1 here')
        self.assertRegex(self.serve(listen='[::1]:0').url, r'^http://\[::1\]:\d+$')
        self.assertEqual(self.curl('/healthz', '--globoff').body, b'ok\n')


class Posts(Case):
    def test_to_a_room(self):
        self.serve()
        self.assertEqual(self.curl('/rooms/a', '-d', 'hello').status, 204)
        self.assertEqual(self.curl('/rooms/a', '-d', '').status, 204)
        self.assertEqual(self.curl('/rooms/%61', '--data-binary', self.file(60000)).status, 204)
        self.assertEqual(self.rooms(), {'a': 3})

    def test_names_that_are_none(self):
        self.serve()
        for name in ('', 'a%20b', 'a%2fb', 'a%00b', '%', '%zz', '..', 'x' * 195, 'a%0d%0ab'):
            self.assertEqual(self.curl(f'/rooms/{name}', '-d', 'x').status, 400, name)
        self.assertEqual(self.curl('/rooms/' + 'x' * 194, '-d', 'x').status, 204)

    def test_expect_100_continue(self):
        url = self.serve().url
        _, trace = self.curl_raw('-v', '-H', 'Expect: 100-continue', '--expect100-timeout', '5', '--data-binary',
                                 self.file(60 * 1024), url + '/rooms/a')
        self.assertLess(trace.index('HTTP/1.1 100 Continue'), trace.index('HTTP/1.1 204'))
        self.assertEqual(self.rooms(), {'a': 1})

    def test_an_expectation_that_cannot_be_met(self):
        self.serve()
        self.assertEqual(self.curl('/rooms/a', '-H', 'Expect: 42-answers', '-d', 'x').status, 417)

    def test_chunked(self):
        self.serve()
        for size in (0, 1, 60 * 1024):
            answer = self.curl('/rooms/a', '-H', 'Transfer-Encoding: chunked', '--data-binary', self.file(size))
            self.assertEqual(answer.status, 204)
        self.assertEqual(self.rooms(), {'a': 3})

    def test_over_the_limit(self):
        self.serve('--message-max', '1k')
        self.assertEqual(self.curl('/rooms/a', '--data-binary', self.file(1024)).status, 204)
        for size in (1025, 8 << 20):
            for extra in ((), ('-H', 'Transfer-Encoding: chunked'), ('-H', 'Expect: 100-continue')):
                with self.subTest(size=size, extra=extra):
                    answer = self.curl('/rooms/a', '--data-binary', self.file(size), *extra)
                    self.assertEqual(answer.status, 413)
        self.assertEqual(self.rooms(), {'a': 1})

    def test_from_a_page_of_another_origin(self):
        url = self.serve('--origin', 'https://friend.example').url
        for origin, status in (('https://friend.example', 204), (url, 204), ('https://foe.example', 403),
                               ('null', 403)):
            self.assertEqual(self.curl('/rooms/a', '-H', f'Origin: {origin}', '-d', 'x').status, status, origin)

    def test_token(self):
        self.serve('--token', 'secret')
        answer = self.curl('/rooms/a', '-d', 'x')
        self.assertEqual((answer.status, answer.headers['www-authenticate']), (401, 'Bearer'))
        self.assertEqual(self.curl('/rooms/a', '--oauth2-bearer', 'wrong', '-d', 'x').status, 401)
        self.assertEqual(self.curl('/rooms/a', '--oauth2-bearer', 'secret', '-d', 'x').status, 204)
        self.assertEqual(self.curl('/rooms/a?token=%73ecret', '-d', 'x').status, 204)


class Metrics(Case):
    label = r'[a-z_]+="(?:[^"\\\n]|\\.)*"'
    sample = re.compile(rf'([a-zA-Z_:][a-zA-Z0-9_:]*)((?:\{{{label}(?:,{label})*\}})?) (\S+)')

    def metrics(self):
        """Every line must be what Prometheus' text format 0.0.4 has, and a metric's lines stand together."""
        answer = self.curl('/metrics')
        self.assertEqual(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
        text = answer.body.decode()
        self.assertTrue(text.endswith('\n'))
        values, types, helped = {}, {}, set()
        for line in text.splitlines():
            if line.startswith('# HELP '):
                name = line.split(' ', 3)[2]
                self.assertNotIn(name, helped)
                helped.add(name)
            elif line.startswith('# TYPE '):
                _, _, name, kind = line.split(' ')
                self.assertIn(kind, ('counter', 'gauge'))
                self.assertNotIn(name, types)
                types[name] = kind
            else:
                name, labels, value = self.sample.fullmatch(line).groups()
                self.assertEqual(name, list(types)[-1], 'samples follow their TYPE')
                self.assertNotIn(name + labels, values)
                self.assertGreaterEqual(float(value), 0)
                values[name + labels] = float(value)
        self.assertEqual(helped, set(types))
        for name, kind in types.items():
            self.assertEqual(kind == 'counter', name.endswith('_total'), name)
        return values

    def test_they_agree_with_what_was_done(self):
        self.serve()
        before = self.metrics()
        with self.server.raw() as ann, self.server.raw() as bob, self.server.raw() as refused:
            ann.open('/rooms/a')
            bob.open('/rooms/a?echo=1')
            bob.send(frame(TEXT, b'hello'))
            self.assertEqual([ann.message(), bob.message()], [(TEXT, b'hello')] * 2)
            self.curl('/rooms/a', '-d', 'posted')
            self.assertEqual([ann.message(), bob.message()], [(TEXT, b'posted')] * 2)
            refused.send(b'GET /echo HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\nConnection: Upgrade\r\n'
                         b'Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
                         b'Sec-WebSocket-Version: 13\r\n\r\n')
            self.assertEqual(refused.response()[0], 403)
            during = self.metrics()
            ann.send(close_frame(4000))
            self.assertEqual(ann.closed()[0], 4000)
            self.assertTrue(ann.at_end())
            bob.send(b'\xff\xff')
            self.assertEqual(bob.closed()[0], 1002)
            self.assertTrue(bob.at_end())
        after = self.metrics()
        grown = {name: during[name] - before[name] for name in during}
        for name, by in (('weft_connections', 3), ('weft_websockets', 2), ('weft_handshakes_total', 2),
                         ('weft_accepted_total', 5), ('weft_http_requests_total', 3), ('weft_published_total', 2),
                         ('weft_delivered_total', 4), ('weft_messages_received_total', 1),
                         ('weft_messages_sent_total', 4), ('weft_refusals_total{reason="origin"}', 1),
                         ('weft_queue_drops_total', 0)):
            with self.subTest(name):
                self.assertEqual(grown[name], by)
        self.assertGreater(grown['weft_sent_bytes_total'], 600)
        self.assertGreater(grown['weft_received_bytes_total'], 400)
        for name, value in (('weft_connections', 1), ('weft_websockets', 0), ('weft_closes_total{code="4xxx"}', 1),
                            ('weft_closes_total{code="1002"}', 1)):
            with self.subTest(name):
                self.assertEqual(after[name], value)


if __name__ == '__main__':
    main()

#!/usr/bin/python3
"""What weft connect makes of servers that answer something else than a good 101: one row each of what they send, the
exit code, and what is said. All of them at once.

    WEFT_BIN=/path/to/weft answers.py
"""

import concurrent.futures
import struct
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True

from peer import closing, head, page, says, serving, upgrade  # noqa: E402
from weft import PATIENCE_S, frame, main, program  # noqa: E402

SILENCE = ['--connect-timeout', '700ms']


def redirects(*hops, then=upgrade(behind=frame(1, b'arrived', masked=False) + closing(1000), then='answer')):
    """A server that sends its visitors on: the n-th connection to the n-th place, and then does something else."""
    def play(peer):
        if peer.number < len(hops):
            peer.send(page('302 Found', '', f'Location: {hops[peer.number]}'))
        else:
            then(peer)
    return play


def endless(first, piece):
    def play(peer):
        peer.send(first)
        while True:
            peer.send(piece)
    return play


def in_drops(peer):
    for byte in head('101 Switching Protocols', 'Upgrade: websocket', 'X: ' + 'x' * 2000).encode():
        peer.send(bytes([byte]))
        time.sleep(0.05)


TEXT = frame(1, b'early', masked=False)
NO_STATUS = 'the answer does not begin with an HTTP/1.x status line'

# name: (server, flags, exit code, what stderr must say)
REFUSALS = {
    '200 with a page': (says(page('200 OK', '<h1>Hello</h1>', 'Content-Type: text/html')), [], 22,
                        [r'127\.0\.0\.1:\d+ answered 200 OK', 'HTTP 200', 'Content-Type: text/html',
                         '<h1>Hello</h1>']),
    '200 in chunks': (says(head('200 OK', 'Transfer-Encoding: chunked') + '5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n'), [],
                      22, ['firstsecond']),
    '200 up to the end': (says(head('200 OK') + 'all that there is'), [], 22, ['all that there is']),
    '200, said in drops': (says(*page('200 OK', 'drop by drop'), pause_s=0.002), [], 22, ['drop by drop']),
    '204': (says(head('204 No Content')), [], 22, ['answered 204 No Content']),
    'a status nobody knows': (says(page('799 Odd', '')), [], 22, ['answered 799', 'HTTP 799']),
    '401': (says(page('401 Unauthorized', 'who are you?', 'WWW-Authenticate: Basic realm="staff"')), [], 22,
            ['answered 401 Unauthorized', 'WWW-Authenticate: Basic realm="staff"', r'who are you\?']),
    '407': (says(page('407 Proxy Authentication Required', '')), [], 22, ['answered 407']),
    '403 with a megabyte': (says(page('403 Forbidden', 'no! ' * 262144)), [], 22,
                            ['answered 403 Forbidden', '(no! ){100}']),
    '403 without an end': (endless(head('403 Forbidden'), 'no! ' * 1000), [], 22, ['answered 403 Forbidden']),
    '403 that promises more': (says(head('403 Forbidden', 'Content-Length: 1000') + 'half of i'), [], 22,
                               ['answered 403', 'half of i']),
    '403, and the rest never comes': (says(head('403 Forbidden', 'Content-Length: 1000') + 'half of i', then='wait'),
                                      SILENCE, 22, ['answered 403', 'half of i']),
    '403, and then a reset': (says(head('403 Forbidden', 'Content-Length: 1000') + 'half of i', then='reset'), [], 22,
                              ['answered 403', 'half of i']),
    '403 in broken chunks': (says(head('403 Forbidden', 'Transfer-Encoding: chunked') + '5\r\nfirst\r\nxyz\r\n'), [],
                             22, ['answered 403', 'first']),
    '426': (says(page('426 Upgrade Required', '', 'Sec-WebSocket-Version: 8, 7', 'Upgrade: websocket')), [], 22,
            ['answered 426 Upgrade Required', 'Sec-WebSocket-Version: 8, 7']),
    '503': (says(page('503 Service Unavailable', 'later', 'Retry-After: 120')), [], 22,
            ['answered 503 Service Unavailable', 'Retry-After: 120', 'later']),
    '100, 103, and then 404': (says(head('100 Continue') + head('103 Early Hints', 'Link: </a>') +
                                    page('404 Not Found', 'nothing')), [], 22, ['answered 404 Not Found', 'nothing']),
}

REDIRECTS = {
    'not followed': (says(page('302 Found', '', 'Location: /b')), [], 22, ['answered 302 Found', 'Location: /b']),
    'followed': (redirects('/b', '/c?d'), ['-L'], 0, []),
    'relative': (redirects('../b', '//127.0.0.1:{port}/c', 'ws://127.0.0.1:{port}/d'), ['-L'], 0, []),
    'to itself': (redirects(*['/a'] * 100), ['-L'], 22, ['answered 302 Found', 'Location: /a']),
    'to nowhere': (says(page('302 Found', '')), ['-L'], 22, ['answered 302 Found']),
    'to two places': (says(page('302 Found', '', 'Location: /b', 'Location: /c')), ['-L'], 22, ['answered 302 Found']),
    'to mail': (redirects('mailto:a@b'), ['-L'], 22, ['answered 302 Found', 'Location: mailto:a@b']),
    'to garbage': (redirects('http://[::::/'), ['-L'], 22, ['answered 302 Found']),
    'to a closed port': (redirects('ws://127.0.0.1:1/'), ['-L'], 7, ['cannot connect to 127.0.0.1:1: Connection']),
    'to a refusal': (redirects('/b', then=says(page('401 Unauthorized', 'who?'))), ['-L'], 22,
                     ['answered 401 Unauthorized', r'who\?']),
    '304 is none': (says(head('304 Not Modified', 'Location: /b')), ['-L'], 22, ['answered 304 Not Modified']),
}

NO_HTTP = {
    'nothing, and the end': (says(), [], 64, ['the handshake with .* failed: .*ended without an answer']),
    'nothing at all': (says(then='wait'), SILENCE, 28,
                       ['the handshake with .* failed: .*no whole answer came in time']),
    'a reset': (says(then='reset'), [], 64, ['Connection reset by peer']),
    'half a head, and the end': (says('HTTP/1.1 101 Swi'), [], 64, ["ended within the answer's head"]),
    'half a head, and nothing': (says('HTTP/1.1 101 Swi', then='wait'), SILENCE, 28, ['no whole answer came in time']),
    'half a head, and a reset': (says('HTTP/1.1 101 Swi', then='reset'), [], 64, ['Connection reset by peer']),
    'a head in drops': (in_drops, SILENCE, 28, ['no whole answer came in time']),
    'a head without an end': (endless('HTTP/1.1 101 Switching Protocols\r\n', 'X-More: and more\r\n' * 100), [], 65,
                              ['too many headers|over the limit']),
    'a line without an end': (endless('HTTP/1.1 101 Switching Protocols\r\nX: ', 'x' * 1000), [], 65,
                              ['over the limit']),
    '100 without an end': (endless('', head('100 Continue')), [], 65, ['over the limit']),
    'garbage': (says(b'\x00\x01\x02\xff' * 100), [], 65, [NO_STATUS]),
    'random words': (says('SSH-2.0-OpenSSH_9.2\r\n', then='wait'), SILENCE, 65, [NO_STATUS]),
    'TLS': (says(b'\x15\x03\x01\x00\x02\x02\x46', then='wait'), SILENCE, 65, [NO_STATUS]),
    'a page of HTTP/0.9': (says('<html>hello</html>\n'), [], 65, [NO_STATUS]),
    'HTTP/2.0': (says('HTTP/2.0 200 OK\r\n\r\n'), [], 65, [NO_STATUS]),
    'no status': (says('HTTP/1.1 abc Hm\r\n\r\n'), [], 65, [NO_STATUS]),
    'a line that folds': (says(head('200 OK', 'A: b', ' c')), [], 65, ['RFC9112']),
    'a line that is no header': (says(head('200 OK', 'no colon')), [], 65, ['a header line is not name:value']),
}

UPGRADES = {
    'good': (upgrade(behind=TEXT + closing(1000), then='answer'), [], 0, []),
    'in HTTP/1.0': (lambda peer: peer.send(head('101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade',
                                                f'Sec-WebSocket-Accept: {peer.accept()}').replace('1.1', '1.0')), [],
                    65, ['an upgrade in HTTP/1.0']),
    'a wrong accept': (upgrade(Sec_WebSocket_Accept='s3pPLMBiTxaQ9kYGzzhZRbK+xOo='), [], 65,
                       ['Sec-WebSocket-Accept is not what follows from our key']),
    'no accept': (upgrade(without=['Sec-WebSocket-Accept']), [], 65, ['Sec-WebSocket-Accept is not']),
    'two accepts': (upgrade('Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo='), [], 65,
                    ['Sec-WebSocket-Accept is not']),
    'no upgrade': (upgrade(without=['Upgrade']), [], 65, ["the answer's Upgrade header is not websocket"]),
    'another upgrade': (upgrade(Upgrade='h2c'), [], 65, ["the answer's Upgrade header is not websocket"]),
    'no connection': (upgrade(without=['Connection']), [], 65, ["Connection header does not list Upgrade"]),
    'an extension that was not asked for': (upgrade('Sec-WebSocket-Extensions: x-webkit-deflate-frame'), [], 65,
                                            ['RFC6455/.*extension']),
    'compression that was not asked for': (upgrade('Sec-WebSocket-Extensions: permessage-deflate'), ['--no-compress'],
                                           65, ['RFC6455/.*extension|RFC7692']),
    'compression that does not fit': (upgrade(
        'Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=77'), [], 65, ['RFC7692']),
    'a subprotocol that was not asked for': (upgrade('Sec-WebSocket-Protocol: chat'), [], 65,
                                             ['subprotocol that was not offered']),
    'another subprotocol': (upgrade('Sec-WebSocket-Protocol: talk'), ['-s', 'chat'], 65,
                            ['subprotocol that was not offered']),
    'a frame right behind': (upgrade(behind=TEXT + closing(4001, b'bye'), then='answer'), [], 67,
                             ['closed with 4001: bye']),
    'a frame that is none': (upgrade(behind=b'\xff\xff\xff\xff'), [], 65, ['closed with 1002']),
    'a masked frame': (upgrade(behind=frame(1, b'masked')), [], 65, ['closed with 1002.*mask']),
    'text that is none': (upgrade(behind=frame(1, b'\xff\xfe', masked=False)), [], 65, ['closed with 1007']),
    'a frame beyond all limits': (upgrade(behind=b'\x82\x7f' + struct.pack('!Q', 1 << 62)), [], 65,
                                  ['closed with 1009']),
    'half a frame, and the end': (upgrade(behind=TEXT + b'\x81\x10half', then='end'), [], 64, ['closed with 1006']),
    'the end': (upgrade(then='end'), ['-U'], 64, ['closed with 1006']),
    'a reset': (upgrade(then='reset'), ['-U'], 64, ['closed with 1006.*Connection reset by peer']),
    'a close that never ends': (upgrade(), ['-E'], 28, ['closed with 1006']),
}


def visit(server, flags):
    ports = []

    def with_port(peer):
        peer.send = lambda text, send=peer.send: send(text.replace('{port}', str(ports[0]))
                                                      if isinstance(text, str) else text)
        server(peer)
    with serving(with_port) as port:
        ports.append(port)
        started = time.monotonic()
        done = subprocess.run([program(), 'connect', f'ws://127.0.0.1:{port}/a/b', *flags], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=2 * PATIENCE_S)
        return done.returncode, done.stdout, done.stderr.decode(), time.monotonic() - started


TABLES = [REFUSALS, REDIRECTS, NO_HTTP, UPGRADES]


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """All of all tables are under way while the first are looked at: some take their time."""
        pool = cls.enterClassContext(concurrent.futures.ThreadPoolExecutor(12))
        cls.visits = [{name: pool.submit(visit, server, flags) for name, (server, flags, *_) in table.items()}
                      for table in TABLES]

    def look_at(self, table):
        visits = self.visits[TABLES.index(table)]
        for name, (_, _, expected, texts) in table.items():
            code, _, err, took_s = visits[name].result()
            with self.subTest(name):
                self.assertEqual(code, expected, err[:500])
                for text in texts:
                    self.assertRegex(err, text)
                if not texts:
                    self.assertEqual(err, '')
                self.assertLess(len(err), 20000)
                self.assertLess(took_s, PATIENCE_S)
        return {name: made.result()[1] for name, made in visits.items()}

    def test_refusals(self):
        self.look_at(REFUSALS)

    def test_redirects(self):
        printed = self.look_at(REDIRECTS)
        self.assertEqual([printed['followed'], printed['relative']], [b'arrived\n'] * 2)

    def test_what_is_no_http(self):
        self.look_at(NO_HTTP)

    def test_upgrades(self):
        printed = self.look_at(UPGRADES)
        for name in 'good', 'a frame right behind', 'half a frame, and the end':
            self.assertEqual(printed[name], b'early\n')


if __name__ == '__main__':
    main()

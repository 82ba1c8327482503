#!/usr/bin/python3
"""What only a bare socket can say or see: bytes on the wire, their timing, and how the connection ends.

    WEFT_BIN=/path/to/weft ws_raw.py
"""

import re
import socket
import struct
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True

from weft import BINARY, CLOSE, PING, PONG, TEXT, Weft, close_frame, eventually, frame, handshake, main  # noqa: E402


class Case(unittest.TestCase):
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Weft(*cls.flags))

    def raw(self):
        return self.enterContext(self.server.raw())


class Handshake(Case):
    def test_known_answers(self):
        for key, accept in (('sN9cRrP/n9NdMgdcy2VJFQ==', 'fFBooB7FAkLlXgRSz0BT3v4hq5s='),
                            ('dGhlIHNhbXBsZSBub25jZQ==', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=')):
            headers = self.raw().open(key=key)
            self.assertEqual(headers['sec-websocket-accept'], accept)
            self.assertEqual(headers['upgrade'].lower(), 'websocket')
            self.assertEqual(headers['connection'].lower(), 'upgrade')

    def test_frames_behind_the_handshake_in_one_segment(self):
        raw = self.raw()
        raw.send(handshake() + frame(TEXT, b'early') + frame(BINARY, b'\0\xff'))
        self.assertEqual(raw.response()[0], 101)
        self.assertEqual([raw.message(), raw.message()], [(TEXT, b'early'), (BINARY, b'\0\xff')])

    def test_a_ping_behind_the_handshake_in_one_segment(self):
        raw = self.raw()
        raw.send(handshake() + frame(PING, b'early'))
        self.assertTrue(raw.first_line().startswith(b'HTTP/1.1 101'), raw.seen)
        self.assertEqual(raw.response()[0], 101)
        self.assertEqual(raw.frame(), (0x80 | PONG, b'early'))

    def test_a_violation_behind_the_handshake_in_one_segment(self):
        raw = self.raw()
        raw.send(handshake() + frame(TEXT, b'early', masked=False))
        self.assertTrue(raw.first_line().startswith(b'HTTP/1.1 101'), raw.seen)
        self.assertEqual(raw.response()[0], 101)
        self.assertEqual(raw.closed()[0], 1002)
        self.assertTrue(raw.at_end())

    def test_a_close_frame_behind_the_handshake_in_one_segment(self):
        raw = self.raw()
        raw.send(handshake() + close_frame(1000))
        self.assertEqual(raw.response()[0], 101)
        self.assertEqual(raw.closed()[0], 1000)
        self.assertTrue(raw.at_end())

    def test_an_upgrade_pipelined_behind_a_request(self):
        raw = self.raw()
        raw.send(b'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n' + handshake() + frame(TEXT, b'early'))
        self.assertEqual([raw.response()[0], raw.response()[0]], [200, 101])
        self.assertEqual(raw.message(), (TEXT, b'early'))

    def test_a_refused_upgrade_does_not_swallow_the_next_request(self):
        raw = self.raw()
        raw.send(handshake(version='8') + b'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
        self.assertEqual(raw.response()[0], 426)
        self.assertEqual(raw.response()[0::2], (200, b'ok\n'))

    def test_pipelined_requests_are_answered_in_their_order(self):
        raw = self.raw()
        paths = ['/healthz', '/nowhere', '/rooms', '/healthz'] * 5
        raw.send(b''.join(f'GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n'.encode() for path in paths))
        expected = [404 if path == '/nowhere' else 200 for path in paths]
        self.assertEqual([raw.response()[0] for _ in paths], expected)

    def test_dripped_byte_by_byte(self):
        raw = self.raw()
        for byte in handshake() + frame(TEXT, b'drop by drop'):
            raw.send(bytes([byte]))
            time.sleep(0.0005)
        self.assertEqual(raw.response()[0], 101)
        self.assertEqual(raw.message(), (TEXT, b'drop by drop'))

    def test_head_of_9_kib(self):
        raw = self.raw()
        raw.send(handshake(headers=[f'X-Long: {"x" * 9 * 1024}']))
        self.assertEqual(raw.response()[0], 431)
        self.assertTrue(raw.at_end())

    def test_70_headers(self):
        raw = self.raw()
        raw.send(handshake(headers=[f'X-{n}: {n}' for n in range(70)]))
        self.assertEqual(raw.response()[0], 431)
        self.assertTrue(raw.at_end())

    def test_what_is_no_http(self):
        for garbage in (b'\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03' * 4, b'GET / HTTP/1.1\nHost: x\n\n',
                        b'GET / HTTP/1.1\r\n\r\n', b'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'):
            raw = self.raw()
            raw.send(garbage)
            self.assertEqual(raw.response()[0], 400, garbage)
            self.assertTrue(raw.at_end())

    def test_426_names_the_upgrade_as_rfc_9110_7_8_asks(self):
        for request in (b'GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n', handshake(version='8'),
                        b'GET /rooms/a HTTP/1.1\r\nHost: localhost\r\n\r\n'):
            raw = self.raw()
            raw.send(request)
            status, headers, _ = raw.response()
            self.assertEqual(status, 426)
            self.assertEqual(headers.get('upgrade', '').lower(), 'websocket', request)
            self.assertIn('upgrade', headers.get('connection', '').lower(), request)


    def test_a_half_closed_client_still_gets_its_answer(self):
        raw = self.raw()
        raw.send(b'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n' * 2)
        raw.socket.shutdown(socket.SHUT_WR)
        self.assertEqual([raw.response()[2], raw.response()[2]], [b'ok\n'] * 2)
        self.assertTrue(raw.at_end())


class Pressure(Case):
    flags = ('--connections', '5', '--queue-max', '256k', '--threads', '1')
    # The queue, and what came before reading rested: with io_uring as much as the kernel had received in up to three turns.
    bytes_max = 8 << 20

    def buffered(self):
        with self.server.raw() as raw:
            raw.send(b'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n')
            metrics = raw.response()[2].decode()
        return int(re.search(r'^weft_buffered_bytes (\d+)$', metrics, re.M)[1])

    def push(self, raw, data, times):
        """Sends, and does not read, until the server takes no more."""
        raw.socket.settimeout(0.5)
        try:
            for _ in range(times):
                raw.send(data)
        except TimeoutError:
            pass

    def test_a_client_that_sends_and_does_not_read(self):
        raw = self.raw()
        raw.open()
        self.push(raw, frame(BINARY, b'x' * 60000), 1000)
        self.assertLess(self.buffered(), self.bytes_max)

    def test_a_client_that_asks_and_does_not_read(self):
        self.push(self.raw(), b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n' * 100, 200)
        self.assertLess(self.buffered(), self.bytes_max)

    def test_pings_without_end(self):
        raw = self.raw()
        raw.open()
        self.push(raw, frame(PING, b'x' * 125) * 100, 2000)
        self.assertLess(self.buffered(), self.bytes_max)

    def test_one_connection_too_many(self):
        inside = [self.raw() for _ in range(5)]
        for raw in inside:
            raw.open()
        with self.server.raw() as outside:
            status, headers, _ = outside.response()
            self.assertEqual(status, 503)
            self.assertGreater(int(headers['retry-after']), 0)
            self.assertTrue(outside.at_end())
        inside[0].send(close_frame(1000))
        self.assertEqual(inside[0].closed()[0], 1000)
        self.assertTrue(inside[0].at_end())
        self.raw().open()


class Limits(Case):
    flags = ('--head-max', '300', '--message-timeout', '300ms', '--close-timeout', '300ms')

    def test_the_head_has_the_limit_that_was_given(self):
        with self.server.raw() as raw:
            raw.send(b'GET / HTTP/1.1\r\nHost: a\r\nX: ' + b'x' * 300 + b'\r\n\r\n')
            self.assertEqual(raw.response()[0], 431)

    def test_a_begun_message_has_the_time_that_was_given(self):
        raw = self.raw()
        raw.open()
        raw.send(frame(TEXT, b'never the whole of it')[:-1])
        self.assertEqual(raw.closed()[0], 1008)


class Order(Case):
    flags = ('--threads', '2')

    def test_a_burst_of_tiny_messages_is_no_reason_to_call_a_prompt_reader_slow(self):
        count = 40000
        reader, sender = self.raw(), self.raw()
        reader.open('/rooms/burst')
        sender.open('/rooms/burst')
        pushing = threading.Thread(target=sender.send, args=(frame(BINARY, b'x') * count,))
        pushing.start()
        for _ in range(count):
            self.assertEqual(reader.message(), (BINARY, b'x'))
        pushing.join()

    def test_what_is_published_after_an_answer_is_heard_after(self):
        """Each message is posted when the one before it was acknowledged, over connections of different workers."""
        hears = self.raw()
        hears.open('/rooms/order')
        posts = [self.raw() for _ in range(6)]
        for n in range(1500):
            raw, text = posts[n % 6], str(n)
            raw.send(f'POST /rooms/order HTTP/1.1\r\nHost: a\r\nContent-Length: {len(text)}\r\n\r\n{text}'.encode())
            self.assertEqual(raw.response()[0], 204)
        heard = [int(hears.message()[1]) for _ in range(1500)]
        self.assertEqual([pair for pair in zip(heard, heard[1:]) if pair[0] > pair[1]], [])

    def test_replay_and_what_follows_have_no_gap_and_no_repeat(self):
        """Joining in the middle of a stream of messages, again and again, on both workers."""
        speaks = self.raw()
        speaks.open('/rooms/stream')
        late, sent = [], 0
        for _ in range(40):
            speaks.send(b''.join(frame(TEXT, b'%d' % n) for n in range(sent, sent + 25)))
            sent += 25
            late.append(self.raw())
            late[-1].send(handshake('/rooms/stream?last=20'))
        for raw in late:
            self.assertEqual(raw.response()[0], 101)
        speaks.send(frame(TEXT, b'%d' % sent))
        for raw in late:
            heard = [int(raw.message()[1])]
            while heard[-1] != sent:
                heard.append(int(raw.message()[1]))
            self.assertEqual(heard, list(range(heard[0], sent + 1)))


class Deadline(Case):
    flags = ('--handshake-timeout', '500ms')

    def test_slowloris_is_cut(self):
        raw, started = self.raw(), time.monotonic()
        for byte in b'GET /echo HTTP/1.1\r\nHost: localhost\r\nX-Slow: ':
            if time.monotonic() - started > 0.4:
                break
            raw.send(bytes([byte]))
            time.sleep(0.02)
        self.assertEqual(raw.response()[0], 408)
        self.assertTrue(raw.at_end())
        self.assertGreater(time.monotonic() - started, 0.45)
        self.assertLess(time.monotonic() - started, 3)

    def test_the_second_request_has_a_deadline_too(self):
        raw = self.raw()
        raw.send(b'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
        self.assertEqual(raw.response()[0], 200)
        time.sleep(0.7)  # idle it may be for longer
        raw.send(b'GET /healthz HTTP/1.1\r\n')
        started = time.monotonic()
        self.assertEqual(raw.response()[0], 408)
        self.assertTrue(raw.at_end())
        self.assertTrue(0.45 < time.monotonic() - started < 3)

    def test_a_connection_that_says_nothing_is_ended(self):
        raw, started = self.raw(), time.monotonic()
        self.assertTrue(raw.at_end())
        self.assertLess(time.monotonic() - started, 3)

    def test_an_open_websocket_has_no_such_deadline(self):
        raw = self.raw()
        raw.open()
        time.sleep(0.8)
        raw.send(frame(TEXT, b'still here'))
        self.assertEqual(raw.message(), (TEXT, b'still here'))


class Violations(Case):
    """Each is answered by a close frame that says why, and then by the end of the stream, never by a reset."""

    def refused(self, data, code, path='/echo'):
        with self.server.raw() as raw:
            raw.open(path)
            raw.send(data)
            got, reason = raw.closed()
            self.assertEqual(got, code, reason)
            self.assertNotEqual(reason, '')
            self.assertTrue(raw.at_end())

    def test_1002(self):
        cases = {
            'not masked': frame(TEXT, b'hello', masked=False),
            'reserved bit 1': frame(TEXT, b'hello', bits=4),
            'reserved bit 2': frame(TEXT, b'hello', bits=2),
            'reserved bit 3': frame(TEXT, b'hello', bits=1),
            'unknown data opcode': frame(3, b'hello'),
            'unknown control opcode': frame(11, b'hello'),
            'fragmented ping': frame(PING, b'hello', fin=False),
            'fragmented close': frame(CLOSE, b'\x03\xe8', fin=False),
            'control over 125 bytes': frame(PING, b'x' * 126),
            'continuation of nothing': frame(0, b'hello'),
            'message in a message': frame(TEXT, b'a', fin=False) + frame(TEXT, b'b'),
            'length not in its shortest form': b'\x81\xfe\0\x05' + frame(TEXT, b'hello')[2:],
            'top bit of the length': b'\x82\xff\x80' + bytes(7) + b'mask',
            'close of one byte': frame(CLOSE, b'\x03'),
        }
        for name, data in cases.items():
            with self.subTest(name):
                self.refused(data, 1002)

    def test_close_codes_that_may_not_travel(self):
        for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
            with self.subTest(code):
                self.refused(close_frame(code, b'because'), 1002)

    def test_close_codes_that_may_are_given_back(self):
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
            with self.subTest(code), self.server.raw() as raw:
                raw.open()
                raw.send(close_frame(code, b'because'))
                self.assertEqual(raw.closed()[0], code)
                self.assertTrue(raw.at_end())

    def test_close_without_a_code(self):
        raw = self.raw()
        raw.open()
        raw.send(frame(CLOSE))
        self.assertEqual(raw.closed(), (None, ''))
        self.assertTrue(raw.at_end())

    def test_1007_for_text_that_is_not_utf8(self):
        for bad in (b'\xc0\xaf', b'\xed\xa0\x80', b'\xf4\x90\x80\x80', b'\xff', b'a\x80', b'\xe2\x82'):
            with self.subTest(bad):
                self.refused(frame(TEXT, bad), 1007)
        with self.subTest('a close reason'):
            self.refused(close_frame(1000, b'\xff'), 1007)
        with self.subTest('cut between fragments'):
            self.refused(frame(TEXT, b'\xce', fin=False) + frame(0, b'\xce'), 1007)

    def test_1007_at_the_first_impossible_byte(self):
        """Neither the frame nor the message is complete, and need not be."""
        whole = frame(TEXT, b'\xce\xba\xe1\xbd\xb9\xf4\x90' + b'x' * 1000, fin=False)
        self.refused(whole[:8 + 7], 1007)

    def test_1007_not_before_it(self):
        raw = self.raw()
        raw.open()
        raw.send(frame(TEXT, b'\xce\xba\xe1\xbd', fin=False))
        raw.send(frame(PING, b'so far so good'))
        self.assertEqual(raw.frame(), (0x80 | PONG, b'so far so good'))
        raw.send(frame(0, b'\xb9'))
        self.assertEqual(raw.message(), (TEXT, '\u03ba\u1f79'.encode()))

    def test_1009_for_a_claim_alone(self):
        """No byte of the payload is there, and none is waited for."""
        self.refused(b'\x82\xff' + (1 << 62).to_bytes(8, 'big') + b'mask', 1009)
        self.refused(frame(BINARY, b'x' * 65000, fin=False) + frame(0, b'x' * 1000), 1009)

    def test_1009_while_the_peer_goes_on_sending(self):
        """What still comes is passed over: a reset would take the close frame with it."""
        with self.server.raw() as raw:
            raw.open()
            raw.send(frame(BINARY, b'x' * (4 << 20)))
            self.assertEqual(raw.closed()[0], 1009)
            self.assertTrue(raw.at_end())

    def test_in_a_room_too(self):
        self.refused(frame(TEXT, b'\xff'), 1007, path='/rooms/raw')
        self.refused(frame(TEXT, b'x', masked=False), 1002, path='/rooms/raw')


class Heartbeat(Case):
    flags = ('--ping-interval', '200ms', '--ping-timeout', '600ms')

    def test_heartbeat_unanswered(self):
        raw, started = self.raw(), time.monotonic()
        raw.open()
        first, payload = raw.frame()
        self.assertEqual((first, len(payload)), (0x80 | PING, 8))
        self.assertEqual(raw.closed()[0], 1008)
        self.assertTrue(raw.at_end())
        self.assertLess(time.monotonic() - started, 4)

    def test_heartbeat_answered(self):
        raw = self.raw()
        raw.open()
        for _ in range(4):
            first, payload = raw.frame()
            self.assertEqual(first, 0x80 | PING)
            raw.send(frame(PONG, payload))


class Manners(Case):
    def test_a_pong_that_nobody_asked_for(self):
        raw = self.raw()
        raw.open()
        raw.send(frame(PONG, b'hello') + frame(TEXT, b'after'))
        self.assertEqual(raw.message(), (TEXT, b'after'))

    def test_ping_between_fragments(self):
        raw = self.raw()
        raw.open()
        raw.send(frame(TEXT, b'Hel', fin=False) + frame(PING, b'?') + frame(0, b'', fin=False) + frame(0, b'lo'))
        self.assertEqual(raw.frame(), (0x80 | PONG, b'?'))
        self.assertEqual(raw.message(), (TEXT, b'Hello'))

    def test_nothing_is_said_after_the_close_frame(self):
        raw = self.raw()
        raw.open()
        raw.send(frame(TEXT, b'last') + close_frame(1000) + frame(TEXT, b'too late') + frame(PING, b'too late'))
        self.assertEqual(raw.message(), (TEXT, b'last'))
        self.assertEqual(raw.closed()[0], 1000)
        self.assertTrue(raw.at_end())

    def test_fin_without_a_close_frame(self):
        raw = self.raw()
        raw.open()
        raw.socket.shutdown(socket.SHUT_WR)
        self.assertTrue(raw.at_end())

    def test_a_room_full_of_resets(self):
        def metrics():
            with self.server.raw() as raw:
                raw.send(b'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n')
                return raw.response()[2].decode()

        stays = self.raw()
        stays.open('/rooms/resets?echo=1')
        for _ in range(50):
            with self.server.raw() as raw:
                raw.open('/rooms/resets')
                raw.send(frame(TEXT, b'I was never here'))
                raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        eventually(lambda: 'weft_websockets 1\n' in metrics())
        eventually(lambda: 'weft_connections 2\n' in metrics())  # those that asked before may be leaving still
        stays.send(frame(TEXT, b'now'))
        while stays.message() != (TEXT, b'now'):
            pass

    def test_length_forms(self):
        raw = self.raw()
        raw.open()
        for size in (0, 1, 125, 126, 127, 65535, 65536):
            raw.send(frame(BINARY, b'z' * size))
            self.assertEqual(raw.message(), (BINARY, b'z' * size))


if __name__ == '__main__':
    main()

#!/usr/bin/python3
"""One room by every transport: WebSocket, WebSocket with recovery, server-sent events, long polling, POST.

    WEFT_BIN=/path/to/weft rooms.py
"""

import base64
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True

from weft import BINARY, PATIENCE_S, TEXT, Weft, eventually, frame, main  # noqa: E402

NOWHERE = '0123456789abcdef:5'


class Stream:
    """A response whose body goes on: server-sent events, whole ones, by pull."""

    def __init__(self, weft, target, *headers):
        self.raw = weft.raw()
        self.raw.send('\r\n'.join([f'GET {target} HTTP/1.1', 'Host: a', 'Accept: text/event-stream', *headers, '', ''])
                      .encode())
        self.status, self.headers, _ = self.raw.response()
        self.body = b''
        self.ended = False

    def chunk(self):
        while b'\r\n' not in self.raw.seen:
            self.raw.more()
        size, self.raw.seen = self.raw.seen.split(b'\r\n', 1)
        data = self.raw.take(int(size, 16) + 2)
        assert data.endswith(b'\r\n')
        self.ended = size == b'0'
        self.body += data[:-2]

    def event(self):
        """The next event that is no comment: a dictionary; None at the end."""
        while True:
            while b'\n\n' not in self.body:
                if self.ended:
                    return None
                self.chunk()
            text, self.body = self.body.split(b'\n\n', 1)
            fields = dict(line.split(': ', 1) for line in text.decode().split('\n') if ': ' in line)
            if 'data' in fields:
                return {**fields, 'data': json.loads(fields['data'])}

    def close(self):
        self.raw.socket.close()


def payload(envelope):
    return envelope['data'] if 'data' in envelope else base64.b64decode(envelope['base64'])


class Follower(threading.Thread):
    """Hears a room up to the offset `count`, leaving and coming back at random. `heard` is what it got."""

    def __init__(self, weft, path, count, seed):
        super().__init__(daemon=True)
        self.weft, self.path, self.count = weft, path, count
        self.random = random.Random(seed)
        self.heard, self.offsets, self.place, self.visits, self.gaps = [], [], '', 0, 0
        self.entered = threading.Event()
        self.error = None
        self.start()

    def misses(self):
        return int(self.place.split(':')[1] if self.place else 0) < self.count

    def run(self):
        try:
            while self.misses():
                self.visits += 1
                self.visit(self.random.randrange(1, 1500))
        except Exception as error:  # told by `whole`
            self.error = error
            self.entered.set()

    def began(self, opening):
        """What every visit is told first: where it begins, which is where the last one ended, or there is a gap."""
        place = f'{opening["epoch"]}:{opening["offset"]}'
        if self.place and opening['recovered']:
            assert place == self.place, (opening, self.place)
        elif self.place:
            epoch, offset = self.place.split(':')
            assert epoch == opening['epoch'] and int(offset) < opening['offset'], (opening, self.place)
            self.gaps += 1
        self.place = place
        self.entered.set()

    def hear(self, envelope):
        epoch, offset = self.place.split(':')
        assert envelope['offset'] == int(offset) + 1, (envelope, self.place)
        self.place = f'{epoch}:{envelope["offset"]}'
        self.heard.append(payload(envelope))
        self.offsets.append(envelope['offset'])

    def whole(self):
        self.join(40)
        if self.error:
            raise self.error
        if self.is_alive():
            raise AssertionError(f'{type(self).__name__} heard {len(self.heard)} of {self.count}')
        return self.heard


class ByWebSocket(Follower):
    def visit(self, most):
        with self.weft.raw() as raw:
            raw.open(f'{self.path}?recover={self.place}')
            self.began(json.loads(raw.message()[1]))
            while most > 0 and self.misses():
                first, data = raw.frame()
                if first & 15 == TEXT:
                    said = json.loads(data)
                    if 'epoch' in said:
                        self.began(said)
                        continue
                    self.hear(said)
                    most -= 1


class ByEvents(Follower):
    def visit(self, most):
        stream = Stream(self.weft, self.path, *([f'Last-Event-ID: {self.place}'] if self.place else []))
        opening = stream.event()
        assert opening['event'] == ('joined' if opening['data']['recovered'] or not self.place else 'gap'), opening
        self.began(opening['data'])
        while most > 0 and self.misses():
            event = stream.event()
            if 'event' in event:
                self.began(event['data'])
                continue
            self.hear(event['data'])
            assert event['id'] == self.place, (event, self.place)
            most -= 1
        stream.close()


class ByPolling(Follower):
    def visit(self, most):
        with self.weft.raw() as raw:
            while most > 0 and self.misses():
                raw.send(f'GET {self.path}?poll={self.place} HTTP/1.1\r\nHost: a\r\n\r\n'.encode())
                if self.place and self.random.randrange(20) == 0:
                    return  # and somebody else gets the answer: nobody
                status, _, body = raw.response()
                assert status == 200, (status, body)
                answer = json.loads(body)
                if not self.place or not answer['recovered']:
                    epoch, offset = answer['next'].split(':')
                    self.began({'epoch': epoch, 'offset': int(offset) - len(answer['messages']), 'recovered': False})
                for envelope in answer['messages']:
                    self.hear(envelope)
                    most -= 1
                assert self.place == answer['next']


class Hopping(Follower):
    """Each time by another transport."""

    def visit(self, most):
        self.random.choice((ByWebSocket, ByEvents, ByPolling)).visit(self, most)


class Late(Hopping):
    """Away for so long that it may be too long."""

    def visit(self, most):
        super().visit(most % 100)
        time.sleep(self.random.random() * 0.03)


class Witness(threading.Thread):
    """A plain member that stays."""

    def __init__(self, weft, path, count):
        super().__init__(daemon=True)
        self.raw, self.count, self.heard = weft.raw(), count, []
        self.raw.open(path)
        self.start()

    def run(self):
        while len(self.heard) < self.count:
            first, data = self.raw.frame()
            if first & 15 in (TEXT, BINARY):
                self.heard.append(data.decode() if first & 15 == TEXT else data)


def post(raw, path, body, *headers):
    raw.send('\r\n'.join([f'POST {path} HTTP/1.1', 'Host: a', f'Content-Length: {len(body)}', *headers, '', ''])
             .encode() + body)
    return raw.response()


def get(weft, target, *headers, method='GET'):
    with weft.raw() as raw:
        raw.send('\r\n'.join([f'{method} {target} HTTP/1.1', 'Host: a', *headers, '', '']).encode())
        if method == 'HEAD':  # without the body whose length it tells
            while b'\r\n\r\n' not in raw.seen:
                raw.more()
            raw.seen = re.sub(rb'(?i)content-length: \d+\r\n', b'', raw.seen)
        status, headers, body = raw.response()
        return status, headers, json.loads(body) if body.startswith(b'{') else body


class OneSequence(unittest.TestCase):
    def check(self, backend):
        sent, posted = 9500, 500
        count, path = sent + posted, '/rooms/many'
        with Weft('--threads', '2', '--backend', backend, '--history', '20000', '--history-max', '16M', '--quiet') as weft:
            followers = [kind(weft, path, count, seed) for seed, kind in
                         enumerate((ByWebSocket, ByEvents, ByPolling, Hopping, Hopping, Hopping))]
            witness = Witness(weft, path, count)
            for follower in followers:
                self.assertTrue(follower.entered.wait(PATIENCE_S))

            def posts():
                with weft.raw() as raw:
                    for i in range(posted):
                        self.assertEqual(post(raw, path, b'\xff%d' % i if i % 2 else b'posted %d' % i)[0], 204)

            poster = threading.Thread(target=posts)
            poster.start()
            with weft.raw() as speaker:
                speaker.open(path)
                for i in range(0, sent, 50):
                    speaker.send(b''.join(frame(TEXT, b'said "%d"' % j) for j in range(i, i + 50)))
                    time.sleep(0.01)
                poster.join(PATIENCE_S)
                for follower in followers:
                    self.assertEqual(len(follower.whole()), count)
            witness.join(PATIENCE_S)
            self.assertEqual(len(set(witness.heard)), count)
            said = [text for text in witness.heard if isinstance(text, str) and text.startswith('said')]
            self.assertEqual(said, [f'said "{i}"' for i in range(sent)])
            for follower in followers:
                self.assertEqual(follower.heard, witness.heard, type(follower).__name__)
                self.assertEqual(follower.gaps, 0)
                self.assertGreater(follower.visits, 3)

    def test_epoll(self):
        self.check('epoll')

    def test_io_uring(self):
        try:
            self.check('io_uring')
        except AssertionError as error:
            if 'io_uring' not in str(error):
                raise
            self.skipTest('there is no io_uring here')


    def test_with_a_short_memory(self):
        """Of what the room forgot each is told, and all else each hears."""
        count, path = 3000, '/rooms/short'
        with Weft('--threads', '2', '--history', '40', '--quiet') as weft:
            witness, followers = Witness(weft, path, count), [Late(weft, path, count, seed) for seed in range(6)]
            for follower in followers:
                self.assertTrue(follower.entered.wait(PATIENCE_S))

            def posts(who):
                with weft.raw() as raw:
                    for i in range(count // 2):
                        self.assertEqual(post(raw, path, b'%d says %d' % (who, i))[0], 204)

            publishers = [threading.Thread(target=posts, args=(who,)) for who in (1, 2)]
            for publisher in publishers:
                publisher.start()
            for publisher in publishers:
                publisher.join(PATIENCE_S)
            witness.join(PATIENCE_S)
            self.assertEqual(len(set(witness.heard)), count)
            for follower in followers:
                follower.whole()
                self.assertEqual(follower.heard, [witness.heard[offset - 1] for offset in follower.offsets])
            gaps, visits = (sum(getattr(follower, name) for follower in followers) for name in ('gaps', 'visits'))
            self.assertGreater(gaps, 0)
            self.assertGreater(visits - gaps, 6)


class Recovery(unittest.TestCase):
    def fill(self, weft, *messages, path='/rooms/a'):
        with weft.raw() as raw:
            for message in messages:
                self.assertEqual(post(raw, path, message)[0], 204)

    def test_a_gap_is_told(self):
        with Weft('--history', '3') as weft:
            place = get(weft, '/rooms/a?poll=')[2]['next']
            epoch = place.split(':')[0]
            self.fill(weft, b'one', b'two', b'three', b'four', b'five')
            last = [{'offset': 4, 'data': 'four'}, {'offset': 5, 'data': 'five'}]
            for gone in (place, f'{epoch}:1', f'{epoch}:9', NOWHERE):
                stream = Stream(weft, '/rooms/a?last=2', f'Last-Event-ID: {gone}')
                self.assertEqual(stream.event(), {'id': f'{epoch}:3', 'event': 'gap', 'data': {
                    'epoch': epoch, 'offset': 3, 'recovered': False}})
                self.assertEqual([stream.event()['data'] for _ in last], last)
                stream.close()
                with weft.raw() as raw:
                    raw.open(f'/rooms/a?recover={gone}&last=2')
                    self.assertEqual(json.loads(raw.message()[1]), {'epoch': epoch, 'offset': 3, 'recovered': False})
                    self.assertEqual([json.loads(raw.message()[1]) for _ in last], last)
                whole = {'next': f'{epoch}:5', 'recovered': False, 'messages': last}
                self.assertEqual(get(weft, f'/rooms/a?poll={gone}&last=2')[2], whole)
                self.assertEqual(get(weft, f'/rooms/a/history?since={gone}&limit=2')[2], whole)
            whole = {'next': f'{epoch}:4', 'recovered': True,
                     'messages': [{'offset': 3, 'data': 'three'}, {'offset': 4, 'data': 'four'}]}
            self.assertEqual(get(weft, f'/rooms/a/history?since={epoch}:2&limit=2')[2], whole)
            self.assertEqual(len(get(weft, '/rooms/a/history')[2]['messages']), 3)

    def test_own_messages_come_back_with_their_offset(self):
        with Weft() as weft, weft.raw() as raw:
            raw.open('/rooms/a?recover=')
            self.assertEqual(json.loads(raw.message()[1])['offset'], 0)
            raw.send(frame(TEXT, b'mine') + frame(BINARY, b'\0\1\2'))
            self.assertEqual(json.loads(raw.message()[1]), {'offset': 1, 'data': 'mine'})
            self.assertEqual(json.loads(raw.message()[1]), {'offset': 2, 'base64': 'AAEC'})

    def test_acknowledgements_are_counted(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            for args in ((), ('--store', f'{folder}/store')):
                with Weft('--quiet', *args) as weft, weft.raw() as raw, weft.raw() as other:
                    for each, target in ((raw, 'recover=&acks=1'), (other, 'recover=')):
                        each.open(f'/rooms/a?{target}')
                        each.message()
                    other.send(frame(TEXT, b'same'))
                    self.assertEqual([json.loads(each.message()[1])['offset'] for each in (raw, other)], [1, 1])
                    for n in (1, 2):
                        raw.send(frame(TEXT, b'same'))
                        said = [json.loads(raw.message()[1]) for _ in range(2)]
                        self.assertIn({'offset': n + 1, 'data': 'same'}, said)
                        self.assertIn({'ack': n}, said)
                    self.assertEqual([json.loads(other.message()[1])['offset'] for _ in range(2)], [2, 3])

    def test_more_than_a_queue_holds_comes_piece_by_piece(self):
        text = b'x' * 40000
        with Weft('--queue-max', '100k', '--history', '1000', '--history-max', '32M') as weft:
            self.fill(weft, *[text] * 200)
            epoch = get(weft, '/rooms/a?poll=')[2]['next'].split(':')[0]
            stream = Stream(weft, '/rooms/a', f'Last-Event-ID: {epoch}:0')
            with weft.raw() as raw:
                raw.open(f'/rooms/a?recover={epoch}:0')
                self.fill(weft, b'last')
                raw.message()
                self.assertEqual([json.loads(raw.message()[1])['offset'] for _ in range(201)], list(range(1, 202)))
            self.assertEqual(stream.event()['event'], 'joined')
            self.assertEqual([stream.event()['data']['offset'] for _ in range(201)], list(range(1, 202)))
            stream.close()
            with weft.raw() as raw:
                raw.open('/rooms/a?last=1000')
                self.fill(weft, b'very last')
                self.assertEqual([len(raw.message()[1]) for _ in range(202)], [40000] * 200 + [4, 9])

    def test_a_message_longer_than_a_queue(self):
        with Weft('--queue-max', '32k') as weft:
            self.fill(weft, b'\1' * 40000)
            for target, length in (('last=1', 40000), ('recover=&last=1', 6 * 40000 + len('{"offset":1,"data":""}'))):
                with weft.raw() as raw:
                    raw.open(f'/rooms/a?{target}')
                    if 'recover' in target:
                        raw.message()
                    self.assertEqual(len(raw.message()[1]), length)

    def test_who_reads_more_slowly_than_the_room_forgets_is_told(self):
        text = b'x' * 40000
        with Weft('--queue-max', '100k', '--history', '200', '--history-max', '32M') as weft:
            self.fill(weft, *[text] * 200)  # more than the kernel takes for it
            epoch = get(weft, '/rooms/a?poll=')[2]['next'].split(':')[0]
            with weft.raw() as raw:
                raw.open(f'/rooms/a?recover={epoch}:0')
                self.fill(weft, *[text] * 350)
                at, gaps = None, 0
                while at != 550:
                    said = json.loads(raw.message()[1])
                    if 'epoch' in said:
                        gaps += not said['recovered']
                    else:
                        self.assertEqual(said['offset'], at + 1)
                    at = said['offset']
                self.assertGreater(gaps, 0)


class ByCurl(unittest.TestCase):
    """What curl makes of a body that goes on. It ends with 0 only when it believes that it has all of it."""

    WAYS = ('--http1.1', '--http2-prior-knowledge', '--http1.0')

    def listen(self, weft, way):
        return subprocess.Popen(['curl', '--disable', '-sSN', way, '--max-time', str(PATIENCE_S), '-H',
                                 'Accept: text/event-stream', f'{weft.url}/rooms/a'],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def listening(self, weft, count):
        eventually(lambda: [each['members'] for each in get(weft, '/rooms')[2]['rooms']] == [count])

    def test_a_drain_ends_it_whole(self):
        with Weft('--h2c', '--drain', '0s') as weft:
            curls = [self.listen(weft, way) for way in self.WAYS]
            self.listening(weft, len(curls))
            with weft.raw() as raw:
                self.assertEqual(post(raw, '/rooms/a', b'to all')[0], 204)
            self.assertEqual(weft.stop(), 0)
            for way, curl in zip(self.WAYS, curls):
                heard, why = curl.communicate(timeout=PATIENCE_S)
                self.assertEqual(curl.returncode, 0, (way, why))
                heard = heard.replace(b'\n\n:\n\n', b'\n\n')  # a comment
                self.assertTrue(heard.endswith(b'data: {"offset":1,"data":"to all"}\n\n'), (way, heard))

    def test_a_body_that_is_cut_shows_it(self):
        with Weft('--h2c', '--queue-max', '1M', '--message-max', '1M', '--history', '0') as weft:
            curls = [self.listen(weft, way) for way in self.WAYS]
            self.listening(weft, len(curls))
            for curl in curls:
                curl.send_signal(signal.SIGSTOP)
            with weft.raw() as raw:
                for _ in range(100):
                    if not get(weft, '/rooms')[2]['rooms']:
                        break
                    self.assertEqual(post(raw, '/rooms/a', b'x' * 1000000)[0], 204)
            self.assertEqual(get(weft, '/rooms')[2]['rooms'], [])
            for way, curl in zip(self.WAYS, curls):
                curl.send_signal(signal.SIGCONT)
                curl.communicate(timeout=PATIENCE_S + 5)
                self.assertNotIn(curl.returncode, (0, 28), way)


class Rules(unittest.TestCase):
    def test_a_room_may_be_named_history(self):
        with Weft() as weft, weft.raw() as raw:
            stream = Stream(weft, '/rooms/history')
            self.assertEqual(stream.event()['event'], 'joined')
            self.assertEqual(post(raw, '/rooms/history', b'hello')[0], 204)
            self.assertEqual(stream.event()['data'], {'offset': 1, 'data': 'hello'})
            stream.close()
            for target in ('/rooms/history/history', '/rooms/history?poll=&last=1'):
                self.assertEqual(get(weft, target)[2]['messages'], [{'offset': 1, 'data': 'hello'}])
            self.assertEqual(get(weft, '/rooms//history')[0], 400)

    def test_the_token_is_needed_for_all(self):
        with Weft('--token', 's3cret') as weft:
            for target in ('/rooms/a?poll=', '/rooms/a/history', '/rooms/a'):
                accept = 'Accept: text/event-stream'
                self.assertEqual(get(weft, target, accept)[0], 401, target)
                self.assertEqual(get(weft, target, accept, 'Authorization: Bearer wrong')[0], 401)
            self.assertEqual(get(weft, '/rooms/a?poll=&token=s3cret')[0], 200)
            self.assertEqual(get(weft, '/rooms/a/history', 'Authorization: Bearer s3cret')[0], 200)
            status, headers, _ = get(weft, '/rooms/a?poll=', 'Origin: http://a')
            self.assertEqual((status, headers['www-authenticate'], headers.get('access-control-allow-origin')),
                             (401, 'Bearer', 'http://a'))
            stream = Stream(weft, '/rooms/a?token=s3cret')
            self.assertEqual((stream.status, stream.event()['event']), (200, 'joined'))
            stream.close()

    def test_origins(self):
        with Weft('--origin', 'https://chat.example.org') as weft:
            for target in ('/rooms/a?poll=', '/rooms/a/history', '/rooms/a'):
                accept = 'Accept: text/event-stream'
                self.assertEqual(get(weft, target, accept, 'Origin: https://evil.example')[0], 403, target)
                status, headers, _ = get(weft, target, accept, 'Origin: https://chat.example.org', method='HEAD')
                self.assertEqual((status, headers['access-control-allow-origin'], headers['vary']),
                                 (200, 'https://chat.example.org', 'Origin'), target)
            for target in ('/rooms/a?poll=&last=x', '/rooms/a/history?limit=x', '/rooms/a%2F?poll='):  # a page may learn why
                status, headers, _ = get(weft, target, 'Origin: https://chat.example.org')
                self.assertEqual((status, headers.get('access-control-allow-origin')), (400, 'https://chat.example.org'))
            asked = ('Origin: https://chat.example.org', 'Access-Control-Request-Method: POST')
            status, headers, _ = get(weft, '/rooms/a', *asked, method='OPTIONS')
            self.assertEqual((status, headers['access-control-allow-methods']), (204, 'GET, POST'))
            self.assertEqual(get(weft, '/rooms/a', 'Origin: https://evil.example', method='OPTIONS')[0], 403)

    def test_what_is_asked_for_wrongly(self):
        with Weft() as weft:
            self.assertEqual(get(weft, '/rooms/a')[0], 426)
            self.assertEqual(get(weft, '/rooms/a/b?poll=')[0], 400)
            self.assertEqual(get(weft, '/rooms/%2F/history')[0], 400)
            self.assertEqual(get(weft, '/rooms/a?poll=&last=x')[0], 400)
            self.assertEqual(get(weft, '/rooms/a/history?limit=-1')[0], 400)
            self.assertEqual(get(weft, '/rooms/a?last=x', 'Accept: text/event-stream')[0], 400)
            with weft.raw() as raw:  # a history is not a room
                status, headers, _ = post(raw, '/rooms/a/history', b'to whom?')
                self.assertEqual((status, headers['allow']), (405, 'GET, HEAD, OPTIONS'))
            place = get(weft, '/rooms/a?poll=')[2]['next']
            self.assertTrue(place.endswith(':0'), place)
            self.assertEqual(get(weft, f'/rooms/a?poll={place}', 'Content-Length: 3', '', 'abc')[0], 400)  # kept with it

    def test_a_room_holds_a_thousand_that_wait(self):
        with Weft('--threads', '2') as weft:
            place = get(weft, '/rooms/a?poll=')[2]['next']
            waiting = [weft.raw() for _ in range(1000)]
            for raw in waiting:
                raw.send(f'GET /rooms/a?poll={place} HTTP/1.1\r\nHost: a\r\n\r\n'.encode())
            eventually(lambda: get(weft, '/rooms')[2]['rooms'] == [{'name': 'a', 'members': 1000, 'messages': 0}])
            self.assertEqual(get(weft, f'/rooms/a?poll={place}')[0], 503)
            gone = waiting.pop().socket
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            gone.close()
            eventually(lambda: get(weft, '/rooms')[2]['rooms'][0]['members'] == 999)
            waiting.pop().socket.close()
            half = waiting.pop()
            half.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(json.loads(half.response()[2]), {'next': place, 'recovered': True, 'messages': []})
            half.socket.close()
            eventually(lambda: get(weft, '/rooms')[2]['rooms'][0]['members'] == 997)
            with weft.raw() as raw:
                self.assertEqual(post(raw, '/rooms/a', b'to all')[0], 204)
            for raw in waiting:
                self.assertEqual(json.loads(raw.response()[2])['messages'], [{'offset': 1, 'data': 'to all'}])
                raw.socket.close()

    def test_a_drain_answers_who_waits_and_ends_streams(self):
        with Weft('--drain', '0s') as weft:
            place = get(weft, '/rooms/a?poll=')[2]['next']
            stream = Stream(weft, '/rooms/a')
            self.assertEqual(stream.event()['event'], 'joined')
            with weft.raw() as raw:
                raw.send(f'GET /rooms/a?poll={place} HTTP/1.1\r\nHost: a\r\n\r\n'.encode())
                eventually(lambda: get(weft, '/rooms')[2]['rooms'][0]['members'] == 2)
                began = time.monotonic()
                self.assertEqual(weft.stop(), 0)
                self.assertLess(time.monotonic() - began, 3)
                self.assertEqual(json.loads(raw.response()[2]), {'next': place, 'recovered': True, 'messages': []})
            self.assertIsNone(stream.event())
            stream.close()


if __name__ == '__main__':
    main()

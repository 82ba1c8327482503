#!/usr/bin/python3
"""The store: what was acknowledged is there after kill -9, in order and once, and who comes back gets what it missed.

    WEFT_BIN=/path/to/weft store.py
"""

import hashlib
import hmac
import json
import os
import random
import resource
import sqlite3
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True

from weft import PATIENCE_S, TEXT, Weft, eventually, frame, main, run  # noqa: E402

KILLS = 20  # of each kind
ROOM = '/rooms/kept'
KEY, SECRET = 'key', 'secret'
APP = f'[app a]\nid = 3\nkey = {KEY}\nsecret = {SECRET}\nhistory = kept\nhistory_messages = 1000000\n' \
    'history_bytes = 268435456\n'
LARGE = ('--history', '1000000', '--history-max', '256M')


def request(raw, method, target, body=b''):
    raw.send(f'{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n'.encode() + body)
    return raw.response()


def post(weft, body, target=ROOM):
    with weft.raw() as raw:
        return request(raw, 'POST', target, body)[0]


def history(weft, target=ROOM):
    """All that is kept of a room: its epoch, and pairs of offset and text."""
    found, place = [], None
    with weft.raw() as raw:
        while True:
            since = f'since={place}' if place else 'limit=1000000'
            status, _, body = request(raw, 'GET', f'{target}/history?{since}')
            assert status == 200, (status, body)
            answer = json.loads(body)
            assert place is None or answer['recovered']
            if place and not answer['messages']:
                return place.split(':')[0], found
            found += [(m['offset'], m['data']) for m in answer['messages']]
            place = answer['next']


def signed(method, path, body=b'', **params):
    """A target of the HTTP API, signed."""
    params = {'auth_key': KEY, 'auth_timestamp': int(time.time()), 'auth_version': '1.0', **params}
    if body:
        params['body_md5'] = hashlib.md5(body).hexdigest()
    query = '&'.join(f'{name}={params[name]}' for name in sorted(params))
    text = f'{method}\n{path}\n{query}'.encode()
    return f'{path}?{query}&auth_signature={hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()}'


def channel_history(weft):
    found, place = [], {'since_offset': 0}
    with weft.raw() as raw:
        while True:
            path = '/apps/3/channels/kept/history'
            answer = json.loads(request(raw, 'GET', signed('GET', path, limit=1000000, **place))[2])
            if place['since_offset'] and not answer['events']:
                return answer['epoch'], found
            found += [(event['offset'], event['data']) for event in answer['events']]
            place = {'since_epoch': answer['epoch'], 'since_offset': answer['offset']}


def metric(weft, name):
    with weft.raw() as raw:
        lines = request(raw, 'GET', '/metrics')[2].decode().split('\n')
    return next(float(line.split(' ')[1]) for line in lines if line.startswith(f'weft_{name} '))


class File(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.chmod(self.folder, 0o777)  # a server started as root becomes nobody
        self.path = os.path.join(self.folder, 'store')
        self.config = os.path.join(self.folder, 'ini')
        with open(self.config, 'w', encoding='ascii') as file:
            file.write(APP)

    def weft(self, *args):
        return Weft('--store', self.path, '--config', self.config, '--quiet', *args)


class Publisher(threading.Thread):
    """Publishes one after the other, and goes on when the server is another. Some of `open` may be there."""

    def __init__(self, scene, number):
        super().__init__(daemon=True)
        self.scene, self.number = scene, number
        self.acknowledged, self.open, self.error = [], set(), None
        self.start()

    def run(self):
        count = 0
        while not self.scene.ended.is_set():
            try:
                with self.scene.weft.raw() as raw:
                    while not self.scene.ended.is_set():
                        count += 1
                        text = f'{self.number} {count}'
                        self.open.add(text)
                        status = self.publish(raw, text)
                        assert status in (200, 204), status
                        self.open.remove(text)
                        self.acknowledged.append(text)
            except (OSError, EOFError):
                time.sleep(0.005)
            except Exception as error:
                self.error = error
                return


    def publish(self, raw, text):
        return request(raw, 'POST', ROOM, text.encode())[0]


class ChannelPublisher(Publisher):
    def publish(self, raw, text):
        body = json.dumps({'name': 'e', 'channel': 'kept', 'data': text}).encode()
        return request(raw, 'POST', signed('POST', '/apps/3/events', body), body)[0]


class Follower(threading.Thread):
    """Hears it all, over every end of the server."""

    def __init__(self, scene):
        super().__init__(daemon=True)
        self.scene, self.place, self.heard, self.visits, self.error = scene, '', [], 0, None
        self.start()

    def last(self):
        return int(self.place.split(':')[1]) if self.place else -1

    def run(self):
        while not self.scene.over.is_set():
            try:
                with self.scene.weft.raw() as raw:
                    opening = self.enter(raw)
                    begins = f'{opening["epoch"]}:{opening["offset"]}'
                    assert not self.place or (opening['recovered'] and begins == self.place), (opening, self.place)
                    self.place = begins
                    self.visits += 1
                    while True:
                        first, data = raw.frame()
                        if first & 15 == 1:
                            self.hear(json.loads(data))
            except (OSError, EOFError):
                time.sleep(0.005)
            except Exception as error:
                self.error = error
                return

    def hear(self, envelope):
        if 'offset' not in envelope:
            return  # of the protocol
        assert envelope['offset'] == self.last() + 1, (envelope, self.place)
        self.place = f'{self.place.split(":")[0]}:{envelope["offset"]}'
        self.heard.append((envelope['offset'], envelope['data']))

    def enter(self, raw):
        raw.open(f'{ROOM}?recover={self.place}')
        return json.loads(raw.message()[1])


class ChannelFollower(Follower):
    def enter(self, raw):
        raw.open(f'/app/{KEY}?protocol=7')
        raw.message()
        epoch, _, offset = self.place.partition(':')
        data = {'channel': 'kept', **({'recover': {'epoch': epoch, 'offset': int(offset)}} if epoch else {})}
        raw.send(frame(TEXT, json.dumps({'event': 'pusher:subscribe', 'data': data}).encode()))
        return json.loads(raw.message()[1])


class Killed(File):
    def test_rooms(self):
        self.check(Publisher, Follower, history)

    def test_channels(self):
        self.check(ChannelPublisher, ChannelFollower, channel_history)

    def check(self, publishing, following, history_of):
        """What was acknowledged is there, once and in order; who follows hears just what there is."""
        chance = random.Random(7)
        self.ended, self.over = threading.Event(), threading.Event()
        self.weft = File.weft(self, *LARGE)
        self.addCleanup(lambda: self.weft.kill())
        epoch = None
        followers = [following(self) for _ in range(2)]
        eventually(lambda: all(f.place for f in followers))
        with self.weft.raw() as raw:
            assert publishing.publish(None, raw, 'first') in (200, 204)
        publishers = [publishing(self, n) for n in range(4)]
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.01, 0.12))
            self.weft.kill()
            self.weft = File.weft(self, *LARGE)
            epoch = epoch or history_of(self.weft)[0]
        self.ended.set()
        for publisher in publishers:
            publisher.join(PATIENCE_S)
            self.assertIsNone(publisher.error)
        found_epoch, kept = history_of(self.weft)
        self.assertEqual(found_epoch, epoch)
        self.assertEqual([offset for offset, _ in kept], list(range(1, len(kept) + 1)))
        texts = [text for _, text in kept]
        self.assertEqual(len(set(texts)), len(texts))
        for publisher in publishers:
            own = [text for text in texts if text.startswith(f'{publisher.number} ')]
            self.assertGreater(len(publisher.acknowledged), KILLS)
            self.assertEqual(own, sorted(own, key=lambda text: int(text.split()[1])))
            self.assertEqual([text for text in own if text not in publisher.open], publisher.acknowledged)
        for follower in followers:
            eventually(lambda f=follower: f.error or f.last() == kept[-1][0])
            self.assertIsNone(follower.error)
            self.assertEqual(follower.heard, kept)
            self.assertGreater(follower.visits, KILLS / 2)
        self.over.set()


class Kept(File):
    def test_over_an_orderly_end(self):
        with self.weft() as weft:
            for text in (b'one', b'two', b'\xff'):
                self.assertEqual(post(weft, text), 204)
            with weft.raw() as raw:  # a member that says something: heard when it is stored
                raw.open(f'{ROOM}?echo=1&last=2')
                self.assertEqual([raw.message(), raw.message()], [(1, b'two'), (2, b'\xff')])
                raw.send(b'\x81\x83\0\0\0\0abc')
                self.assertEqual(raw.message(), (1, b'abc'))
            with weft.raw() as raw:
                place = json.loads(request(raw, 'GET', f'{ROOM}?poll=')[2])['next']
        with self.weft() as weft:
            with weft.raw() as raw:
                raw.open(f'{ROOM}?last=9')
                self.assertEqual([raw.message()[1] for _ in range(4)], [b'one', b'two', b'\xff', b'abc'])
            self.assertEqual(post(weft, b'five'), 204)
            with weft.raw() as raw:
                answer = json.loads(request(raw, 'GET', f'{ROOM}?poll={place}')[2])
            self.assertEqual((answer['recovered'], answer['messages']), (True, [{'offset': 5, 'data': 'five'}]))

    def test_a_cache_channel_has_its_last_event_over_an_orderly_end(self):
        with open(self.config, 'a', encoding='ascii') as file:
            file.write('[app b]\nid = 4\nkey = b\nsecret = secret\nhistory = cache-\n')
        path = '/apps/4/channels/cache-c'
        with self.weft() as weft, weft.raw() as raw:
            body = b'{"name":"e","channel":"cache-c","data":"last"}'
            target = signed('POST', '/apps/4/events', body, auth_key='b')
            self.assertEqual(request(raw, 'POST', target, body)[0], 200)
        with self.weft() as weft, weft.raw() as api, weft.raw() as raw:
            target = signed('GET', path, info='cache', auth_key='b')
            cache = json.loads(request(api, 'GET', target)[2])['cache']
            self.assertEqual(cache['data'], 'last')
            self.assertTrue(1700 < cache['ttl'] < 1800)
            raw.open('/app/b?protocol=7&version=8.0')
            raw.send(frame(TEXT, b'{"event":"pusher:subscribe","data":{"channel":"cache-c"}}'))
            found = [json.loads(raw.message()[1]) for _ in range(3)]
        self.assertEqual(found[2], {'event': 'e', 'channel': 'cache-c', 'data': 'last', 'offset': 1})

    def test_the_last_member_may_leave_while_a_message_is_written(self):
        with self.weft() as weft:
            for n in range(60):
                with weft.raw() as raw:
                    raw.open(ROOM)
                self.assertEqual(post(weft, b'%d' % n), 204)

    def test_the_log_shrinks_when_who_read_for_long_has_left(self):
        with self.weft() as weft:
            self.assertEqual(post(weft, b'one'), 204)
            other = sqlite3.connect(self.path, isolation_level=None)
            other.execute('BEGIN')
            other.execute('SELECT count(*) FROM logs').fetchone()
            for _ in range(200):
                self.assertEqual(post(weft, b'x' * 40000), 204)
            self.assertGreater(os.path.getsize(self.path + '-wal'), 7000000)
            other.execute('ROLLBACK')
            other.close()
            eventually(lambda: post(weft, b'y' * 40000) == 204 and os.path.getsize(self.path + '-wal') < 5000000)

    def test_what_a_room_may_not_keep_leaves_the_file(self):
        with self.weft('--history', '3') as weft:
            for n in range(20):
                self.assertEqual(post(weft, b'%d' % n), 204)
            self.assertEqual(post(weft, b'x' * 100, '/rooms/other'), 204)
        rows = sqlite3.connect(self.path).execute('SELECT name, last, count(*) FROM logs JOIN messages ON id = log '
                                                  'GROUP BY id ORDER BY name').fetchall()
        self.assertEqual(rows, [('rooms/kept', 20, 4), ('rooms/other', 1, 1)])  # the last one goes with the next batch
        with self.weft('--history', '3') as weft:
            self.assertEqual(history(weft)[1], [(18, '17'), (19, '18'), (20, '19')])
        with self.weft('--history', '5', '--history-age', '1s') as weft:
            eventually(lambda: history_texts(weft) == [])
            self.assertEqual(post(weft, b'new'), 204)
            self.assertEqual(history(weft)[1], [(21, 'new')])

    def test_a_message_too_long_to_keep_is_refused(self):
        with self.weft('--history-max', '1000') as weft:
            self.assertEqual(post(weft, b'x' * 1001), 413)
            with weft.raw() as raw:
                raw.open(ROOM)
                raw.send(b'\x82\xfe\x03\xe9\0\0\0\0' + b'x' * 1001)
                self.assertEqual(raw.closed()[0], 1009)

    def test_the_file_has_a_limit(self):
        with self.weft('--store-max', '1M', '--history', '1000') as weft:
            for n in range(100):
                self.assertEqual(post(weft, b'x' * 30000, f'/rooms/r{n}'), 204)
            eventually(lambda: 0 < metric(weft, 'store_file_bytes') < 1 << 20)
        with self.weft() as weft:
            self.assertEqual(len(history(weft, '/rooms/r99')[1]), 1)
            self.assertEqual(len(history(weft, '/rooms/r0')[1]), 0)

    def test_no_more_rooms_go_than_must(self):
        with self.weft('--store-max', '1M') as weft:
            for room in range(8):
                for _ in range(10):
                    self.assertEqual(post(weft, b'x' * 30000, f'/rooms/r{room}'), 204)
            self.assertLess(metric(weft, 'store_file_bytes'), 1 << 20)
        with self.weft() as weft:
            self.assertEqual([len(history(weft, f'/rooms/r{room}')[1]) for room in (0, 6, 7)], [0, 10, 10])


def history_texts(weft):
    with weft.raw() as raw:
        return json.loads(request(raw, 'GET', f'{ROOM}/history')[2])['messages']


class Broken(File):
    def refused(self, text, *args):
        code, _, said = run('serve', '--listen', '127.0.0.1:0', '--store', self.path, *args)
        self.assertEqual(code, 1)
        self.assertEqual(said.count('\n'), 1)
        self.assertRegex(said, text)

    def test_what_cannot_be_opened_is_told(self):
        with self.weft():
            self.refused('another process serves with it')
        with open(self.path, 'r+b') as file:
            file.write(b'this is no database, but some text that is long enough')
        self.refused('file is not a database')
        os.unlink(self.path)
        other = sqlite3.connect(self.path)
        other.execute('CREATE TABLE t(a)')
        other.commit()
        other.close()
        self.refused('the database of something else')
        self.path = self.folder
        self.refused('Is a directory')

    def test_a_full_disk_refuses_and_heals(self):
        stays = ('--user', 'root') if os.geteuid() == 0 else ()  # else its limits are not ours to set
        with self.weft('--history', '100000', *stays) as weft:
            self.assertEqual(post(weft, b'before'), 204)
            whole = resource.prlimit(weft.process.pid, resource.RLIMIT_FSIZE)
            size = os.path.getsize(self.path + '-wal')
            resource.prlimit(weft.process.pid, resource.RLIMIT_FSIZE, (size + 20000, whole[1]))
            statuses = [post(weft, b'y' * 4000) for _ in range(20)]
            self.assertIn(503, statuses)
            stored = statuses.count(204)
            self.assertEqual(statuses, [204] * stored + [503] * (20 - stored))
            with weft.raw() as raw:  # the rest goes on
                self.assertEqual(request(raw, 'GET', '/healthz')[0], 200)
                raw.open('/echo')
                raw.send(b'\x81\x83\0\0\0\0abc')
                self.assertEqual(raw.message(), (1, b'abc'))
            with weft.raw() as raw:
                raw.open(ROOM)
                raw.send(b'\x82\xfe\x0f\xa0\0\0\0\0' + b'z' * 4000)
                self.assertEqual(raw.closed(), (1013, 'a message could not be stored'))
            self.assertEqual(metric(weft, 'store_failed_total'), 20 - stored + 1)
            resource.prlimit(weft.process.pid, resource.RLIMIT_FSIZE, whole)
            self.assertEqual(post(weft, b'after'), 204)
            self.assertRegex(weft.stderr(), 'the store fails')
            kept = history(weft)[1]
            self.assertEqual([offset for offset, _ in kept], list(range(1, stored + 3)))
        with self.weft('--history', '100000') as weft:
            self.assertEqual(history(weft)[1], kept)

    def test_a_file_that_is_damaged_refuses_and_lives(self):
        with self.weft('--history', '1000') as weft:
            for n in range(200):
                self.assertEqual(post(weft, b'y' * 1000), 204)
        sqlite3.connect(self.path).execute('PRAGMA wal_checkpoint(TRUNCATE)')
        with open(self.path, 'r+b') as file:
            file.seek(5 * 4096)
            file.write(b'\xa5' * 4096 * 30)
        with self.weft('--history', '1000') as weft:
            self.assertEqual(post(weft, b'more'), 503)
            with weft.raw() as raw:
                self.assertEqual(request(raw, 'GET', f'{ROOM}/history')[0], 503)
            self.assertRegex(weft.stderr(), 'the store cannot be read.*malformed')
            with weft.raw() as raw:
                self.assertEqual(request(raw, 'GET', '/healthz')[0], 200)

    def test_a_file_that_is_removed_refuses(self):
        with self.weft() as weft:
            self.assertEqual(post(weft, b'one'), 204)
            os.rename(self.path, self.path + '.away')
            self.assertEqual(post(weft, b'two'), 503)
            with open(self.path, 'w'):
                self.assertEqual(post(weft, b'three'), 503)
            self.assertRegex(weft.stderr(), 'it was removed or replaced')
            os.rename(self.path + '.away', self.path)
            self.assertEqual(post(weft, b'four'), 204)
            os.unlink(self.path + '-wal')
            self.assertEqual(post(weft, b'five'), 503)
            self.assertRegex(weft.stderr(), 'its -wal file was removed')
            self.assertEqual([text for _, text in history(weft)[1]], ['one', 'four'])

    def test_a_lock_of_somebody_else_is_waited_for_a_while(self):
        with self.weft() as weft:
            self.assertEqual(post(weft, b'one'), 204)
            other = sqlite3.connect(self.path, isolation_level=None)
            other.execute('BEGIN IMMEDIATE')
            self.assertEqual(post(weft, b'two'), 503)
            self.assertRegex(weft.stderr(), 'database is locked')
            other.execute('ROLLBACK')
            other.close()
            self.assertEqual(post(weft, b'three'), 204)
            self.assertEqual([text for _, text in history(weft)[1]], ['one', 'three'])


if __name__ == '__main__':
    main()

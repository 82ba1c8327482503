#!/usr/bin/python3
"""Who is in a room: told the same by every transport, true when clients die, hold still through a reload.

    WEFT_BIN=/path/to/weft rooms_here.py
"""

import json
import random
import sys
import threading
import time
import unittest
from urllib.parse import quote

sys.dont_write_bytecode = True

from rooms import Stream, get  # noqa: E402
from weft import Weft, eventually, main  # noqa: E402

GRACE_S = 3


class Reader(threading.Thread):
    """Keeps a list of who is here from what it is told, and checks that it was told all of it."""

    def __init__(self, weft, path):
        super().__init__(daemon=True)
        self.weft, self.path = weft, path
        self.here, self.more, self.version, self.told = None, 0, 0, []
        self.error = None
        self.start()

    def run(self):
        try:
            self.read()
        except (OSError, EOFError):
            pass  # the server has gone
        except Exception as error:
            self.error = error

    def hear(self, line):
        if 'here' in line:
            self.here = set(line['here'])
            assert len(self.here) == len(line['here']), line
        else:
            assert line['version'] == self.version + 1, (line, self.version)
            assert not self.here & set(line['came']) and set(line['went']) <= self.here, (line, self.here)
            self.here = self.here - set(line['went']) | set(line['came'])
        self.version, self.more = line['version'], line['more']
        self.told.append(line)

    def has(self, *names, more=0):
        eventually(lambda: self.error or (self.here == set(names) and self.more == more))
        if self.error:
            raise self.error


class ByWebSocket(Reader):
    def read(self):
        with self.weft.raw() as raw:
            raw.open(f'{self.path}?recover=&here=1')
            while True:
                line = json.loads(raw.message()[1])
                if 'version' in line:
                    self.hear(line)


class ByEvents(Reader):
    def read(self):
        stream = Stream(self.weft, f'{self.path}?here=1')
        try:
            while event := stream.event():
                if event.get('event') == 'here':
                    assert 'id' not in event, event
                    self.hear(event['data'])
        finally:
            stream.close()


class ByPolling(Reader):
    def read(self):
        place, version = '', ''
        while True:
            answer = get(self.weft, f'{self.path}?poll={place}&here={version}')[2]
            place = answer['next']
            if 'presence' in answer:
                self.hear(answer['presence'])
                version = self.version


def member(weft, name, path='/rooms/a', query='&recover='):
    raw = weft.raw()
    raw.open(f'{path}?as={quote(name)}{query}')
    return raw


class Here(unittest.TestCase):
    def readers(self, weft):
        return [kind(weft, '/rooms/a') for kind in (ByWebSocket, ByEvents, ByPolling)]

    def test_all_are_told_the_same(self):
        choose = random.Random(7)
        with Weft('--threads', '2') as weft:
            readers = self.readers(weft)
            members = {}
            for step in range(150):
                key = choose.randrange(12)
                if key in members:
                    members.pop(key)[1].socket.close()
                else:
                    name = f'n{choose.randrange(5)}'
                    members[key] = name, member(weft, name, query=choose.choice(['', '&recover=', '&recover=&here=1']))
                if step == 75:
                    readers += self.readers(weft)
                time.sleep(0.01)
            streams = [Stream(weft, '/rooms/a?as=by%20stream'), Stream(weft, '/rooms/a?as=by+stream')]
            for reader in readers:
                reader.has(*{name for name, _ in members.values()}, 'by stream', 'by+stream')
            for each in streams:
                each.close()
            for _, raw in members.values():
                raw.socket.close()
            began = time.monotonic()
            for reader in readers:
                reader.has()
            self.assertGreater(time.monotonic() - began, GRACE_S - 0.5)

    def test_a_reload_and_ten_tabs_are_not_told(self):
        with Weft() as weft:
            reader = ByWebSocket(weft, '/rooms/a')
            tabs = [member(weft, 'ann') for _ in range(10)]
            reader.has('ann')
            before = len(reader.told)
            for tab in tabs:
                tab.socket.close()
            time.sleep(1)
            tabs = [member(weft, 'ann') for _ in range(10)]
            for tab in tabs[1:]:
                tab.socket.close()
            time.sleep(GRACE_S + 1)
            self.assertEqual(len(reader.told), before, reader.told)
            self.assertEqual(reader.here, {'ann'})

    def test_a_poller_is_here_between_polls_and_a_dead_one_is_not(self):
        with Weft('--ping-interval', '1s', '--ping-timeout', '1s') as weft:
            reader = ByEvents(weft, '/rooms/a')
            silent = member(weft, 'silent')  # answers no ping
            place = ''
            for _ in range(3):
                place = get(weft, f'/rooms/a?poll={place}&here=0&as=pol')[2]['next']
                time.sleep(0.4)
            reader.has('silent', 'pol')
            reader.has()
            silent.socket.close()
            self.assertEqual(sum('pol' in line.get('came', line.get('here')) for line in reader.told), 1)

    def test_names_that_are_none(self):
        with Weft() as weft:
            for bad in ('', '%0A', '%FF', 'x' * 161, '%C2%85'):
                status, _, body = get(weft, f'/rooms/a?poll=&as={bad}')
                self.assertEqual((status, body.split(b':')[0]), (400, b'as= takes a name'))
            self.assertEqual(get(weft, f'/rooms/a?poll=&as={"x" * 160}')[0], 200)
            self.assertNotIn('presence', get(weft, '/rooms/a?poll=')[2])

    def test_many_are_counted(self):
        with Weft() as weft:
            reader = ByPolling(weft, '/rooms/a')
            members = [member(weft, f'n{n}') for n in range(503)]
            reader.has(*(f'n{n}' for n in range(500)), more=3)
            self.assertLess(len(reader.told), 30)
            for raw in members:
                raw.socket.close()


if __name__ == '__main__':
    main(at_once=5)

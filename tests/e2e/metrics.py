#!/usr/bin/python3
"""/metrics: read by Prometheus' own parser for Python, compared with docs/METRICS.md, and with what has happened.

    WEFT_BIN=/path/to/weft metrics.py
"""

import contextlib
import hashlib
import hmac
import json
import os
import re
import signal
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True

from prometheus_client.parser import text_string_to_metric_families  # noqa: E402
from weft import TEXT, Weft, eventually, frame, main  # noqa: E402

KEY, SECRET = 'key', 'secret'
DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'docs', 'METRICS.md')
ODD = '"odd" \\ ä'
SHOP = f'[app {ODD}]\nid = 3\nkey = {KEY}\nsecret = {SECRET}\nclient_events = true\nhistory = kept\n'
OTHER = '[app \xe4 in Latin 1]\nid = other\nkey = k2\nsecret = s2\nwebhook = http://127.0.0.1:1/\n'


def request(raw, method, target, body=b''):
    raw.send(f'{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n'.encode() + body)


def fetch(weft, method, target, body=b''):
    with weft.raw() as raw:
        request(raw, method, target, body)
        return raw.response()


def families(weft):
    status, headers, body = fetch(weft, 'GET', '/metrics')
    assert status == 200 and headers['content-type'].startswith('text/plain; version=0.0.4')
    return list(text_string_to_metric_families(body.decode()))


def figures(weft):
    """Name and labels, but "app", of all that is not 0: those of the app 3, and those of no app."""
    found = {}
    for sample in [sample for family in families(weft) for sample in family.samples]:
        labels = dict(sorted(sample.labels.items()))
        if sample.value and labels.pop('app', '3') == '3':
            found[(sample.name.removeprefix('weft_'), *labels.values())] = sample.value
    return found


def sign(text):
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


def api(weft, method, path, body=b'', key=KEY):
    params = {'auth_key': key, 'auth_timestamp': int(time.time()), 'auth_version': '1.0'}
    if body:
        params['body_md5'] = hashlib.md5(body).hexdigest()
    query = '&'.join(f'{name}={params[name]}' for name in sorted(params))
    signature = sign(f'{method}\n{path}\n{query}')
    return fetch(weft, method, f'{path}?{query}&auth_signature={signature}', body)[0]


def publish(weft, channel, **more):
    event = {'name': 'e', 'channel': channel, 'data': 'd', **more}
    return api(weft, 'POST', '/apps/3/events', json.dumps(event).encode())


class Client:
    """A WebSocket of the app 3."""

    def __init__(self, raw, key=KEY, protocol=7):
        self.raw = raw
        self.raw.open(f'/app/{key}?protocol={protocol}&version=8.0')
        first = self.take()
        self.id = json.loads(first['data'])['socket_id'] if first['event'] == 'pusher:connection_established' else None

    def take(self):
        return json.loads(self.raw.message()[1])

    def ask(self, event, data, **more):
        """Says it, and that a pong is wanted; what comes before the pong."""
        for text in ({'event': event, 'data': data, **more}, {'event': 'pusher:ping', 'data': {}}):
            self.raw.send(frame(TEXT, json.dumps(text).encode()))
        came = []
        while not came or came[-1]['event'] != 'pusher:pong':
            came.append(self.take())
        return came[:-1]

    def join(self, channel, member=None, auth=None):
        data = json.dumps(member) if member else None
        signed = ':'.join([self.id, channel, *([data] if data else [])])
        asked = {'channel': channel, 'auth': auth or f'{KEY}:{sign(signed)}'}
        return self.ask('pusher:subscribe', {**asked, 'channel_data': data} if data else asked)

    def sign_in(self, user):
        data = json.dumps({'id': user})
        return self.ask('pusher:signin', {'user_data': data, 'auth': f'{KEY}:{sign(f"{self.id}::user::{data}")}'})


class Metrics(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o777)  # a server started as root becomes nobody
        self.store, self.config = os.path.join(folder.name, 'store'), os.path.join(folder.name, 'ini')
        self.write(SHOP, OTHER)

    def write(self, *apps):
        with open(self.config, 'wb') as file:
            for app in apps:
                file.write(app.encode('latin-1' if app == OTHER else 'utf-8'))

    def weft(self, *args):
        return Weft('--config', self.config, '--quiet', '--threads', '2', '--drain', '50ms', '--close-timeout', '100ms',
                    *args)

    def reload(self, weft, *apps):
        """Its apps are these from now on."""
        self.write(*apps)
        weft.signal(signal.SIGHUP)
        ids = {re.search(r'^id = (\w+)$', app, re.M)[1] for app in apps}
        eventually(lambda: ids == {sample.labels['app'] for family in families(weft) for sample in family.samples
                                   if sample.name == 'weft_app_info'})

    def become(self, weft, prefix, wanted):
        """In a moment these are the figures of that prefix, but for bytes."""
        def now():
            return {k: v for k, v in figures(weft).items() if k[0].startswith(prefix) and not k[0].endswith('_bytes')}
        try:
            eventually(lambda: now() == wanted, 3)
        except AssertionError:
            self.assertEqual(now(), wanted)

    def test_the_page_is_what_the_documentation_says(self):
        with open(DOCS, encoding='utf-8') as file:
            text = file.read()
        rows = re.findall(r'^\| `(weft_\w+)` \| ([^|]*) \| (.*) \|$', text, re.M)
        said = {name: (labels.replace('`', ''), what) for name, labels, what in rows}
        with self.weft('--store', self.store) as weft:
            there, names = {}, set()
            for family in families(weft):
                samples = {sample.name for sample in family.samples}
                self.assertEqual(len(samples), 1, family)
                self.assertTrue(family.documentation.endswith('.') and family.documentation[0].isupper(), family)
                name = samples.pop()
                self.assertEqual(family.type, 'counter' if name.endswith('_total') else 'gauge')
                self.assertNotIn(name, there)  # all of one name stand together
                labels = {', '.join(sample.labels) for sample in family.samples}
                self.assertEqual(len(labels), 1)
                there[name] = (labels.pop(), family.documentation)
                names |= {sample.labels['name'] for sample in family.samples if name == 'weft_app_info'}
        self.assertEqual(said, there)
        self.assertEqual(names, {ODD, '? in Latin 1'})
        alerts = ''.join(re.findall(r'^```yaml\n(.*?)^```$', text, re.M | re.S))
        asked = re.findall(r'weft_\w+', alerts)
        self.assertTrue(asked and set(asked) <= set(there), set(asked) - set(there))

    def test_what_happens_in_an_app_is_counted_once(self):
        with self.weft() as weft, contextlib.ExitStack() as stack:
            def raw():
                return stack.enter_context(weft.raw())
            anna, otto = Client(raw()), Client(raw())
            self.assertEqual(anna.join('presence-p', {'user_id': '1'})[0]['channel'], 'presence-p')
            for client in (anna, otto):
                client.join('private-x')
            self.assertEqual(anna.sign_in('anna')[0]['event'], 'pusher:signin_success')
            self.assertEqual(otto.join('private-y', auth='key:00')[0]['data']['type'], 'AuthError')
            self.assertEqual(otto.join('no channel')[0]['data']['type'], 'InvalidChannel')
            anna.ask('client-e', 'said', channel='private-x')
            otto.ask('client-e', 'said', channel='private-z')  # he is not in it: 4301
            self.assertEqual(publish(weft, 'private-x', socket_id=anna.id), 200)  # to one of two
            self.assertEqual(publish(weft, 'presence-p', socket_id=otto.id), 200)  # who is not in it
            self.assertEqual([publish(weft, channel) for channel in ('kept', 'cache-c')], [200, 200])  # nobody is there
            self.assertEqual(api(weft, 'GET', '/apps/3/no'), 404)
            self.assertEqual(api(weft, 'GET', '/apps/3/channels', key='wrong'), 401)
            self.assertIsNone(Client(raw(), protocol=3).id)
            self.assertIsNone(Client(raw(), key='none').id)
            for number, how in enumerate(('xhr_streaming', 'xhr')):
                client = raw()
                request(client, 'POST', f'/pusher/app/{KEY}/{number}/abcdefgh/{how}?protocol=7&version=8.0')
                self.assertEqual(client.first_line(), b'HTTP/1.1 200 OK')
            wanted = {
                ('app_connections', 'websocket'): 2, ('app_connections', 'xhr_streaming'): 1,
                ('app_connections', 'xhr_polling'): 1, ('app_channels',): 2, ('app_subscriptions',): 3,
                ('app_members',): 1, ('app_users',): 1}
            stays = {
                ('app_info', ODD): 1, ('app_cached_events',): 1, ('app_history_messages',): 1,
                ('app_client_events_total',): 1, ('app_published_total',): 4, ('app_deliveries_total',): 3,
                ('app_api_answers_total', '2xx'): 4, ('app_api_answers_total', '4xx'): 2,
                ('app_denied_total', 'AuthError'): 1, ('app_denied_total', 'InvalidChannel'): 1,
                ('app_refused_total', '4301'): 1, ('app_refused_total', '4007'): 1, ('app_unknown_total', '4001'): 1}
            self.become(weft, 'app_', wanted | stays)
            self.reload(weft, SHOP)  # who is there stays, and what was counted too
            self.become(weft, 'app_', wanted | stays)
            self.reload(weft, OTHER)
            self.reload(weft, SHOP, OTHER)
            self.become(weft, 'app_', stays | {('app_refused_total', '4001'): 4})  # all were sent away

    def test_rooms_are_counted_by_how_their_members_hear(self):
        with self.weft() as weft:
            with weft.raw() as raw, weft.raw() as recovers, weft.raw() as stream, weft.raw() as poll:
                raw.open('/rooms/a')
                recovers.open('/rooms/a?recover=')
                recovers.message()
                stream.send(b'GET /rooms/b HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n')
                self.assertEqual(fetch(weft, 'POST', '/rooms/a', b'1234')[0], 204)
                place = json.loads(fetch(weft, 'GET', '/rooms/c/history')[2])['next']
                request(poll, 'GET', f'/rooms/c?poll={place}')
                wanted = {('rooms',): 3, ('room_messages_total',): 1, ('room_history_messages',): 1,
                          **{('room_members', how): 1 for how in ('websocket', 'websocket_recover', 'sse', 'poll')}}
                self.become(weft, 'room', wanted)
            self.become(weft, 'room', {('room_messages_total',): 1, ('room_history_messages',): 1})


if __name__ == '__main__':
    main()

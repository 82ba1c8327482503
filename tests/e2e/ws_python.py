#!/usr/bin/python3
"""Two WebSocket clients in Python that are not ours, the libraries websockets and autobahn, against the program: every
case is played with each.

    WEFT_BIN=/path/to/weft ws_python.py
"""

import asyncio
import functools
import json
import logging
import os
import sys
import unittest
import urllib.error
import urllib.request

sys.dont_write_bytecode = True

import websockets  # noqa: E402
from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol  # noqa: E402
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateResponse  # noqa: E402
from autobahn.websocket.compress import PerMessageDeflateResponseAccept  # noqa: E402
from weft import PATIENCE_S, Weft, eventually, main  # noqa: E402


class Refused(Exception):
    """The handshake was answered with this HTTP status or status line."""


async def soon(what):
    return await asyncio.wait_for(what, 3 * PATIENCE_S)


class Websockets:
    """The library `websockets`."""

    @classmethod
    async def open(cls, url, origin=None, protocols=None, headers=None, deflate=False):
        try:
            self = cls()
            self.it = await soon(websockets.connect(
                url, origin=origin, subprotocols=protocols, extra_headers=headers, max_size=None,
                compression='deflate' if deflate else None, ping_interval=None, close_timeout=PATIENCE_S))
            return self
        except websockets.InvalidStatusCode as error:
            raise Refused(error.status_code) from error

    async def send(self, data):
        await soon(self.it.send(data))

    async def send_fragments(self, pieces):
        async def one_by_one():
            for piece in pieces:
                yield piece
        await soon(self.it.send(one_by_one()))

    async def receive(self):
        return await soon(self.it.recv())

    async def ping(self, payload):
        await soon(await self.it.ping(payload))

    async def close(self, code, reason):
        await soon(self.it.close(code, reason))
        return await self.closed()

    async def closed(self):
        await soon(self.it.wait_closed())
        return self.it.close_code, self.it.close_reason

    def agreed(self):
        return self.it.subprotocol, [one.name for one in self.it.extensions]


def accept_deflate(response):
    return PerMessageDeflateResponseAccept(response) if isinstance(response, PerMessageDeflateResponse) else None


class AutobahnProtocol(WebSocketClientProtocol):
    def __init__(self):
        super().__init__()
        self.open_or_not = asyncio.get_running_loop().create_future()
        self.over = asyncio.get_running_loop().create_future()
        self.messages, self.pongs = asyncio.Queue(), asyncio.Queue()
        self.agreed = None

    def onConnect(self, response):
        self.agreed = response.protocol, [str(one) for one in response.extensions]

    def onOpen(self):
        self.open_or_not.set_result(None)

    def onMessage(self, payload, isBinary):
        self.messages.put_nowait(payload if isBinary else payload.decode())

    def onPong(self, payload):
        self.pongs.put_nowait(payload)

    def onClose(self, wasClean, code, reason):
        if not self.open_or_not.done():
            self.open_or_not.set_exception(Refused(self.http_status_line))
        self.over.set_result((wasClean, code))


class Autobahn:
    """The library `autobahn`, on asyncio."""

    @classmethod
    async def open(cls, url, origin=None, protocols=None, headers=None, deflate=False):
        factory = WebSocketClientFactory(url, origin=origin, protocols=protocols, headers=headers)
        factory.protocol = AutobahnProtocol
        factory.setProtocolOptions(openHandshakeTimeout=PATIENCE_S, closeHandshakeTimeout=PATIENCE_S,
                                   autoPingInterval=0,
                                   perMessageCompressionOffers=[PerMessageDeflateOffer()] if deflate else [],
                                   perMessageCompressionAccept=accept_deflate)
        self = cls()
        _, self.it = await soon(asyncio.get_running_loop().create_connection(factory, factory.host, factory.port))
        await soon(self.it.open_or_not)
        return self

    async def send(self, data):
        binary = isinstance(data, bytes)
        self.it.sendMessage(data if binary else data.encode(), binary)

    async def send_fragments(self, pieces):
        binary = isinstance(pieces[0], bytes)
        self.it.beginMessage(binary)
        for piece in pieces:
            self.it.sendMessageFrame(piece if binary else piece.encode())
        self.it.endMessage()

    async def receive(self):
        return await soon(self.it.messages.get())

    async def ping(self, payload):
        self.it.sendPing(payload)
        answer = await soon(self.it.pongs.get())
        if answer != payload:
            raise AssertionError(f'the pong says {answer!r}')

    async def close(self, code, reason):
        self.it.sendClose(code, reason)
        return await self.closed()

    async def closed(self):
        clean, code = await soon(self.it.over)
        return self.it.remoteCloseCode if clean else code, self.it.remoteCloseReason or ''

    def agreed(self):
        return self.it.agreed


def with_server(*flags):
    """Gives the test a server of its own."""
    def decorate(test):
        @functools.wraps(test)
        async def with_its_server(self):
            with Weft(*flags) as self.server:
                await test(self)
        return with_its_server
    return decorate


class Essentials:
    """What every client needs. `library` is one of the classes above."""

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # unittest turns it on, and it costs twenty times the rest

    async def open(self, path='/echo', **how):
        return await self.library.open(self.server.ws + path, **how)

    def fetch(self, path, body=None, **headers):
        asked = urllib.request.Request(self.server.url + path, data=body, headers=headers)
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            return answer.read()

    @with_server('--message-max', '16M', '--queue-max', '64M')
    async def test_echo(self):
        client = await self.open()
        for message in ('hello', '', b'', b'\0\xff' * 100, 'κόσμε 🧵', 'x' * 125, 'x' * 126, b'y' * 65535,
                        b'y' * 65536, os.urandom(10 << 20), 'ж' * (5 << 20)):
            await client.send(message)
            self.assertEqual(await client.receive(), message)
        self.assertEqual(await client.close(1000, ''), (1000, ''))

    @with_server()
    async def test_fragments(self):
        client = await self.open()
        await client.send_fragments(['one ', 'two ', 'three'])
        self.assertEqual(await client.receive(), 'one two three')
        await client.send_fragments([b'\xff', b'', b'\xfe' * 300])
        self.assertEqual(await client.receive(), b'\xff' + b'\xfe' * 300)

    @with_server()
    async def test_ping(self):
        client = await self.open()
        for payload in (b'p', b'longest'.ljust(125, b'.')):
            await client.ping(payload)

    @with_server('--ping-interval', '200ms', '--ping-timeout', '600ms')
    async def test_the_library_answers_our_heartbeat(self):
        client = await self.open()
        await asyncio.sleep(1.2)
        await client.send('still here')
        self.assertEqual(await client.receive(), 'still here')

    @with_server()
    async def test_close_codes_from_the_client(self):
        for code, reason in ((1000, ''), (1000, 'bye'), (3000, 'three'), (4999, 'ß' * 61)):
            client = await self.open()
            self.assertEqual((await client.close(code, reason))[0], code)
        metrics = self.fetch('/metrics').decode()
        for line in ('code="1000"} 2', 'code="3xxx"} 1', 'code="4xxx"} 1'):
            self.assertIn(line, metrics)

    @with_server('--drain', '100ms')
    async def test_going_away(self):
        client = await self.open()
        self.server.signal(15)
        code, reason = await client.closed()
        self.assertEqual((code, reason), (1001, 'server is going away'))
        self.assertEqual(self.server.wait(), 0)

    @with_server('--message-max', '1k')
    async def test_too_long(self):
        client = await self.open()
        await client.send(b'x' * 1024)
        self.assertEqual(await client.receive(), b'x' * 1024)
        await client.send(b'x' * 1025)
        self.assertEqual((await client.closed())[0], 1009)

    @with_server()
    async def test_rooms(self):
        ann, bob, eve = await self.open('/rooms/a'), await self.open('/rooms/a?echo=1'), await self.open('/rooms/b')
        await ann.send('from ann')
        self.assertEqual(await bob.receive(), 'from ann')
        await bob.send(b'\0from bob')
        self.assertEqual([await ann.receive(), await bob.receive()], [b'\0from bob'] * 2)
        self.fetch('/rooms/b', 'für b'.encode())
        self.assertEqual(await eve.receive(), 'für b')
        self.fetch('/rooms/b', b'text, but', **{'Content-Type': 'application/octet-stream'})
        self.assertEqual(await eve.receive(), b'text, but')
        rooms = {room['name']: room for room in json.loads(self.fetch('/rooms'))['rooms']}
        self.assertEqual(rooms, {'a': {'name': 'a', 'members': 2, 'messages': 2},
                                 'b': {'name': 'b', 'members': 1, 'messages': 2}})
        for client in (ann, bob, eve):
            await client.close(1000, '')
        eventually(lambda: all(room['members'] == 0 for room in json.loads(self.fetch('/rooms'))['rooms']))

    @with_server('--history', '5', '--threads', '1')
    async def test_replay(self):
        for n in range(8):
            self.fetch('/rooms/past', str(n).encode())
        for last, expected in (('0', ''), ('1', '7'), ('3', '567'), ('5', '34567'), ('99999999999', '34567')):
            client = await self.open(f'/rooms/past?last={last}&echo=1')
            await client.send('now')
            got = [await client.receive() for _ in range(len(expected) + 1)]
            self.assertEqual(got, [*expected, 'now'])
            await client.close(1000, '')
            for n in range(3, 8):
                self.fetch('/rooms/past', str(n).encode())
        for bad in ('x', '-1', '', '1x'):
            with self.assertRaisesRegex(Refused, '400'):
                await self.open(f'/rooms/past?last={bad}')

    @with_server('--token', 'secret')
    async def test_token(self):
        for path in ('/rooms/a', '/rooms/a?token=', '/rooms/a?token=secre', '/rooms/a?token=secretsecret'):
            with self.assertRaisesRegex(Refused, '401'):
                await self.open(path)
        ann = await self.open('/rooms/a?token=secret')
        bob = await self.open('/rooms/a', headers={'Authorization': 'Bearer secret'})
        await ann.send('we know it')
        self.assertEqual(await bob.receive(), 'we know it')
        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.fetch('/rooms/a', b'without')
        self.assertEqual(refused.exception.code, 401)
        refused.exception.close()

    @with_server('--origin', 'https://friend.example')
    async def test_origin(self):
        for good in (None, self.server.url, 'https://friend.example', 'https://friend.example:443'):
            client = await self.open(origin=good)
            await client.close(1000, '')
        for bad in ('https://foe.example', 'http://friend.example', 'null', 'https://friend.example.foe.example',
                    f'http://{self.server.host}:{self.server.port + 1}'):
            with self.assertRaisesRegex(Refused, '403'):
                await self.open(origin=bad)

    @with_server('--deflate', 'off')
    async def test_what_is_offered_and_not_known_is_not_picked(self):
        client = await self.open(protocols=['chat', 'superchat'], deflate=True)
        self.assertEqual(client.agreed(), (None, []))
        await client.send('a' * 1000)
        self.assertEqual(await client.receive(), 'a' * 1000)

    @with_server('--deflate', 'dedicated')
    async def test_compression(self):
        client = await self.open(deflate=True)
        self.assertEqual(len(client.agreed()[1]), 1)
        for message in ['', 'a', 'words ' * 1000, bytes(50000), os.urandom(3000), *(f'message {i} ' * i for i in range(50))]:
            await client.send(message)
            self.assertEqual(await client.receive(), message)

    async def test_restart(self):
        with Weft('--drain', '0') as first:
            self.server = first
            client = await self.open()
            first.signal(15)
            self.assertEqual((await client.closed())[0], 1001)
            self.assertEqual(first.wait(), 0)
        with Weft(listen=f'127.0.0.1:{first.port}') as self.server:
            client = await self.open()
            await client.send('again')
            self.assertEqual(await client.receive(), 'again')

    @with_server('--threads', '2')
    async def test_a_crowd(self):
        """All see all messages of one room, once, in one order."""
        crowd = await asyncio.gather(*(self.open('/rooms/crowd?echo=1') for _ in range(40)))
        await asyncio.gather(*(client.send(f'{n}:{i}') for n, client in enumerate(crowd) for i in range(5)))
        heard = [[await client.receive() for _ in range(200)] for client in crowd]
        self.assertEqual(len(set(heard[0])), 200)
        self.assertTrue(all(other == heard[0] for other in heard))
        for n in range(40):
            self.assertEqual([said for said in heard[0] if said.startswith(f'{n}:')], [f'{n}:{i}' for i in range(5)])


class WithWebsockets(Essentials, unittest.IsolatedAsyncioTestCase):
    library = Websockets


class WithAutobahn(Essentials, unittest.IsolatedAsyncioTestCase):
    library = Autobahn


if __name__ == '__main__':
    logging.disable(logging.WARNING)  # autobahn announces every refusal
    main()

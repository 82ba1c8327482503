#!/usr/bin/python3
"""Our client against a server nobody here wrote: the library websockets for Python, over TCP and over a unix socket.

    TALKER=/path/to/talker client_python.py
"""

import asyncio
import http
import os
import tempfile
import unittest

import websockets

PATIENCE_S = 20
ALL = ['pong measured', 'all came back', "closed 4321 'thank you' clean"]


async def messages(socket):
    """Until it closes, with whatever code."""
    try:
        async for message in socket:
            yield message
    except websockets.ConnectionClosedError:
        pass


async def echo(socket, path=None):
    async for message in messages(socket):
        await socket.send(message)


async def in_pieces(socket, path=None):
    """Echoes in fragments of odd lengths."""
    async for message in messages(socket):
        step = len(message) // 3 + 1
        pieces = [message[at:at + step] for at in range(0, len(message), step)]
        await socket.send(pieces or message)


def local_names():
    """What /etc/hosts calls 127.0.0.1 and ::1."""
    with open('/etc/hosts') as lines:
        fields = [line.split('#')[0].split() for line in lines]
    return [(each[0], name) for each in fields for name in each[1:] if each[0] in ('127.0.0.1', '::1')]


async def talker(url, *args, **environment):
    process = await asyncio.create_subprocess_exec(os.environ['TALKER'], url, *args, stdout=asyncio.subprocess.PIPE,
                                                   env={**os.environ, **environment})
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return [line.rstrip() for line in out.decode().splitlines()]


class Client(unittest.IsolatedAsyncioTestCase):
    async def talk(self, handler, *args, **options):
        async with websockets.serve(handler, '127.0.0.1', 0, **options) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            return await talker(f'ws://127.0.0.1:{port}/', *args)

    async def test_plain(self):
        self.assertEqual(await self.talk(echo, compression=None), ['open plain', *ALL])

    async def test_compressed(self):
        for mode in 'no-takeover', 'shared', 'dedicated':
            with self.subTest(mode):
                self.assertEqual(await self.talk(echo, mode), ['open deflate', *ALL])

    async def test_fragments(self):
        for mode in 'off', 'shared':
            with self.subTest(mode):
                self.assertEqual((await self.talk(in_pieces, mode))[1:], ALL)

    async def test_subprotocol(self):
        lines = await self.talk(echo, 'off', 'a', 'b', subprotocols=['b'])
        self.assertEqual(lines, ['open plain b', *ALL])

    async def test_by_name(self):
        known = [(address, name) for address, name in local_names() if name != 'localhost']  # which needs no asking
        if not known:
            self.skipTest('this host has no second name for its loopback')
        address, name = known[0]
        async with websockets.serve(echo, address, 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            self.assertEqual((await talker(f'ws://{name}:{port}/'))[1:], ALL)

    async def test_name_of_nobody(self):
        lines = await talker('ws://no-such-host.invalid/')
        self.assertEqual(len(lines), 1)
        self.assertTrue(lines[0].startswith('failed cannot find no-such-host.invalid: '), lines)

    async def test_password(self):
        protocol = websockets.basic_auth_protocol_factory(realm='r', credentials=('me', 'a:b c'))
        async with websockets.serve(echo, '127.0.0.1', 0, create_protocol=protocol) as server:
            url = f'ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/'
            self.assertEqual((await talker(url, USER_PASSWORD='me:a:b c'))[1:], ALL)
            self.assertEqual(await talker(url, USER_PASSWORD='me:a:b'), ['failed answered 401 Unauthorized'])
            self.assertEqual(await talker(url), ['failed answered 401 Unauthorized'])

    async def test_redirects(self):
        async def elsewhere(path, headers):
            hops = int(path.rsplit('/', 1)[1])
            return (http.HTTPStatus.FOUND, {'Location': f'../b/{hops - 1}'}, b'') if hops else None
        async with websockets.serve(echo, '127.0.0.1', 0, process_request=elsewhere) as server:
            url = f'ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/a/3'
            self.assertEqual((await talker(url, REDIRECTS='3'))[1:], ALL)
            self.assertEqual(await talker(url, REDIRECTS='2'), ['failed answered 302 Found'])
            self.assertEqual(await talker(url), ['failed answered 302 Found'])

    async def test_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'socket')
            async with websockets.unix_serve(echo, path):
                self.assertEqual(await talker(f'ws+unix:{path}:/chat', 'off'), ['open plain', *ALL])
            self.assertEqual(await talker(f'ws+unix:{path}:/chat'),
                             [f'failed cannot connect to unix:{path}: Connection refused'])


if __name__ == '__main__':
    unittest.main()

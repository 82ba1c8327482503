#!/usr/bin/python3
"""Our clients against servers nobody here wrote: `weft connect`, the library (the talker) and `weft bench`, each
against each server with and without TLS and compression. Most servers echo, and know two words: "close CODE REASON"
closes so, and "heard? CODE REASON" answers whether somebody else did.

    WEFT_BIN=/path/to/weft TALKER=/path/to/talker servers.py
"""

import asyncio
import concurrent.futures
import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import websockets

sys.dont_write_bytecode = True

from authority import Authority  # noqa: E402
from weft import PATIENCE_S, Weft, eventually, main, program  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = ['plain', 'plain, compressed', 'TLS', 'TLS, compressed']
LINES = ['hello', '', ' two  spaces ', 'κόσμε', '\u007f\u0080\u07ff\u0800\ud7ff\ue000\ufffd\uffff',
         '\U00010000\U0010ffff', '\0\x01\x1b[31m', '"\\', 'x' * 125, 'x' * 126, 'x' * 65535, 'x' * 65536,
         'ж' * (1 << 19)]
TEXTS = ''.join(line + '\n' for line in LINES).encode()
BINARY = [b'', b'\0', b'\xff\xfe\x80', bytes(range(256)) * 400, os.urandom(1 << 20).replace(b'====', b'=-=-')]
MARK = '===='  # parts the binary messages


class Server:
    """One address of one server: what it is called, what it can do."""

    def __init__(self, name, port, kind, path='/', **can):
        self.name, self.compressed, self.secure = f'{name}, {kind}', 'compressed' in kind, 'TLS' in kind
        self.url = f'{"wss" if self.secure else "ws"}://localhost:{port}{path}'
        self.can = {'words': True, 'protocol': 'chat', 'whole': True, 'mirrors': False, **can}


@contextlib.contextmanager
def process(*command, **how):
    """A server in a process of its own, which prints its ports; the end of its input ends it."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HERE, **how) as running:
        try:
            yield json.loads(running.stdout.readline())
        finally:
            running.kill()


@contextlib.contextmanager
def pythons(pair):
    """Servers of websockets for Python, on a thread; gives their ports."""
    loop, ready, ports, closes = asyncio.new_event_loop(), threading.Event(), {}, set()

    async def meet(client, path=None):
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in client:
                words = message.split() if isinstance(message, str) and len(message) < 100 else []
                if words[:1] == ['close']:
                    await client.close(int(words[1]), words[2])
                elif words[:1] == ['heard?']:
                    await client.send(f'{" ".join(words[1:]) in closes}'.lower())
                else:
                    await client.send(message)
        closes.add(f'{client.close_code} {client.close_reason}')

    async def serve():
        ready.over = asyncio.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        async with contextlib.AsyncExitStack() as stack:
            for kind in KINDS:
                server = await stack.enter_async_context(websockets.serve(
                    meet, '127.0.0.1', 0, ssl=context if 'TLS' in kind else None, max_size=None, subprotocols=['chat'],
                    compression='deflate' if 'compressed' in kind else None))
                ports[kind] = server.sockets[0].getsockname()[1]
            ready.set()
            await ready.over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()], daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield ports
    finally:
        loop.call_soon_threadsafe(ready.over.set)
        thread.join(PATIENCE_S)


def free_ports(count):
    with contextlib.ExitStack() as stack:
        return [stack.enter_context(socket.create_server(('127.0.0.1', 0))).getsockname()[1] for _ in range(count)]


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 1):
        return True
    return False


NGINX = """daemon off;
worker_processes 1;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    {temp}
    server_tokens off;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    {servers}
}}
"""
NGINX_SERVER = """server {{
        listen 127.0.0.1:{port}{ssl};
        location / {{
            proxy_pass {upstream};
            proxy_ssl_verify off;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_set_header Host $http_host;
            proxy_buffering off;
        }}
    }}
    """


@contextlib.contextmanager
def nginx(folder, pair, upstreams):
    """nginx, with a port for each of the upstreams, some with TLS: [(URL, whether)]. Gives the ports."""
    ports, folder = free_ports(len(upstreams)), f'{folder}/nginx'
    os.mkdir(folder)
    kinds = 'client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'
    temp = ' '.join(f'{kind}_temp_path {folder}/{kind};' for kind in kinds)
    servers = ''.join(NGINX_SERVER.format(port=port, ssl=' ssl' if secure else '', upstream=upstream)
                      for port, (upstream, secure) in zip(ports, upstreams))
    with open(f'{folder}/conf', 'w') as file:
        file.write(NGINX.format(folder=folder, temp=temp, servers=servers, cert=pair[0], key=pair[1]))
    binary = shutil.which('nginx') or '/usr/sbin/nginx'
    with subprocess.Popen([binary, '-p', folder, '-c', f'{folder}/conf', '-e', f'{folder}/error.log'],
                          stdin=subprocess.DEVNULL) as running:
        try:
            eventually(lambda: all(answers(port) for port in ports))
            yield ports
        finally:
            running.terminate()


@contextlib.contextmanager
def lws(folder, pair, secure):
    """The test server of libwebsockets: what one sends to its mirror goes to all, back to oneself, too."""
    port, = free_ports(1)
    flags = ['--ssl', '--ssl-cert', pair[0], '--ssl-key', pair[1]] if secure else []
    with open(f'{folder}/lws.log', 'w') as log:
        with subprocess.Popen(['libwebsockets-test-server', f'--port={port}', *flags], stdin=subprocess.DEVNULL,
                              stdout=log, stderr=log) as running:
            try:
                eventually(lambda: answers(port))
                yield port
            finally:
                running.kill()


def all_servers(stack, folder, pair):
    servers = []
    for name, ports in [('node ws', process('node', 'echo_ws.mjs', *pair)), ('python', pythons(pair)),
                        ('Bun', process(f'{HERE}/node_modules/.bin/bun', 'echo_bun.mjs', *pair))]:
        ports = stack.enter_context(ports)
        servers += [Server(name, ports[kind], kind) for kind in KINDS]
        if name == 'node ws':
            node = ports
    weft = stack.enter_context(Weft('--message-max', '4M', '--queue-max', '16M'))
    behind = [(f'{"https" if "TLS" in kind else "http"}://127.0.0.1:{node[kind]}', 'TLS' in kind) for kind in KINDS]
    ports = stack.enter_context(nginx(folder, pair, [*behind, (weft.url, False), (weft.url, True)]))
    servers += [Server('nginx, node ws', port, kind) for port, kind in zip(ports, KINDS)]
    servers += [Server('nginx, weft serve', port, kind, '/echo', words=False, protocol=None)
                for port, kind in zip(ports[4:], ['plain, compressed', 'TLS, compressed'])]
    for kind in 'plain', 'TLS':
        port = stack.enter_context(lws(folder, pair, kind == 'TLS'))
        servers.append(Server('libwebsockets', port, kind, words=False, whole=False, mirrors=True,
                              protocol='lws-mirror-protocol'))
    return servers


class Servers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        stack = cls.enterClassContext(contextlib.ExitStack())
        cls.ca = Authority(folder)
        cls.servers = all_servers(stack, folder, cls.ca.sign('local', 'DNS:localhost'))
        cls.pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(6))

    def with_each(self, play, can='whole'):
        played = [(server, self.pool.submit(play, server)) for server in self.servers if server.can[can]]
        for server, result in played:
            with self.subTest(server.name):
                result.result()

    def connect(self, server, *flags, feed=b''):
        protocol = ['-s', server.can['protocol']] if server.can['protocol'] else []
        secure = ['--cacert', self.ca.cert] if server.secure else []
        started = time.monotonic()
        done = subprocess.run([program(), 'connect', server.url, *secure, *protocol, *flags], input=feed,
                              capture_output=True, timeout=2 * PATIENCE_S)
        self.assertLess(time.monotonic() - started, 4, 'it is over when both have closed, not at a deadline')
        return done.returncode, done.stdout, done.stderr.decode()

    def test_text(self):
        def play(server):
            code, out, err = self.connect(server, '-v', '--expect', str(len(LINES)), feed=TEXTS)
            self.assertEqual(code, 0, err)
            self.assertTrue(out == TEXTS, out[:200])
            self.assertEqual('compressed' in err, server.compressed, err)
            if server.can['protocol']:
                self.assertIn(f'subprotocol {server.can["protocol"]}', err)
        self.with_each(play)

    def test_binary(self):
        def play(server):
            feed = b''.join(message + MARK.encode() for message in BINARY)
            code, out, err = self.connect(server, '-b', '--separator', MARK, '--expect', str(len(BINARY)), feed=feed)
            self.assertEqual((code, err), (0, ''))
            self.assertTrue(out == feed, out[:200])
        self.with_each(play)

    def test_closes(self):
        def play(server):
            reason = f'bye_{self.servers.index(server)}'
            heard = f'heard? 4321 {reason}\n'.encode()
            self.assertEqual(self.connect(server, '-1', feed=heard), (0, b'false\n', ''))
            code, out, err = self.connect(server, '--close-code', '4321', '--close-reason', reason, '-E')
            self.assertEqual((code, out, err), (0, b'', ''))
            eventually(lambda: self.connect(server, '-1', feed=heard) == (0, b'true\n', ''))
            for word, expected in ('1000 done', 0), ('1011 broken', 66), ('3000 three', 67), ('4999 bye', 67):
                code, out, err = self.connect(server, feed=f'close {word}\n'.encode())
                self.assertEqual((code, out), (expected, b''))
                self.assertEqual(err, f'weft: closed with {word.replace(" ", ": ")}\n' if expected else '')
        self.with_each(play, 'words')

    def test_the_library(self):
        def play(server):
            for mode in ['dedicated', 'shared'] if server.compressed else ['off']:
                done = subprocess.run([os.environ['TALKER'], server.url, mode], capture_output=True,
                                      timeout=2 * PATIENCE_S, env={**os.environ, 'CACERT': self.ca.cert})
                lines = [line.rstrip() for line in done.stdout.decode().splitlines()]
                self.assertEqual(lines[:3], [f'open {"deflate" if server.compressed else "plain"}', 'pong measured',
                                             'all came back'])
                self.assertRegex(lines[3], "closed 4321 '(thank you)?' clean")
        self.with_each(play)

    def test_bench(self):
        def play(server):
            secure = ['--cacert', self.ca.cert] if server.secure else []
            deflate = ['--deflate'] if server.compressed else []
            done = subprocess.run([program(), 'bench', server.url, *secure, *deflate, '-c', '4', '-n', '400', '--rate',
                                   '0', '-i', '4', '--warmup', '0', '--size', '16..4096', '-q', '--json'],
                                  capture_output=True, timeout=2 * PATIENCE_S)
            self.assertIn(done.returncode, (0, 70), done.stderr)  # 70: well, on a busy machine
            report = json.loads(done.stdout)
            self.assertEqual((report['totals']['done'], report['errors']['total']), (400, 0), report['errors'])
            self.assertEqual(report['run']['deflate_agreed'], server.compressed)
        self.with_each(play)

    def test_libwebsockets(self):
        """Its mirror makes messages of the pieces it reads, all text; the other counts, as fast as it can."""
        def play(server):
            feed = ''.join(line + '\n' for line in LINES if 0 < len(line) < 200).encode()
            self.assertEqual(self.connect(server, feed=feed), (0, feed, ''))
            server.can['protocol'] = 'dumb-increment-protocol'
            self.assertEqual(self.connect(server, '-U', '-1'), (0, b'0\n', ''))
        self.with_each(play, 'mirrors')


if __name__ == '__main__':
    main()

"""wss: the program against clients and servers that are not ours, certificates good and bad, and reloads.

The certificates are made by `openssl`; the peers are openssl's own client, python's `ssl` and `websockets`, curl, and node
servers of `ws` for our client.
"""

import asyncio
import base64
import contextlib
import hashlib
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import unittest.mock

import websockets

from authority import Authority, openssl
from weft import Weft, eventually, main, run

TALKER = os.environ['TALKER']
BENCH = ['-c', '1', '-n', '5', '--warmup', '0', '--rate', '0', '-q']
DONE = ['pong measured', 'all came back', "closed 4321 'thank you' clean"]


def setUpModule():
    global folder, ca, other_ca, local, rsa, wild, stale
    folder = tempfile.TemporaryDirectory()
    ca, other_ca = Authority(folder.name), Authority(folder.name, 'other')
    local = ca.sign('local', 'DNS:localhost,IP:127.0.0.1')
    rsa = ca.sign('rsa', 'DNS:rsa.example', key_type='rsa2048')
    wild = ca.sign('wild', 'DNS:*.example.org')
    stale = ca.sign('stale', 'DNS:localhost,IP:127.0.0.1', times=('20200101000000Z', '20200102000000Z'))


def tearDownModule():
    folder.cleanup()


def flags(*pairs):
    return [word for cert, key in pairs for word in ('--tls-cert', cert, '--tls-key', key)]


class SecureWeft(Weft):
    """A running server that speaks TLS."""

    def __init__(self, *args, pairs=None):
        super().__init__(*flags(*(pairs or [local])), *args)
        found = re.fullmatch(r'https://(.*):(\d+)', self.url)
        self.host, self.port = found[1], int(found[2])
        self.wss = self.url.replace('https://', 'wss://')

    def peer(self, server_name='localhost', **settings):
        """A connection of python's ssl, the handshake done."""
        context = ssl.create_default_context(cafile=ca.cert)
        for name, value in settings.items():
            setattr(context, name, value)
        return context.wrap_socket(socket.create_connection((self.host, self.port), 10), server_hostname=server_name)

    def s_client(self, *args, text=b''):
        done = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{self.port}', '-CAfile', ca.cert, *args],
                              input=text, capture_output=True, timeout=20)
        return done.returncode, done.stdout.decode('utf-8', 'replace') + done.stderr.decode('utf-8', 'replace')


def healthy(peer):
    peer.sendall(b'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')
    return peer.recv(1000).startswith(b'HTTP/1.1 200 ')


class Server(unittest.TestCase):
    def test_websockets_for_python(self):
        async def talk(uri, context):
            async with websockets.connect(uri, ssl=context, max_size=None) as client:
                for message in ['hello', 'ü' * 100000, os.urandom(3000000), b'']:
                    await client.send(message)
                    assert await asyncio.wait_for(client.recv(), 20) == message
                many = [f'{i}' * 40 for i in range(2000)]
                for message in many:
                    await client.send(message)
                assert [await client.recv() for _ in many] == many
            assert client.close_code == 1000

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version), SecureWeft('--message-max', '4M', '--queue-max', '16M') as weft:
                context = ssl.create_default_context(cafile=ca.cert)
                context.minimum_version = context.maximum_version = version
                asyncio.run(talk(f'{weft.wss}/echo', context))

    def test_curl(self):
        with SecureWeft() as weft:
            done = subprocess.run(['curl', '-s', '--cacert', ca.cert, f'{weft.url}/healthz'], capture_output=True,
                                  timeout=20)
            self.assertEqual(done.stdout, b'ok\n')

    def test_what_is_negotiated(self):
        with SecureWeft() as weft:
            with weft.peer() as peer:
                self.assertEqual(peer.version(), 'TLSv1.3')
            for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
                code, text = weft.s_client(f'-tls1{"_1" if version == ssl.TLSVersion.TLSv1_1 else ""}', '-cipher',
                                           'ALL:@SECLEVEL=0')
                self.assertNotIn('Verify return code: 0 (ok)\n\n---\n', text)
                self.assertIn('alert protocol version', text)
            code, text = weft.s_client('-alpn', 'h3,http/1.1')
            self.assertIn('ALPN protocol: http/1.1', text)
            code, text = weft.s_client('-alpn', 'smtp')
            self.assertIn('no application protocol', text)
            code, text = weft.s_client('-tls1_2', '-cipher', 'AES128-SHA')  # no forward secrecy
            self.assertIn('handshake failure', text)

    def test_renegotiation_is_refused(self):
        with SecureWeft() as weft:
            _, text = weft.s_client('-tls1_2', '-legacy_renegotiation', text=b'R\n')
            self.assertRegex(text, 'no renegotiation|unexpected message')

    def test_no_early_data(self):
        with SecureWeft() as weft:
            _, text = weft.s_client('-tls1_3', text=b'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')
            self.assertRegex(text, 'Max Early Data: 0|Early data was not sent')
            self.assertNotRegex(text, 'Max Early Data: [1-9]')

    def test_the_name_decides_the_certificate(self):
        with SecureWeft(pairs=[local, rsa, wild]) as weft:
            for asked, got in [('localhost', 'localhost'), ('rsa.example', 'rsa.example'),
                               ('a.example.org', '*.example.org'), ('nobody', 'localhost'),
                               ('a.b.example.org', 'localhost')]:
                context = ssl.create_default_context(cafile=ca.cert)
                context.check_hostname = False
                with context.wrap_socket(socket.create_connection((weft.host, weft.port), 10),
                                         server_hostname=asked) as peer:
                    names = [name for _, name in peer.getpeercert()['subjectAltName']]
                    self.assertIn(got, names, asked)

    def test_sessions_go_on_with_a_ticket(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version), SecureWeft(pairs=[local, rsa]) as weft:
                context = ssl.create_default_context(cafile=ca.cert)
                context.maximum_version = version

                def meet(session, name='localhost'):
                    raw = socket.create_connection((weft.host, weft.port), 10)
                    with context.wrap_socket(raw, server_hostname=name, session=session) as peer:
                        self.assertTrue(healthy(peer))
                        return peer.session, peer.session_reused

                session, reused = meet(None)
                self.assertFalse(reused)
                session, reused = meet(session)
                self.assertTrue(reused)
                weft.signal(signal.SIGHUP)
                eventually(lambda: 'certificates loaded' in weft.stderr())
                self.assertTrue(meet(session)[1])
                self.assertFalse(meet(session, 'rsa.example')[1])  # one host's session is none of another's

    def test_a_client_certificate_is_required(self):
        cert, key = other_ca.sign('client', 'DNS:client')
        wrong_cert, wrong_key = ca.sign('wrong', 'DNS:client')
        with SecureWeft('--tls-client-ca', other_ca.cert) as weft:
            for pair, welcome in [(None, False), ((wrong_cert, wrong_key), False), ((cert, key), True)]:
                context = ssl.create_default_context(cafile=ca.cert)
                if pair:
                    context.load_cert_chain(*pair)
                raw = socket.create_connection((weft.host, weft.port), 10)
                try:
                    with context.wrap_socket(raw, server_hostname='localhost') as peer:
                        self.assertEqual(healthy(peer), welcome)
                except (ssl.SSLError, ConnectionError):
                    self.assertFalse(welcome)

    def test_sessions_end_with_what_let_them_in(self):
        """A reload may have taken an authority away: its clients come by their certificates again."""
        pair = other_ca.sign('member', 'DNS:member')
        with SecureWeft('--tls-client-ca', other_ca.cert) as weft:
            context = ssl.create_default_context(cafile=ca.cert)
            context.load_cert_chain(*pair)
            context.maximum_version = ssl.TLSVersion.TLSv1_2

            def meet(session):
                raw = socket.create_connection((weft.host, weft.port), 10)
                with context.wrap_socket(raw, server_hostname='localhost', session=session) as peer:
                    self.assertTrue(healthy(peer))
                    return peer.session, peer.session_reused

            session, _ = meet(None)
            self.assertTrue(meet(session)[1])
            weft.signal(signal.SIGHUP)
            eventually(lambda: 'certificates loaded' in weft.stderr())
            self.assertFalse(meet(session)[1])

    def test_what_is_no_tls_ends(self):
        with SecureWeft() as weft:
            for text in [b'GET / HTTP/1.1\r\nHost: a\r\n\r\n', b'\x16\x03\x01\xff\xff', b'\x00' * 100, os.urandom(3000)]:
                with socket.create_connection((weft.host, weft.port), 10) as peer:
                    peer.sendall(text)
                    while peer.recv(1000):
                        pass
            with weft.peer() as peer:
                self.assertTrue(healthy(peer))

    def test_silence_has_a_deadline(self):
        with SecureWeft('--handshake-timeout', '300ms') as weft:
            with socket.create_connection((weft.host, weft.port), 10) as peer:
                peer.sendall(b'\x16\x03\x01\x01\x00')
                self.assertEqual(peer.recv(1000), b'')

    def test_who_has_said_all_still_gets_all_answers(self):
        """Once what is left fits into what is sealed, the queue is empty and the kernel full."""
        ask = b'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
        context = ssl.create_default_context(cafile=ca.cert)
        with SecureWeft() as weft:
            for count in range(600, 1000, 20):
                with socket.socket() as sock:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    sock.settimeout(20)
                    sock.connect((weft.host, weft.port))
                    with context.wrap_socket(sock, server_hostname='localhost', suppress_ragged_eofs=False) as peer:
                        peer.sendall(ask * count)
                        time.sleep(0.2)
                        socket.socket.shutdown(peer, socket.SHUT_WR)  # FIN alone: python's own forgets TLS
                        time.sleep(0.1)
                        answers = b''.join(iter(lambda: peer.recv(65536), b''))
                        self.assertEqual(answers.count(b'HTTP/1.1 200 '), count)

    def test_who_is_refused_before_the_handshake_has_a_deadline_too(self):
        with SecureWeft('--connections', '1', '--handshake-timeout', '2s') as weft, weft.peer():
            silent = socket.create_connection((weft.host, weft.port), 10)
            with silent, weft.peer() as refused:
                self.assertTrue(refused.recv(1000).startswith(b'HTTP/1.1 503 '))
                self.assertEqual(silent.recv(1), b'')

    def test_plain_beside_it(self):
        with tempfile.TemporaryDirectory() as place:
            path = f'{place}/plain.sock'
            with SecureWeft('--listen-plain', f'unix:{path}'):
                done = subprocess.run(['curl', '-s', '--unix-socket', path, 'http://a/healthz'], capture_output=True,
                                      timeout=20)
                self.assertEqual(done.stdout, b'ok\n')

    def test_close_notify_ends_a_page(self):
        with SecureWeft() as weft, weft.peer(suppress_ragged_eofs=False) as peer:
            peer.sendall(b'GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
            text = b''
            while True:
                some = peer.recv(1000)  # raises when the end was not told
                if not some:
                    break
                text += some
            self.assertTrue(text.endswith(b'ok\n'))


class Reload(unittest.TestCase):
    def serial(self, weft):
        context = ssl.create_default_context(cafile=ca.cert)
        with context.wrap_socket(socket.create_connection((weft.host, weft.port), 10),
                                 server_hostname='localhost') as peer:
            return peer.getpeercert()['serialNumber']

    def setUp(self):
        self.cert, self.key = ca.sign('live', 'DNS:localhost')

    def renew(self):
        ca.sign('live', 'DNS:localhost')

    def test_a_changed_file_is_noticed(self):
        with SecureWeft(pairs=[(self.cert, self.key)]) as weft, weft.peer() as before:
            first = self.serial(weft)
            self.renew()
            eventually(lambda: self.serial(weft) != first)
            self.assertTrue(healthy(before))  # who was there, stays
            self.assertIn('cause="a file has changed"', weft.stderr())

    def respond(self, pair, file, status):
        """The authority's word on a certificate, V(alid) or R(evoked), until tomorrow."""
        index, request = f'{folder.name}/index', f'{folder.name}/request'
        serial = openssl('x509', '-in', pair[0], '-noout', '-serial').decode().strip().removeprefix('serial=')
        revoked = '260101000000Z' if status == 'R' else ''
        with open(index, 'w') as out:
            out.write(f'{status}\t491231235959Z\t{revoked}\t{serial}\tunknown\t/CN=a\n')
        openssl('ocsp', '-issuer', ca.cert, '-cert', pair[0], '-reqout', request)
        openssl('ocsp', '-index', index, '-CA', ca.cert, '-rsigner', ca.cert, '-rkey', ca.key, '-reqin', request,
                '-ndays', '1', '-respout', file + '.new')
        os.rename(file + '.new', file)

    def test_what_is_stapled_is_read_again(self):
        file = f'{folder.name}/ocsp'
        self.respond(local, file, 'V')
        with SecureWeft('--tls-ocsp', '', '--tls-ocsp', file, pairs=[rsa, local]) as weft:
            def status(name):
                return weft.s_client('-status', '-servername', name)[1]
            self.assertIn('Cert Status: good', status('localhost'))
            self.assertIn('OCSP response: no response sent', status('rsa.example'))
            self.respond(local, file, 'R')
            eventually(lambda: 'Cert Status: revoked' in status('localhost'))
            self.respond(rsa, file, 'V')  # about another one
            eventually(lambda: f'{file} is not about this certificate' in weft.stderr())
            self.assertIn('Cert Status: revoked', status('localhost'))

    def test_a_broken_file_changes_nothing(self):
        with SecureWeft(pairs=[(self.cert, self.key)]) as weft:
            first = self.serial(weft)
            with open(self.key, 'w') as file:
                file.write('no key')
            weft.signal(signal.SIGHUP)
            eventually(lambda: 'certificates stay as they were' in weft.stderr())
            self.assertIn(self.key, weft.stderr())
            self.assertEqual(self.serial(weft), first)

    def test_a_thousand_reloads_under_load(self):
        """No handshake fails, no connection breaks."""
        with SecureWeft(pairs=[(self.cert, self.key)]) as weft:
            stop, counts, errors = threading.Event(), [0, 0], []

            def meet(number):
                context = ssl.create_default_context(cafile=ca.cert)
                while not stop.is_set():
                    try:
                        raw = socket.create_connection((weft.host, weft.port), 10)
                        with context.wrap_socket(raw, server_hostname='localhost') as peer:
                            assert healthy(peer)
                        counts[number] += 1
                    except Exception as error:  # whatever it is, it is too much
                        errors.append(repr(error))
                        return

            with weft.peer() as lasting:
                self.assertTrue(healthy(lasting))
                threads = [threading.Thread(target=meet, args=[i]) for i in range(2)]
                for thread in threads:
                    thread.start()
                loaded = 0
                for _ in range(1000):
                    weft.signal(signal.SIGHUP)
                    loaded += 1
                    if loaded % 100 == 0:
                        self.assertTrue(healthy(lasting))
                    eventually(lambda: weft.stderr().count('certificates loaded') >= loaded)
                stop.set()
                for thread in threads:
                    thread.join()
                self.assertTrue(healthy(lasting))
            self.assertEqual(errors, [])
            self.assertGreater(sum(counts), 100)


class Options(unittest.TestCase):
    def test_what_cannot_be_meant(self):
        for args, why in [([*flags(local), '--tls-ocsp', 'a', '--tls-ocsp', 'b'], 'each --tls-ocsp is for a --tls-cert'),
                          ([*flags(local), '--tls-ocsp', local[0]], f'{local[0]} is no OCSP response'),
                          (['--tls-cert', local[0]], 'each --tls-cert needs its --tls-key'),
                          (['--tls-self-signed', *flags(local)], 'in place of --tls-cert'),
                          (['--listen-plain', '127.0.0.1:0'], 'go with TLS'),
                          (['--tls-cert', '/nowhere', '--tls-key', local[1]], 'cannot read the certificate /nowhere'),
                          (flags((local[0], rsa[1])), 'not the certificate')]:
            code, _, err = run('serve', '--listen', '127.0.0.1:0', *args)
            self.assertEqual(code, 2, err)
            self.assertIn(why, err)

    def test_self_signed_prints_what_clients_see(self):
        with Weft('--tls-self-signed') as weft:
            shown = re.search(r'sha256=([0-9A-F:]{95})', weft.stderr())[1]
            port = weft.url.rsplit(':', 1)[1]
            pem = ssl.get_server_certificate(('127.0.0.1', int(port)))
            print_of = openssl('x509', '-noout', '-fingerprint', '-sha256', text=pem.encode()).decode()
            self.assertIn(shown, print_of)


class Client(unittest.TestCase):
    """Our client: to our server and to python's, with certificates of every kind."""

    def talk(self, url, *args, cacert=None):
        done = subprocess.run([TALKER, url, *args], capture_output=True, timeout=60,
                              env={**os.environ, 'CACERT': cacert or ca.cert})
        return [line.rstrip() for line in done.stdout.decode().splitlines()]

    def test_our_server(self):
        with SecureWeft('--message-max', '1M') as weft:
            for url in (f'wss://localhost:{weft.port}/echo', f'wss://127.0.0.1:{weft.port}/echo'):
                end = "closed 4321 '' clean"  # it answers with the code alone
                self.assertEqual(self.talk(url), ['open plain', *DONE[:2], end])
                self.assertEqual(self.talk(url, 'dedicated'), ['open deflate', *DONE[:2], end])

    def test_pythons_server(self):
        async def echo(client, *_):
            with contextlib.suppress(websockets.ConnectionClosed):
                async for message in client:
                    await client.send(message)

        async def serve():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*local)
            async with websockets.serve(echo, '127.0.0.1', 0, ssl=context, max_size=None) as server:
                port = server.sockets[0].getsockname()[1]
                for mode in ('off', 'dedicated'):
                    lines = await asyncio.to_thread(self.talk, f'wss://localhost:{port}/', mode)
                    self.assertEqual(lines[1:], DONE)

        asyncio.run(serve())

    def test_a_servers_close_notify_is_the_end(self):
        """It ends TLS behind the close frames, and waits for our end before it ends the connection."""
        listener = socket.create_server(('127.0.0.1', 0))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*local)
        waited = []

        def serve():
            with context.wrap_socket(listener.accept()[0], server_side=True) as peer:
                peer.settimeout(20)
                key = re.search(rb'Sec-WebSocket-Key: (\S+)', peer.recv(4096))[1]
                accept = base64.b64encode(hashlib.sha1(key + b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest())
                peer.sendall(b'HTTP/1.1 101 a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: '
                             + accept + b'\r\n\r\n')
                peer.recv(4096)  # the close frame
                peer.sendall(b'\x88\x02\x03\xe8')
                began = time.monotonic()
                peer.unwrap()
                waited.append(time.monotonic() - began)

        with listener:
            server = threading.Thread(target=serve)
            server.start()
            port = listener.getsockname()[1]
            code, _, err = run('connect', f'wss://localhost:{port}/', '--cacert', ca.cert)
            server.join()
        self.assertEqual(code, 0, err)
        self.assertLess(waited[0], 3)  # the close deadline is 5 s

    def test_reconnecting_resumes_the_session(self):
        reused = []

        async def echo(client, *_):
            reused.append(client.transport.get_extra_info('ssl_object').session_reused)
            with contextlib.suppress(websockets.ConnectionClosed):
                async for message in client:
                    await client.send(message)

        async def storm(version, *args):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*local)
            context.maximum_version = version
            reused.clear()
            async with websockets.serve(echo, '127.0.0.1', 0, ssl=context) as server:
                port = server.sockets[0].getsockname()[1]
                code, out, err = await asyncio.to_thread(
                    run, 'bench', f'wss://localhost:{port}/', '--storm', '-c', '1', '-d', '300ms', '--warmup', '0', '-q',
                    '-t', '1', '--cacert', ca.cert, *args)
                self.assertIn(code, (0, 70), out + err)

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version):
                asyncio.run(storm(version, '--tls-resume'))
                self.assertFalse(reused[0])
                self.assertGreaterEqual(reused.count(True), 4)
                asyncio.run(storm(version))
                self.assertGreaterEqual(len(reused), 5)
                self.assertFalse(any(reused))

    def test_certificates_that_are_not_good(self):
        def bench(weft, host, *args):
            code, out, err = run('bench', f'wss://{host}:{weft.port}/echo', *BENCH, *args)
            return code, out + err

        wrong = ca.sign('elsewhere', 'DNS:elsewhere.example')
        for pair, args, why in [(local, ['--cacert', other_ca.cert], 'unable to get local issuer certificate'),
                                (local, [], 'unable to get local issuer certificate'),
                                (wrong, ['--cacert', ca.cert], 'hostname mismatch'),
                                (stale, ['--cacert', ca.cert], 'certificate has expired')]:
            with self.subTest(why), SecureWeft(pairs=[pair]) as weft:
                code, err = bench(weft, 'localhost', *args)
                self.assertEqual(code, 60, err)
                self.assertIn(why, err)
                self.assertIn('is not good for localhost', err)
                self.assertIn(bench(weft, 'localhost', '-k')[0], (0, 70))  # 70: well, on a busy machine

    def test_a_server_without_tls(self):
        with Weft() as weft:
            code, out, err = run('bench', f'wss://127.0.0.1:{weft.port}/echo', *BENCH)
            self.assertEqual(code, 35, err)
            self.assertIn('no TLS with 127.0.0.1', out)

    def test_a_client_certificate(self):
        cert, key = other_ca.sign('me', 'DNS:me')
        with SecureWeft('--tls-client-ca', other_ca.cert) as weft:
            def bench(*args):
                return run('bench', f'wss://localhost:{weft.port}/echo', *BENCH, '--cacert', ca.cert, *args)
            self.assertIn(bench('--cert', cert, '--key', key)[0], (0, 70))
            code, out, _ = bench()
            self.assertEqual(code, 35)
            self.assertIn('certificate required', out)
            log = f'{folder.name}/bench-keys'
            with unittest.mock.patch.dict(os.environ, SSLKEYLOGFILE=log):
                bench('--cert', cert, '--key', key)
            with open(log) as file:
                self.assertIn('CLIENT_TRAFFIC_SECRET_0 ', file.read())


if __name__ == '__main__':
    main()

"""Our client through proxies: tinyproxy (HTTP CONNECT) and microsocks (SOCKS 5) as Debian has them, and one of ours
that tells what it was asked for and misbehaves as it is told to.
"""

import contextlib
import os
import select
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from tls import Authority, SecureWeft
from weft import PATIENCE_S, Weft, eventually, main, program

SECRET = 'me:s%65cret@'  # percent-encoded, for the last e of "secret" is the first
MIB = b'x' * ((1 << 20) - 1) + b'\n'


def setUpModule():
    global folder, ca, plain, secure, strange
    folder = tempfile.TemporaryDirectory()
    os.chmod(folder.name, 0o755)
    ca = Authority(folder.name)
    stack = contextlib.ExitStack()
    unittest.addModuleCleanup(folder.cleanup)
    unittest.addModuleCleanup(stack.close)
    large = ['--message-max', '2M']
    plain = stack.enter_context(Weft(*large))
    secure = stack.enter_context(SecureWeft(*large, pairs=[ca.sign('local', 'DNS:localhost,DNS:weft.test')]))
    strange = stack.enter_context(SecureWeft(pairs=[ca.sign('strange', 'DNS:strange.test')]))


def connect(url, *flags, feed=b'hi\n', environment=None):
    """One answer: exit code, stdout, stderr."""
    done = subprocess.run([program(), 'connect', url, '-1', '--cacert', ca.cert, *flags], input=feed,
                          capture_output=True, timeout=PATIENCE_S, env={**os.environ, **(environment or {})})
    return done.returncode, done.stdout, done.stderr.decode('utf-8', 'replace')


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as one:
        return one.getsockname()[1]


class Daemon:
    """A proxy of the distribution's, run by nobody in particular."""

    def __init__(self, port, *command):
        self.port = port
        nobody = {'user': 65534, 'group': 65534, 'extra_groups': []} if os.geteuid() == 0 else {}
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, cwd='/', **nobody)
        eventually(self.listens)

    def listens(self):
        assert self.process.poll() is None, 'the proxy did not come up'
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', self.port), 1):
            return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def url(self, scheme, secret=''):
        return f'{scheme}://{secret}127.0.0.1:{self.port}'


class Tinyproxy(Daemon):
    def __init__(self, *lines):
        port = free_port()
        self.config = tempfile.NamedTemporaryFile('w', dir=folder.name, suffix='.conf')
        self.config.write('\n'.join([f'Port {port}', 'Listen 127.0.0.1', 'Timeout 20', 'MaxClients 50', *lines, '']))
        self.config.flush()
        os.chmod(self.config.name, 0o644)
        super().__init__(port, 'tinyproxy', '-d', '-c', self.config.name)

    def __exit__(self, *how):
        super().__exit__(*how)
        self.config.close()


def microsocks(*args):
    port = free_port()
    return Daemon(port, 'microsocks', '-i', '127.0.0.1', '-p', str(port), *args)


class Real(unittest.TestCase):
    def check_all(self, proxy):
        for url in (f'{plain.ws}/echo', f'ws://localhost:{plain.port}/echo', f'wss://localhost:{secure.port}/echo'):
            with self.subTest(url):
                code, out, err = connect(url, '--proxy', proxy, '--no-compress', feed=MIB)
                self.assertEqual((code, err), (0, ''))
                self.assertTrue(out == MIB)

    def test_tinyproxy(self):
        with Tinyproxy() as proxy:
            self.check_all(proxy.url('http'))

    def test_tinyproxy_with_a_password(self):
        with Tinyproxy('BasicAuth me secret') as proxy:
            self.check_all(proxy.url('http', SECRET))
            for secret in ('', 'me:wrong@'):
                code, _, err = connect(f'{plain.ws}/echo', '--proxy', proxy.url('http', secret))
                self.assertEqual(code, 22, err)
                self.assertIn(f'the proxy 127.0.0.1:{proxy.port} answered 40', err)
                self.assertRegex(err, 'HTTP 40[17]\n(.*\n)*weft:   (Proxy|WWW)-Authenticate: Basic realm="Tinyproxy"')

    def test_what_tinyproxy_refuses(self):
        with Tinyproxy('ConnectPort 1') as proxy:
            code, _, err = connect(f'{plain.ws}/echo', '--proxy', proxy.url('http'))
            self.assertEqual(code, 22, err)
            self.assertIn(f'the proxy 127.0.0.1:{proxy.port} answered 403', err)
            code, _, err = connect('ws://127.0.0.1:1/', '--proxy', proxy.url('http'))  # nobody listens there
            self.assertEqual(code, 22, err)
            self.assertRegex(err, 'answered 50[0-9] ')

    def test_microsocks(self):
        with microsocks() as proxy:
            self.check_all(proxy.url('socks5h'))
            self.check_all(proxy.url('socks5'))
            two_addresses = f'socks5h://localhost:{proxy.port}'
            self.assertEqual(connect(f'{secure.wss}/echo'.replace('127.0.0.1', 'localhost'), '--proxy', two_addresses),
                             (0, b'hi\n', ''))
            code, _, err = connect('ws://127.0.0.1:1/', '--proxy', proxy.url('socks5h'))
            self.assertEqual((code, err), (7, f'weft: the proxy 127.0.0.1:{proxy.port} made no connection to '
                                              "127.0.0.1:1: RFC1928/6: the host refused the proxy's connection (5)\n"))

    def test_microsocks_with_a_password(self):
        with microsocks('-u', 'me', '-P', 'secret') as proxy:
            self.check_all(proxy.url('socks5h', SECRET))
            for secret, why in [('', 'wants to be authenticated to'), ('me:wrong@', 'refused user and password')]:
                code, _, err = connect(f'{plain.ws}/echo', '--proxy', proxy.url('socks5h', secret))
                self.assertEqual(code, 7, err)
                self.assertIn(f'the proxy {why}', err)

    def test_the_certificate_is_the_targets(self):
        with Tinyproxy() as http, microsocks() as socks:
            for proxy in (http.url('http'), socks.url('socks5h')):
                code, _, err = connect(f'wss://localhost:{strange.port}/echo', '--proxy', proxy)
                self.assertEqual(code, 60, err)
                self.assertIn(f'the certificate of localhost:{strange.port} (through the proxy 127.0.0.1:', err)
                code, _, err = connect(f'wss://localhost:{plain.port}/echo', '--proxy', proxy)  # no TLS there
                self.assertEqual(code, 35, err)

    def test_a_proxy_that_goes(self):
        for start, scheme in [(Tinyproxy, 'http'), (microsocks, 'socks5h')]:
            with self.subTest(scheme), start() as proxy:
                command = [program(), 'connect', f'{plain.ws}/echo', '-v', '--proxy', proxy.url(scheme)]
                client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE)
                with client:
                    client.stdin.write(b'hi\n')
                    client.stdin.flush()
                    self.assertEqual(client.stdout.readline(), b'hi\n')
                    proxy.process.kill()
                    self.assertEqual(client.wait(PATIENCE_S), 64)
                    self.assertIn(b'closed with 1006', client.stderr.read())

    def test_bench(self):
        with microsocks() as proxy:
            for scheme in ('socks5h', 'socks5'):
                command = [program(), 'bench', f'ws://localhost:{plain.port}/echo', '-x', proxy.url(scheme)]
                done = subprocess.run([*command, '-c', '3', '-n', '30', '--warmup', '0', '--rate', '0', '-q'],
                                      capture_output=True, timeout=PATIENCE_S)
                self.assertIn(done.returncode, (0, 70), done)
                self.assertIn(b'(30 in', done.stdout)


class Fake:
    """A proxy that reads what it is asked for, and then does as `act` says; by default it goes on to the server."""

    def __init__(self, server, act=None):
        self.server, self.act, self.asked = server, act, []
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                with peer, contextlib.suppress(OSError, EOFError):
                    peer.settimeout(PATIENCE_S)
                    (self.act or Fake.serve)(self, peer)

    def take(self, peer, count):
        data = b''
        while len(data) < count:
            some = peer.recv(count - len(data))
            if not some:
                raise EOFError
            data += some
        return data

    def head(self, peer):
        data = b''
        while not data.endswith(b'\r\n\r\n'):
            data += self.take(peer, 1)
        return data.decode()

    def serve(self, peer, say=lambda peer, data: peer.sendall(data)):
        """Either protocol, told apart by the first byte."""
        if peer.recv(1, socket.MSG_PEEK) == b'\x05':
            methods = self.take(peer, self.take(peer, 2)[1])
            say(peer, b'\x05\x02' if 2 in methods else b'\x05\x00')
            if 2 in methods:
                _, size = self.take(peer, 2)
                user = self.take(peer, size)
                self.asked.append(f'{user.decode()}:{self.take(peer, self.take(peer, 1)[0]).decode()}')
                say(peer, b'\x01\x00')
            _, _, _, kind = self.take(peer, 4)
            size = {1: 4, 4: 16}.get(kind) or self.take(peer, 1)[0]
            host = self.take(peer, size)
            port, = struct.unpack('!H', self.take(peer, 2))
            family = {1: socket.AF_INET, 4: socket.AF_INET6}.get(kind)
            self.asked.append(f'{socket.inet_ntop(family, host) if family else host.decode()}:{port}')
            answer = b'\x05\x00\x00\x03\x06a.test\x12\x34'
        else:
            self.asked += self.head(peer).split('\r\n')
            answer = b'HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n'
        with socket.create_connection(('127.0.0.1', self.server.port), PATIENCE_S) as target:
            say(peer, answer)
            while True:
                for ready in select.select([peer, target], [], [], PATIENCE_S)[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    (target if ready is peer else peer).sendall(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(PATIENCE_S)
        self.listener.close()

    def url(self, scheme, secret=''):
        return f'{scheme}://{secret}127.0.0.1:{self.port}'


def slowly(peer, data):
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(len(data)):
        peer.sendall(data[at:at + 1])
        time.sleep(0.002)


def endless(peer, first, piece):
    peer.sendall(first)
    with contextlib.suppress(OSError):
        for _ in range(1 << 12):
            peer.sendall(piece * 1024)


class Asked(unittest.TestCase):
    def test_who_looks_the_name_up(self):
        for scheme, asked in [('socks5h', f'weft.test:{plain.port}'),
                              ('http', f'CONNECT weft.test:{plain.port} HTTP/1.1')]:
            with self.subTest(scheme), Fake(plain) as proxy:
                url = f'ws://weft.test:{plain.port}/echo'  # RFC 6761 6.2: nobody has that name
                self.assertEqual(connect(url, '--proxy', proxy.url(scheme)), (0, b'hi\n', ''))
                self.assertEqual(proxy.asked[0], asked)
        with Fake(plain) as proxy:
            url = f'ws://localhost:{plain.port}/echo'
            self.assertEqual(connect(url, '--proxy', proxy.url('socks5')), (0, b'hi\n', ''))
            self.assertEqual(proxy.asked, [f'127.0.0.1:{plain.port}'])
            code, _, err = connect('ws://weft.invalid/', '--proxy', proxy.url('socks5'))
            self.assertEqual(code, 6, err)
            self.assertIn('cannot find weft.invalid: ', err)

    def test_only_the_proxy_could_find_it_and_tls_is_with_the_name(self):
        for scheme in ('socks5h', 'http'):
            with Fake(secure) as proxy:
                self.assertEqual(connect('wss://weft.test/echo', '--proxy', proxy.url(scheme)), (0, b'hi\n', ''))
                self.assertIn('weft.test:443', proxy.asked[0])

    def test_secrets(self):
        with Fake(plain) as proxy:
            connect('ws://[::1]:5/echo', '--proxy', proxy.url('socks5h', 'm%40e:%2F@'))
            connect('ws://[::1]:5/echo', '--proxy', proxy.url('http', 'Aladdin:open%20sesame@'))
            self.assertEqual(proxy.asked, ['m@e:/', '::1:5', 'CONNECT [::1]:5 HTTP/1.1', 'Host: [::1]:5',
                                           'Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==', '', ''])

    def test_byte_by_byte(self):
        for scheme in ('socks5h', 'http'):
            with Fake(secure, lambda self, peer: self.serve(peer, slowly)) as proxy:
                self.assertEqual(connect('wss://weft.test/echo', '--proxy', proxy.url(scheme, 'me:secret@')),
                                 (0, b'hi\n', ''))

    def test_the_environment(self):
        url = f'ws://weft.test:{plain.port}/echo'
        with Fake(plain) as proxy:
            here = f'127.0.0.1:{proxy.port}'
            for environment, goes in [({'http_proxy': here}, True), ({'HTTP_PROXY': here}, False),
                                      ({'https_proxy': here}, False), ({'ALL_PROXY': f'socks5h://{here}'}, True),
                                      ({'http_proxy': '', 'all_proxy': here}, False),
                                      ({'all_proxy': here, 'NO_PROXY': 'a.test, .weft.test'}, False),
                                      ({'all_proxy': here, 'no_proxy': 'test'}, False),
                                      ({'all_proxy': here, 'no_proxy': 'eft.test,.'}, True),
                                      ({'all_proxy': here, 'no_proxy': '*'}, False)]:
                with self.subTest(environment):
                    code, out, err = connect(url, environment=environment)
                    self.assertEqual((code, out), (0, b'hi\n') if goes else (6, b''), err)
            self.assertEqual(connect(url, '--proxy', 'none', environment={'all_proxy': here})[0], 6)
            code, _, err = connect(url, environment={'all_proxy': 'https://a.test'})
            self.assertEqual(code, 2, err)
            self.assertIn('a proxy is http://host:port, ', err)
        with Fake(secure) as proxy:
            code, out, err = connect('wss://weft.test/echo', environment={'HTTPS_PROXY': f'127.0.0.1:{proxy.port}'})
            self.assertEqual((code, out), (0, b'hi\n'), err)


class Abuse(unittest.TestCase):
    def check(self, scheme, act, code, text, *flags):
        with self.subTest(text), Fake(plain, act) as proxy:
            started = time.monotonic()
            got, out, err = connect('wss://weft.test/', '--proxy', proxy.url(scheme), *flags)
            self.assertEqual((got, out), (code, b''), err)
            self.assertIn(text, err)
            self.assertLess(time.monotonic() - started, PATIENCE_S / 2)

    def test_connect(self):
        def answers(*pieces):
            return lambda self, peer: (self.head(peer), [peer.sendall(piece) for piece in pieces])
        self.check('http', answers(b'SSH-2.0-OpenSSH_9\r\n\r\n'), 7, 'does not begin with an HTTP/1.x status line')
        self.check('http', answers(), 7, 'the connection ended without an answer')
        self.check('http', answers(b'HTTP/1.1 200 OK\r\n'), 7, "the connection ended within the answer's head")
        self.check('http', answers(b'HTTP/1.1 503 Later\r\nContent-Length: 99\r\n\r\nnot now'), 22, 'not now')
        self.check('http', answers(b'HTTP/1.1 200 OK\r\n\r\nnot TLS at all, or ever'), 35, 'no TLS with weft.test:443')
        self.check('http', lambda self, peer: endless(peer, b'HTTP/1.1 200 OK\r\n', b'a: b\r\n'), 7, 'headers_max: ')
        self.check('http', lambda self, peer: endless(peer, b'HTTP/1.1 407 Who\r\n\r\n', b'who? '), 22, 'who? who? ')

    def test_socks(self):
        self.check('socks5h', lambda self, peer: peer.sendall(b'HTTP/1.1 400 No\r\n\r\n'), 7, 'does not speak SOCKS 5')
        self.check('socks5h', lambda self, peer: endless(peer, b'', b'\x05\x00'), 7, 'spoke before it was asked')
        self.check('socks5h', lambda self, peer: self.take(peer, 3), 7, 'the proxy ended the connection')

    def test_silence(self):
        def waits(self, peer):
            with contextlib.suppress(OSError):
                while peer.recv(1000):
                    pass
        for scheme in ('http', 'socks5h'):
            self.check(scheme, waits, 28, 'connect_timeout', '--connect-timeout', '200ms')

    def test_a_reset(self):
        def resets(self, peer):
            peer.recv(1)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.check('socks5h', resets, 7, 'Connection reset by peer')


if __name__ == '__main__':
    main()

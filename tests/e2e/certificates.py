#!/usr/bin/python3
"""What weft connect makes of certificates, and of servers that speak TLS badly or not at all: one row each, the exit
code, and what is said. The servers are python's. All of them at once.

    WEFT_BIN=/path/to/weft certificates.py
"""

import concurrent.futures
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import warnings

sys.dont_write_bytecode = True

from authority import Authority, self_signed  # noqa: E402
from peer import Peer, closing, serving_raw, upgrade  # noqa: E402
from weft import PATIENCE_S, frame, main, program  # noqa: E402

HERE = 'DNS:localhost,IP:127.0.0.1,IP:::1'
WELCOME = upgrade(behind=frame(1, b'welcome', masked=False) + closing(1000), then='answer')
GOOD, TLS, CERTIFICATE, TIMEOUT = 0, 35, 60, 28


def settled(pair, **settings):
    """A server's context with this certificate; settings are attributes, or methods that take the value."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers('ALL:@SECLEVEL=0')
    context.load_cert_chain(*pair)
    for name, value in settings.items():
        if callable(getattr(context, name)):
            getattr(context, name)(value)
        else:
            setattr(context, name, value)
    return context


def secure(context):
    """Welcomes over TLS."""
    def meet(sock, number):
        with context.wrap_socket(sock, server_side=True) as peer:
            WELCOME(Peer(peer, number))
    return meet


def says_at_once(data, then_waits=False):
    def meet(sock, _):
        sock.recv(4096)
        sock.sendall(data)
        while then_waits and sock.recv(4096):
            pass
    return meet


def half_an_answer(context):
    """The server's first flight of TLS, cut in the middle."""
    def meet(sock, _):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(sock.recv(4096))
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            sock.sendall(outgoing.read()[:200])
    return meet


def chain_of(folder, *files):
    """All of them in one file."""
    path = os.path.join(folder, 'chain-' + '-'.join(os.path.basename(file) for file in files))
    with open(path, 'w') as chain:
        for file in files:
            with open(file) as one:
                chain.write(one.read())
    return path


def certificate_rows(folder, ca):
    """name: (host, certificate and key, flags, exit code, text)"""
    other = Authority(folder, 'other')
    between = ca.below('between')
    local, leaf = ca.sign('local', HERE), between.sign('leaf', HERE)
    pretender = ca.below('pretender', may_sign=False)
    claimed = pretender.sign('claimed', HERE)
    past, future = ('20200101000000Z', '20200102000000Z'), ('20500101000000Z', '20500102000000Z')
    trusts = ['--cacert', ca.cert]
    own = self_signed(folder, 'own', HERE)

    def bad(why):
        return rf'the certificate of \S+:\d+ is not good for \S+: {why}( \(-k .*\))?'

    mismatch, ip_mismatch, no_issuer = (bad(why) for why in (
        'hostname mismatch', 'IP address mismatch', 'unable to get local issuer certificate'))
    return {
        'good by name': ('localhost', local, trusts, GOOD, None),
        'good in capitals': ('LOCALHOST', local, trusts, GOOD, None),
        'good with a dot': ('localhost.', local, trusts, GOOD, None),
        'good by address': ('127.0.0.1', local, trusts, GOOD, None),
        'good by IPv6': ('[::1]', local, trusts, GOOD, None),
        'good by a chain': ('localhost', (chain_of(folder, leaf[0], between.cert), leaf[1]), trusts, GOOD, None),
        'its own authority': ('localhost', own, ['--cacert', own[0]], GOOD, None),
        'RSA': ('localhost', ca.sign('rsa', HERE, key_type='rsa2048'), trusts, GOOD, None),
        'a chain with a gap': ('localhost', leaf, trusts, CERTIFICATE, no_issuer),
        'another authority': ('localhost', local, ['--cacert', other.cert], CERTIFICATE, no_issuer),
        'not among the system\'s': ('localhost', local, [], CERTIFICATE, no_issuer),
        'self-signed': ('localhost', own, trusts, CERTIFICATE, bad('self-signed certificate')),
        'expired': ('localhost', ca.sign('past', HERE, times=past), trusts, CERTIFICATE,
                    bad('certificate has expired')),
        'not yet valid': ('localhost', ca.sign('future', HERE, times=future), trusts, CERTIFICATE,
                          bad('certificate is not yet valid')),
        'another name': ('localhost', ca.sign('elsewhere', 'DNS:elsewhere.example'), trusts, CERTIFICATE, mismatch),
        'a name that begins so': ('localhost', ca.sign('longer', 'DNS:localhost.example'), trusts, CERTIFICATE,
                                  mismatch),
        'a wildcard for all': ('localhost', ca.sign('all', 'DNS:*'), trusts, CERTIFICATE, mismatch),
        'a NUL in the name': ('localhost', ca.sign('nul', 'DNS:localhost\\00.example'), trusts, CERTIFICATE, mismatch),
        'the address, asked by name': ('localhost', ca.sign('address', 'IP:127.0.0.1'), trusts, CERTIFICATE, mismatch),
        'another address': ('127.0.0.1', ca.sign('away', 'IP:127.0.0.2'), trusts, CERTIFICATE, ip_mismatch),
        'the address as a name': ('127.0.0.1', ca.sign('text', 'DNS:127.0.0.1'), trusts, CERTIFICATE, ip_mismatch),
        'the name, asked by address': ('127.0.0.1', ca.sign('name', 'DNS:localhost'), trusts, CERTIFICATE, ip_mismatch),
        'a common name alone': ('localhost', ca.sign('localhost', None), trusts, CERTIFICATE, mismatch),
        'for clients only': ('localhost', ca.sign('client', HERE, extensions=['extendedKeyUsage=clientAuth']), trusts,
                             CERTIFICATE, bad('un(suitable|supported) certificate purpose')),
        'signed by no authority': ('localhost', (chain_of(folder, claimed[0], pretender.cert), claimed[1]), trusts,
                                   CERTIFICATE, bad('invalid CA certificate')),
        'a weak key': ('localhost', ca.sign('weak', HERE, key_type='rsa1024'), trusts, CERTIFICATE,
                       bad('EE certificate key too weak')),
        'SHA-1': ('localhost', ca.sign('sha1', HERE, digest='sha1'), trusts, CERTIFICATE,
                  bad('CA signature digest algorithm too weak')),
    }


def no_tls_rows(folder, ca):
    """name: (what the server does, flags, exit code, text)"""
    pair = ca.sign('fine', HERE)
    trusts = ['--cacert', ca.cert]
    hurried = [*trusts, '--connect-timeout', '700ms']
    oldest, older = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    member = Authority(folder, 'members').sign('member', HERE)
    members_only = settled(pair, load_verify_locations=ca.cert, verify_mode=ssl.CERT_REQUIRED)
    old = settled(pair, minimum_version=ssl.TLSVersion.TLSv1_2, maximum_version=ssl.TLSVersion.TLSv1_2,
                  set_ciphers='AES128-SHA')

    def no_tls(why):
        return rf'no TLS with 127\.0\.0\.1:\d+: .*({why})( \(is there TLS.*)?'

    def versions(low, high):
        return secure(settled(pair, minimum_version=low, maximum_version=high))

    return {
        'TLS 1.2': (versions(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2), trusts, GOOD, None),
        'TLS 1.0': (versions(oldest, oldest), trusts, TLS, no_tls('protocol version|unsupported protocol')),
        'TLS 1.1': (versions(older, older), trusts, TLS, no_tls('protocol version|unsupported protocol')),
        'no cipher in common': (secure(old), trusts, TLS, no_tls('handshake failure')),
        'another protocol': (secure(settled(pair, set_alpn_protocols=['h2'])), trusts, GOOD, None),
        'a certificate is asked for': (secure(members_only), trusts, TLS,
                                       no_tls('certificate required')),
        'another certificate': (secure(members_only), [*trusts, '--cert', member[0], '--key', member[1]], TLS,
                                no_tls('unknown ca')),
        'a page': (says_at_once(b'HTTP/1.1 400 Bad Request\r\n\r\n'), trusts, TLS, no_tls('wrong version number')),
        'SSH': (says_at_once(b'SSH-2.0-OpenSSH_9.2\r\n', True), trusts, TLS, no_tls('wrong version number')),
        'zeros': (says_at_once(b'\0' * 1000), trusts, TLS, no_tls('wrong version number')),
        'an alert': (says_at_once(b'\x15\x03\x03\0\x02\x02\x28'), trusts, TLS, no_tls('handshake failure')),
        'a record beyond all limits': (says_at_once(b'\x16\x03\x03\xff\xff' + b'x' * 70000, True), trusts, TLS,
                                       no_tls('packet length too long|record layer failure')),
        'nothing': (says_at_once(b'', True), hurried, TIMEOUT, no_tls('came in time')),
        'the end': (says_at_once(b''), trusts, TLS, no_tls('the connection ended')),
        'half an answer': (half_an_answer(settled(pair)), trusts, TLS, no_tls('the connection ended')),
    }


def visit(meet, host, flags):
    with serving_raw(meet, '::1' if host == '[::1]' else '127.0.0.1') as port:
        started = time.monotonic()
        done = subprocess.run([program(), 'connect', f'wss://{host}:{port}/', *flags], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=2 * PATIENCE_S)
        return done.returncode, done.stdout, done.stderr.decode(), time.monotonic() - started


class Certificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.pool = cls.enterClassContext(concurrent.futures.ThreadPoolExecutor(8))
        cls.ca = Authority(cls.folder)

    def look_at(self, name, visited, expected, text):
        code, out, err, took_s = visited.result()
        with self.subTest(name):
            self.assertEqual((code, out), (expected, b'' if expected else b'welcome\n'), err)
            self.assertLess(took_s, PATIENCE_S)
            if text:
                self.assertRegex(err, rf'\Aweft: {text}\n\Z')
            else:
                self.assertEqual(err, '')

    def test_certificates(self):
        rows = certificate_rows(self.folder, self.ca)
        visits = {name: self.pool.submit(visit, secure(settled(pair)), host, flags)
                  for name, (host, pair, flags, *_) in rows.items()}
        insecure = {name: self.pool.submit(visit, secure(settled(pair)), host, ['-k'])
                    for name, (host, pair, *_) in rows.items()}
        for name, (*_, expected, text) in rows.items():
            self.look_at(name, visits[name], expected, text)
            self.look_at(f'{name}, -k', insecure[name], GOOD, None)

    def test_what_is_no_tls(self):
        rows = no_tls_rows(self.folder, self.ca)
        visits = {name: self.pool.submit(visit, meet, '127.0.0.1', flags) for name, (meet, flags, *_) in rows.items()}
        for name, (*_, expected, text) in rows.items():
            self.look_at(name, visits[name], expected, text)


if __name__ == '__main__':
    warnings.simplefilter('ignore', DeprecationWarning)  # old versions are meant
    main()

#!/usr/bin/python3
"""JSON Web Tokens for rooms, signed by PyJWT and by nothing but hmac: who may join and publish, by every transport, for
how long, and with which keys.

    WEFT_BIN=/path/to/weft rooms_jwt.py
"""

import base64
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True

import jwt  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: E402

from rooms import Stream, get, post  # noqa: E402
from weft import TEXT, Weft, eventually, frame, handshake, main, program, run  # noqa: E402

SECRET = 'a secret that nobody can guess: 7'
EVENTS = 'Accept: text/event-stream'
KEYS = {}


def setUpModule():
    KEYS['folder'] = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(KEYS['folder'].cleanup)
    os.chmod(KEYS['folder'].name, 0o755)  # for nobody, whom root becomes
    KEYS['rsa'] = rsa.generate_private_key(65537, 2048)
    KEYS['ec'] = ec.generate_private_key(ec.SECP256R1())


def keys_file(content=SECRET + '\n', name='keys'):
    path = os.path.join(KEYS['folder'].name, name)
    with open(path + '.new', 'w') as file:
        file.write(content)
    os.replace(path + '.new', path)
    return path


def pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM,
                                         serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(key, kid):
    numbers = {'RS256': jwt.algorithms.RSAAlgorithm, 'ES256': jwt.algorithms.ECAlgorithm}
    made = numbers['ES256' if isinstance(key, ec.EllipticCurvePrivateKey) else 'RS256'].to_jwk(key.public_key())
    return {**json.loads(made), 'kid': kid, 'use': 'sig'}


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def token(join=(), publish=(), life=60, key=SECRET, alg='HS256', headers=None, **claims):
    rooms = {'join': list(join), 'publish': list(publish)}
    return jwt.encode({'exp': time.time() + life, 'rooms': rooms, **claims}, key, alg, headers)


def by_hand(claims, secret=SECRET, header='{"alg":"HS256"}'):
    text = f'{base64url(header.encode())}.{base64url(json.dumps(claims).encode())}'
    return f'{text}.{base64url(hmac.digest(secret.encode(), text.encode(), hashlib.sha256))}'


def bearer(given):
    return f'Authorization: Bearer {given}'


def dial(weft, path, given):
    """An open WebSocket, or the status that refuses it."""
    raw = weft.raw()
    raw.send(handshake(f'{path}{"&" if "?" in path else "?"}token={given}'))
    status, _, _ = raw.response()
    if status == 101:
        return raw
    raw.socket.close()
    return status


def say(weft, path, given, body=b'said'):
    with weft.raw() as raw:
        return post(raw, path, body, bearer(given))[0]


class Rights(unittest.TestCase):
    def test_who_may_join_and_publish_where(self):
        ann = token(['lobby', 'team-*'], ['lobby'], sub='ann')
        with Weft('--jwt-keys', keys_file()) as weft:
            for room, joins, publishes in (('lobby', 1, 1), ('team-red', 1, 0), ('team', 0, 0), ('lobby2', 0, 0)):
                path = f'/rooms/{room}'
                raw = dial(weft, path, ann)
                self.assertEqual(raw == 403, not joins, room)
                if joins:
                    raw.socket.close()
                self.assertEqual(get(weft, f'{path}?poll=', bearer(ann))[0], 200 if joins else 403, room)
                self.assertEqual(get(weft, f'{path}/history', bearer(ann))[0], 200 if joins else 403, room)
                stream = Stream(weft, path, bearer(ann))
                self.assertEqual(stream.status, 200 if joins else 403, room)
                stream.close()
                self.assertEqual(say(weft, path, ann), 204 if publishes else 403, room)
            listed = get(weft, '/rooms', bearer(ann))[2]['rooms']
            self.assertEqual([each['name'] for each in listed if each['messages']], ['lobby'])
            bob = token(publish=['*'])  # who says something need not hear anything
            self.assertEqual(say(weft, '/rooms/secret', bob), 204)
            self.assertEqual(get(weft, '/rooms/secret/history', bearer(bob))[0], 403)
            self.assertEqual(get(weft, '/rooms', bearer(bob))[2]['rooms'], [])
            self.assertNotIn('secret', [each['name'] for each in get(weft, '/rooms', bearer(ann))[2]['rooms']])
            everybody = by_hand({'exp': time.time() + 60, 'rooms': {'join': '*'}})
            self.assertIn('secret', [each['name'] for each in get(weft, '/rooms', bearer(everybody))[2]['rooms']])
            self.assertEqual(get(weft, '/rooms')[0], 401)

    def test_a_member_that_may_only_hear(self):
        with Weft('--jwt-keys', keys_file()) as weft:
            speaker = dial(weft, '/rooms/a', token(['a'], ['a']))
            for query in ('', '?recover='):
                hearer = dial(weft, f'/rooms/a{query}', token(['a']))
                if query:
                    hearer.message()
                speaker.send(frame(TEXT, b'hello'))
                self.assertIn(b'hello', hearer.message()[1])
                hearer.send(frame(TEXT, b'not for you'))
                self.assertEqual(hearer.closed(), (4403, 'this token does not let you publish in this room'))
                hearer.socket.close()
            speaker.socket.close()
            last = get(weft, '/rooms/a/history', bearer(token(['a'])))[2]['messages']
            self.assertEqual([each['data'] for each in last], ['hello', 'hello'])

    def test_nobody_takes_a_name(self):
        with Weft('--jwt-keys', keys_file(), '--token', 's3cret') as weft:
            rows = (('eve', token(['a'], sub='ann')), ('ann2', token(['a'])), ('robot', 's3cret'))
            there = [dial(weft, f'/rooms/a?as={name}', given) for name, given in rows]

            def here():
                return get(weft, '/rooms/a?poll=&here=0', bearer(token(['a'])))[2]['presence']['here']

            eventually(lambda: here() == ['ann', 'robot'])
            for raw in there:
                raw.socket.close()

    def test_refusals_say_why_and_no_more(self):
        more = ('--jwt-issuer', 'https://id.example', '--origin', 'https://a.example', '-v')
        with Weft('--jwt-keys', keys_file(), *more) as weft:
            good = {'exp': time.time() + 60, 'iss': 'https://id.example', 'rooms': {'join': 'a'}}
            rows = (
                (by_hand({**good, 'exp': time.time() - 11}), 401, 'it has expired'),
                (by_hand({'rooms': {}}), 401, 'it does not say when it expires (exp)'),
                (by_hand({**good, 'iss': 'https://evil.example'}), 401, 'it is from another issuer (iss)'),
                (by_hand({**good, 'aud': 'other'}), 401, 'it is for another audience (aud)'),
                (by_hand({**good, 'rooms': '*'}), 401, 'its claim rooms is no object'),
                (by_hand({**good, 'rooms': {'join': 'a*b'}}), 401, 'star that is not at the end'),
                (by_hand(good, SECRET + '8'), 401, 'its signature is wrong'),
                (by_hand(good, header='{"alg":"none"}'), 401, 'there is no key for its alg and kid'),
                ('x' * 4097, 401, 'it is longer than 4096 bytes'),
                ('s3cret', 401, 'it is not three parts'),
                ('%zz', 401, 'its escapes are broken'),
                (by_hand({**good, 'rooms': {'join': 'b'}}), 403, 'this token does not let you join this room'),
            )
            for given, status, why in rows:
                asked = [f'/rooms/a?poll=&token={given}'] + (['/rooms/a?poll='] if '%' not in given else [])
                for target in asked:
                    more = [] if 'token=' in target else [bearer(given)]
                    got, headers, body = get(weft, target, 'Origin: https://a.example', *more)
                    error = 'invalid_token' if status == 401 else 'insufficient_scope'
                    self.assertEqual((got, headers.get('access-control-allow-origin')), (status, 'https://a.example'))
                    self.assertIn(why, body.decode())
                    self.assertRegex(headers['www-authenticate'],
                                     f'^Bearer error="{error}", error_description="[^"]*{re.escape(why)}[^"]*"$')
                    for secret in (SECRET, given):
                        self.assertNotIn(secret, f'{headers} {body}')
            self.assertEqual(get(weft, '/rooms/a?poll=')[1]['www-authenticate'], 'Bearer')
            self.assertEqual(get(weft, '/rooms/a?poll=', bearer(by_hand(good)))[0], 200)
            log = weft.stderr()
            self.assertIn('status=401 why="it has expired"', log)
            for secret in (SECRET, by_hand(good), rows[0][0]):
                self.assertNotIn(secret, log)

    def test_either_opens(self):
        with Weft('--jwt-keys', keys_file(), '--token', 's3cret') as weft:
            self.assertEqual(say(weft, '/rooms/a', 's3cret'), 204)
            self.assertEqual(say(weft, '/rooms/a', token(publish=['a'])), 204)
            self.assertEqual(say(weft, '/rooms/b', token(publish=['a'])), 403)
            self.assertEqual(say(weft, '/rooms/a', 's3creT'), 401)
            self.assertEqual([each['name'] for each in get(weft, '/rooms?token=s3cret')[2]['rooms']], ['a'])

    def test_the_log_and_the_console_say_who(self):
        with Weft('--jwt-keys', keys_file(), '-v', '--admin-secret', 'a-secret-of-the-house') as weft:
            ann = token(['a'], ['a'], sub='ann "7"\n')
            raw = dial(weft, '/rooms/a', ann)
            there = get(weft, '/admin/connections', bearer('a-secret-of-the-house'))[2]['connections']
            self.assertEqual([(each['room'], each['user']) for each in there], [('a', 'ann "7"\n')])
            self.assertEqual(say(weft, '/rooms/a', ann), 204)
            raw.socket.close()
            eventually(lambda: ' left ' in weft.stderr())
            for event in ('joined', 'token', 'left'):
                lines = [line for line in weft.stderr().split('\n') if f' {event} ' in line]
                self.assertTrue(lines[0].endswith(' sub="ann \\"7\\"\\u000a"'), lines)


class Documentation(unittest.TestCase):
    def test_the_commands(self):
        with open(os.path.join(os.path.dirname(__file__), '../../docs/ROOMS.md')) as file:
            first, second, third = re.findall(r'```sh\n(.*?)```', file.read().split('## Tokens')[1], re.S)[:3]

        def sh(commands):
            done = subprocess.run(['sh', '-euc', commands], cwd=KEYS['folder'].name, capture_output=True, timeout=20)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout.decode().strip()

        sh(first.split('\n')[0])
        keys = os.path.join(KEYS['folder'].name, 'keys')
        with Weft('--jwt-keys', keys) as weft:
            second = second.replace('127.0.0.1:9001', f'127.0.0.1:{weft.port}')
            sh(second.split('weft connect')[0].replace('curl ', 'curl --disable --fail -sS '))
            connect = second.replace('weft connect', f'"{program()}" connect --expect 1 </dev/null').split('curl')
            self.assertEqual(sh(connect[0] + connect[1].split('\n', 1)[1]), 'hello')
            given = sh(second.split('curl')[0] + 'echo "$token"')
            self.assertEqual(get(weft, '/rooms/lobby/history', bearer(given))[2]['messages'][0]['data'], 'hello')
            self.assertEqual(get(weft, '/rooms/team-7/history', bearer(given))[0], 200)
        made = sh(third.replace('python3', sys.executable))
        with Weft('--jwt-keys', keys) as weft:
            self.assertEqual(get(weft, '/rooms/lobby/history', bearer(made))[0], 200)


class Time(unittest.TestCase):
    """A token is good for 10 s longer than it says, for clocks differ; here it is 1.5 s before that."""

    def test_every_transport_ends(self):
        with Weft('--jwt-keys', keys_file(), '--threads', '2') as weft:
            place = get(weft, '/rooms/a?poll=', bearer(token(['a'])))[2]['next']
            began = time.monotonic()
            short = token(['a'], ['a'], life=-8.5)
            plain, envelopes = dial(weft, '/rooms/a', short), dial(weft, '/rooms/a?recover=', short)
            envelopes.message()
            stays = dial(weft, '/rooms/a', token(['a']))
            stream, poll = Stream(weft, '/rooms/a', bearer(short)), weft.raw()
            self.assertEqual(stream.event()['event'], 'joined')
            poll.send(f'GET /rooms/a?poll={place}&token={short} HTTP/1.1\r\nHost: a\r\n\r\n'.encode())
            for raw in (plain, envelopes):
                self.assertEqual(raw.closed(), (4401, 'the token has expired'))
            self.assertIsNone(stream.event())
            status, headers, body = poll.response()
            self.assertEqual((status, body), (401, b'this token is not good here: it has expired\n'))
            self.assertIn('invalid_token', headers['www-authenticate'])
            self.assertLess(time.monotonic() - began, 4)
            eventually(lambda: get(weft, '/rooms/a?poll=', bearer(short))[0] == 401)
            stays.socket.settimeout(0.3)
            with self.assertRaises(TimeoutError):
                stays.frame()
            for raw in (plain, envelopes, stays, stream.raw, poll):
                raw.socket.close()

    def test_endless(self):
        endless = by_hand({'rooms': {'join': 'a'}})
        with Weft('--jwt-keys', keys_file()) as weft:
            self.assertEqual(get(weft, '/rooms/a?poll=', bearer(endless))[0], 401)
        with Weft('--jwt-keys', keys_file(), '--jwt-endless') as weft:
            self.assertEqual(get(weft, '/rooms/a?poll=', bearer(endless))[0], 200)
            dial(weft, '/rooms/a', endless).socket.close()

    def test_many_end_one_after_the_other(self):
        with Weft('--jwt-keys', keys_file(), '--threads', '2', '--history', '0') as weft:
            short, many = token(['a'], life=-8), []
            for _ in range(300):
                many.append(dial(weft, '/rooms/a', short))
            began = time.monotonic()
            for raw in many:
                self.assertEqual(raw.closed()[0], 4401)
                raw.socket.close()
            eventually(lambda: get(weft, '/rooms', bearer(token(['*'])))[2]['rooms'] == [])
            self.assertLess(time.monotonic() - began, 4)


class Keys(unittest.TestCase):
    def opens(self, weft, key, alg, **more):
        return get(weft, '/rooms/a?poll=', bearer(token(['a'], key=key, alg=alg, **more)))[0] == 200

    def test_kinds_of_files(self):
        with Weft('--jwt-keys', keys_file(pem(KEYS['rsa']) + pem(KEYS['ec']))) as weft:
            self.assertTrue(self.opens(weft, KEYS['rsa'], 'RS256'))
            self.assertTrue(self.opens(weft, KEYS['ec'], 'ES256', headers={'kid': 'any'}))
            self.assertFalse(self.opens(weft, KEYS['rsa'], 'RS512'))
            self.assertFalse(self.opens(weft, SECRET, 'HS256'))
            claims = {'exp': time.time() + 60, 'rooms': {'join': 'a'}}  # signed with what everybody knows
            for known in (pem(KEYS['rsa']), pem(KEYS['rsa']).strip(), pem(KEYS['rsa']) + pem(KEYS['ec'])):
                self.assertEqual(get(weft, '/rooms/a?poll=', bearer(by_hand(claims, known)))[0], 401)

    def test_rotation(self):
        file = keys_file(json.dumps({'keys': [jwk(KEYS['rsa'], 'old')]}))
        config = keys_file('', 'config')
        self.addCleanup(os.chmod, KEYS['folder'].name, 0o755)
        for also in ([], ['--config', config], ['--tls-self-signed', '--listen-plain', '127.0.0.1:0']):
            keys_file(json.dumps({'keys': [jwk(KEYS['rsa'], 'old')]}))
            with Weft('--jwt-keys', file, *also) as weft:
                if also:  # there is a thread that may read what only root may
                    os.chmod(KEYS['folder'].name, 0o700)
                if not weft.port:  # the first address is the one with TLS
                    plain = eventually(lambda: [line for line in weft.stderr().split('\n') if 'http://' in line])[0]
                    weft.host, weft.port = '127.0.0.1', int(plain.rsplit(':', 1)[1])

                def old():
                    return self.opens(weft, KEYS['rsa'], 'RS256', headers={'kid': 'old'})

                def new():
                    return self.opens(weft, KEYS['ec'], 'ES256', headers={'kid': 'new'})

                raw = dial(weft, '/rooms/a', token(['a'], ['a'], 60, KEYS['rsa'], 'RS256', {'kid': 'old'}))
                self.assertEqual((old(), new()), (True, False))
                keys_file('{"keys": [')
                weft.signal(signal.SIGHUP)
                eventually(lambda: 'keys for tokens stay as they were' in weft.stderr())
                self.assertEqual((old(), new()), (True, False))
                keys_file(json.dumps({'keys': [jwk(KEYS['rsa'], 'old'), jwk(KEYS['ec'], 'new')]}))
                weft.signal(signal.SIGHUP)
                eventually(new)
                self.assertTrue(old())
                keys_file(json.dumps({'keys': [jwk(KEYS['ec'], 'new')]}))
                weft.signal(signal.SIGHUP)
                eventually(lambda: not old())
                self.assertTrue(new())
                raw.send(frame(TEXT, b'still here') + frame(9, b'?'))
                self.assertEqual(raw.frame(), (0x8a, b'?'))
                raw.socket.close()

    def test_files_that_are_none(self):
        private = KEYS['ec'].private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()).decode()
        rows = (('', 'it is empty'), ('short', 'has 32 to 1024 bytes, and this one 5'), ('{"keys":[]}', 'has no key'),
                (private, 'a private one'), (pem(KEYS['ec'])[:90], 'its PEM is broken'))
        for content, why in rows:
            code, _, said = run('serve', '--listen', '127.0.0.1:0', '--jwt-keys', keys_file(content, 'bad'))
            self.assertEqual(code, 2, why)
            self.assertIn(f'weft: --jwt-keys: cannot use {KEYS["folder"].name}/bad: ', said)
            self.assertIn(why, said)
            self.assertEqual(said.count('\n'), 1, said)
        self.assertIn('No such file', run('serve', '--jwt-keys', '/nowhere')[2])
        self.assertIn('go with --jwt-keys', run('serve', '--jwt-issuer', 'x')[2])

    def test_by_a_config_file(self):
        config = keys_file(f'[serve]\njwt-keys = {keys_file()}\njwt-audience = weft\n', 'config')
        with Weft('--config', config) as weft:
            self.assertEqual(get(weft, '/rooms/a?poll=', bearer(token(['a'], aud=['x', 'weft'])))[0], 200)
            self.assertEqual(get(weft, '/rooms/a?poll=', bearer(token(['a'], aud='x')))[0], 401)
            self.assertEqual(get(weft, '/rooms/a?poll=', bearer(token(['a'])))[0], 401)


if __name__ == '__main__':
    main()

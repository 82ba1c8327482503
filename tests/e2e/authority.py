"""Certificates of every kind, made by the openssl of the distribution."""

import os
import subprocess


def openssl(*args, text=b''):
    done = subprocess.run(['openssl', *args], input=text, capture_output=True, timeout=20)
    if done.returncode != 0:
        raise AssertionError(f'openssl {args[0]}: {done.stderr.decode()}')
    return done.stdout


CONFIG = """[ca]
default_ca = it
[it]
database = {folder}/{name}.index
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
policy = any
[any]
commonName = supplied
"""


class Authority:
    """A root of our own, or one below it, and what it signs."""

    def __init__(self, folder, name='ca', pair=None):
        self.folder, self.config = folder, f'{folder}/{name}.cnf'
        self.cert, self.key = pair or (f'{folder}/{name}.pem', f'{folder}/{name}.key')
        with open(self.config, 'w') as file:
            file.write(CONFIG.format(folder=folder, name=name))
        open(f'{folder}/{name}.index', 'w').close()
        if not pair:
            openssl('req', '-x509', *key_of('ec'), '-days', '2', '-subj', f'/CN={name}', '-keyout', self.key, '-out',
                    self.cert)

    def below(self, name, may_sign=True):
        """An authority that this one vouches for; or one that only claims to be."""
        bound = 'TRUE' if may_sign else 'FALSE'
        return Authority(self.folder, name, self.sign(name, None, extensions=[f'basicConstraints=CA:{bound}']))

    def sign(self, name, names, key_type='ec', times=None, digest='sha256',
             extensions=('basicConstraints=CA:FALSE',)):
        """A certificate for `names`, or for none, and its key. It is good for two days, or from the one of two times to
        the other: 20200131000000Z."""
        cert, key, request, extra = (f'{self.folder}/{name}.{end}' for end in ('pem', 'key', 'csr', 'ext'))
        openssl('req', '-new', *key_of(key_type), '-subj', f'/CN={name}', '-keyout', key, '-out', request)
        with open(extra, 'w') as file:
            lines = [f'subjectAltName={names}'] if names else []
            file.write('\n'.join([*lines, *extensions, '']))
        span = ['-startdate', times[0], '-enddate', times[1]] if times else ['-days', '2']
        openssl('ca', '-batch', '-notext', '-config', self.config, '-in', request, '-cert', self.cert, '-keyfile',
                self.key, '-md', digest, *span, '-extfile', extra, '-out', f'{cert}.made')
        os.rename(f'{cert}.made', cert)  # who watches the file sees it whole
        return cert, key


def key_of(kind):
    if kind.startswith('rsa'):
        return ['-nodes', '-newkey', f'rsa:{kind[3:]}']
    return ['-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']


def self_signed(folder, name, names):
    cert, key = f'{folder}/{name}.pem', f'{folder}/{name}.key'
    openssl('req', '-x509', *key_of('ec'), '-days', '2', '-subj', f'/CN={name}', '-addext', f'subjectAltName={names}',
            '-keyout', key, '-out', cert)
    return cert, key

#!/usr/bin/python3
"""What README.md and docs/ tell a reader to type: each block of code is compiled, parsed or run, and each link leads
somewhere. docs_pages.mjs has the example that takes a browser.

    WEFT_BIN=/path/to/weft docs.py
"""

import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from weft import PATIENCE_S, Weft, eventually, main, program, run  # noqa: E402

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGES = ['README.md', 'bench/rivals/README.md', *sorted(os.path.relpath(page, TREE)
                                                        for page in glob.glob(f'{TREE}/docs/*.md'))]
# Blocks of these languages are looked at by the tests below, or by another that is named.
LANGUAGES = {'', 'c', 'cmake', 'dockerfile', 'html', 'ini', 'js', 'json', 'nginx', 'sh', 'yaml'}
SECRET = 'a-secret-of-sixteen-letters'
ELSEWHERE = {'sudo', 'npm', 'node', 'podman', 'cc', 'jq'}  # what is not ours, or has a test of its own


def read(path):
    with open(os.path.join(TREE, path)) as file:
        return file.read()


def blocks(*languages):
    """(page:line, text) of each block in one of the languages."""
    for page in PAGES:
        text = read(page)
        for found in re.finditer(r'^```(\w*)\n(.*?)^```$', text, re.M | re.S):
            if found[1] in languages:
                yield f'{page}:{text.count(chr(10), 0, found.start()) + 1}', found[2]


def commands():
    """(page:line, words) of each command in a block for a shell, without what is redirected; scripts are run as a whole."""
    for where, text in blocks('sh'):
        if '() {' in text:
            continue
        text = re.sub(r'\$\(pkg-config[^)]*\)', '', text.replace('\\\n', ' '))
        for line in text.splitlines():
            lexer = shlex.shlex(line.replace('$(cat secret)', SECRET), posix=True, punctuation_chars='|;&<>()')
            lexer.whitespace_split = True
            words, target = [], False
            for word in [*lexer, ';']:
                if re.fullmatch(r'[|;&()]+', word):
                    if words:
                        yield where, words
                    words, target = [], False
                elif re.fullmatch(r'[<>]+', word):
                    target = True
                elif target:
                    target = False
                else:
                    words.append(word)


def slug(heading):
    heading = re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', heading)
    return re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')


def anchors(page):
    return {slug(line.lstrip('#').strip()) for line in re.sub(r'^```.*?^```$', '', read(page), flags=re.M | re.S)
            .splitlines() if line.startswith('#')}


class Docs(unittest.TestCase):
    def folder(self):
        """Where the files are that examples name."""
        folder = self.enterContext(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o755)
        with open(f'{folder}/secret', 'w') as file:
            file.write(f'{SECRET}\n')
        with open(f'{folder}/keys', 'w') as file:
            file.write('5' * 64 + '\n')
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days',
                        '2', '-subj', '/CN=chat.example.org', '-keyout', 'key.pem', '-out', 'chain.pem'],
                       cwd=folder, capture_output=True, timeout=PATIENCE_S, check=True)
        shutil.copy(f'{folder}/chain.pem', f'{folder}/ca.pem')
        with open(f'{folder}/weft.ini', 'w') as file:
            file.write(run('serve', '--print-config')[1])
        return folder

    def test_no_block_is_of_a_kind_that_nobody_looks_at(self):
        kinds = {found for page in PAGES for found in re.findall(r'^```(\w+)\n', read(page), re.M)}
        self.assertEqual(kinds - LANGUAGES, set())

    def test_links_lead_somewhere(self):
        count = 0
        for page in PAGES:
            for target in re.findall(r'\]\(([^)\s]+)\)|<img src="([^"]+)"', re.sub(r'^```.*?^```$', '', read(page),
                                                                                 flags=re.M | re.S)):
                target = ''.join(target)
                if re.match(r'https?:', target):
                    continue
                path, _, anchor = target.partition('#')
                path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
                self.assertTrue(os.path.exists(os.path.join(TREE, path)), f'{page}: {target}')
                if anchor:
                    self.assertIn(anchor, anchors(path), f'{page}: {target}')
                count += 1
        self.assertGreater(count, 100)

    def test_figures_beside_others_are_those_of_the_run(self):
        def rows(page):
            lines = [[cell.strip() for cell in line.strip('| ').split('|')] for line in read(page).splitlines()]
            return {line[0]: line[1:] for line in reversed(lines) if len(line) > 5}
        told, measured = rows('README.md'), rows('docs/RIVALS.md')
        head = 'ratio to raw epoll'
        self.assertGreater(len(told), 5)
        for name, cells in told.items():
            full = dict(zip(measured[head], measured[name]))
            self.assertEqual(cells, [full[column] for column in told[head]], name)

    def test_paths_are_there(self):
        for page in PAGES:
            for path in re.findall(r'`((?:app|bench|cli|examples|include|src|tests|tools|web)/[\w./-]+)', read(page)):
                built = os.path.basename(path).startswith(('conformance', 'bench_', 'load', 'million'))
                self.assertTrue(built or glob.glob(os.path.join(TREE, path) + '*'), f'{page}: {path}')

    def test_options_are_there(self):
        known = set(re.findall(r'--[a-z0-9-]+', ''.join(run('help', name)[1] for name in ('serve', 'connect', 'bench'))))
        for page in ('OPERATING', 'PUSHER', 'ROOMS', 'CONSOLE', 'CONNECT', 'SECURITY', 'COMPRESSION'):
            told = set(re.findall(r'`(--[a-z][a-z0-9-]+)', read(f'docs/{page}.md')))
            self.assertEqual(told - known, set(), page)
        settings = set(re.findall(r'^#?([a-z0-9-]+) = ', run('serve', '--print-config')[1], re.M))
        told = set(re.findall(r'`([a-z-]+) = ', read('docs/OPERATING.md')))
        self.assertEqual(told - settings, set())

    def test_c(self):
        """A program is an example of ours, word for word, which are compiled and run elsewhere; a piece compiles."""
        examples = [read(path) for path in glob.glob(f'{TREE}/examples/*.c')]
        for where, text in blocks('c'):
            if 'int main(' in text:
                self.assertIn(text, examples, where)
                continue
            whole = f'#include <stdio.h>\n#include <weft/weft.h>\nvoid piece(void) {{\n{text}}}\n'
            done = subprocess.run(['cc', '-fsyntax-only', '-Wall', '-Werror', '-I', f'{TREE}/include', '-x', 'c', '-'],
                                  input=whole, text=True, capture_output=True, timeout=PATIENCE_S)
            self.assertEqual((done.returncode, done.stderr), (0, ''), where)

    def test_cmake(self):
        """Line by line what tests/embed does."""
        done = ''.join(read(path) for path in glob.glob(f'{TREE}/tests/embed/*/CMakeLists.txt'))
        done = re.sub(r'weft [\d.]+ REQ', 'weft REQ', done).replace('echo', 'app')
        done = done.replace('"${CMAKE_CURRENT_SOURCE_DIR}/weft"', '/path/to/weft')
        for where, text in blocks('cmake'):
            for line in text.splitlines():
                self.assertIn(line, done, where)

    def test_json(self):
        for where, text in blocks('json'):
            for line in text.splitlines():
                with self.subTest(where):
                    json.loads(line)

    def test_javascript(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        names = []
        for n, (where, text) in enumerate(blocks('js')):
            names.append(f'{folder}/{n}.mjs')
            with open(names[-1], 'w') as file:
                file.write(text)
        check = '''const { readFileSync } = require('node:fs'), vm = require('node:vm');
            for (const name of process.argv.slice(1)) new vm.SourceTextModule(readFileSync(name, 'utf8'), { identifier: name });'''
        done = subprocess.run(['node', '--no-warnings', '--experimental-vm-modules', '-e', check, *names], text=True,
                              capture_output=True, timeout=PATIENCE_S)
        self.assertEqual((done.returncode, done.stderr), (0, ''), done.stderr)
        self.assertGreater(len(names), 3)

    def test_files_to_copy(self):
        """A block that begins with the name of a file is that file."""
        deployed = {os.path.basename(path): read(path) for path in glob.glob(f'{TREE}/examples/deploy/*')}
        told = [text for _, text in blocks('ini', 'nginx', 'dockerfile') if text.startswith('# ')]
        self.assertEqual(sorted(told), sorted(deployed.values()))

    @unittest.skipUnless(shutil.which('dpkg-query'), 'the packages are Debian\'s')
    def test_the_container_has_what_is_linked(self):
        needed = subprocess.run(['readelf', '-d', program()], capture_output=True, text=True, timeout=PATIENCE_S,
                                check=True).stdout
        names = re.findall(r'NEEDED.*\[(lib.*)\]', needed)
        loaded = subprocess.run(['ldd', program()], capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout
        paths = [path.removeprefix('/usr') for path in re.findall(r'=> (/\S+)', loaded)]
        owned = subprocess.run(['dpkg-query', '-S', *paths, *[f'/usr{path}' for path in paths]], capture_output=True,
                               text=True, timeout=60).stdout
        told = read('examples/deploy/Containerfile').split()
        for name in names:
            owners = re.findall(rf'^([^:]+):.* /(?:usr/)?lib/\S*/{re.escape(name)}$', owned, re.M)
            self.assertTrue(any(owner in told or re.match('libc6|libgcc|lib[a-z]*san', owner) for owner in owners),
                            f'{name} {owners}')

    def test_config_files(self):
        folder = self.folder()
        count = 0
        for where, text in blocks('ini'):
            if '[Unit]' in text:
                continue
            text = re.sub(r'/etc/letsencrypt/\S*/fullchain.pem|chain.pem', f'{folder}/chain.pem', text)
            text = re.sub(r'/etc/letsencrypt/\S*/privkey.pem|key.pem', f'{folder}/key.pem', text)
            text = re.sub(r'/etc/weft/admin-secret', f'{folder}/secret', text)
            with open(f'{folder}/told.ini', 'w') as file:
                file.write(text)
            self.assertEqual(run('serve', '--config', f'{folder}/told.ini', '--check'), (0, 'good\n', ''), where)
            count += 1
        self.assertGreater(count, 3)

    def run_weft(self, words, folder):
        """serve only checks; what would connect finds nobody, which is after all words were understood."""
        words = [re.sub(r'^URL|wss?://[^/]+', 'ws://127.0.0.1:1', word) for word in words]
        if words[1] == 'serve' and '--print-config' not in words:
            words.append('--check')
        done = subprocess.run([program(), *words[1:]], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE_S)
        return done.returncode, done.stderr

    def test_commands(self):
        """Each begins with a program that is there, and what is ours understands its words."""
        folder, made = self.folder(), 0
        with Weft('--admin-secret-file', f'{folder}/secret') as server:
            for where, words in commands():
                name = os.path.basename(words[0])
                if words[:3] == ['weft', 'bench', 'diff']:
                    continue  # e2e/bench_report.py has it
                if name == 'weft':
                    code, err = self.run_weft(words, folder)
                    self.assertIn(code, (0,) if words[1] in ('serve', 'help') else (7, 1, 0), f'{where} {words} {err}')
                    made += 1
                elif name == 'curl':
                    words = [word.replace('http://127.0.0.1:9001', server.url) for word in words]
                    done = subprocess.run([words[0], '-sS', '--fail', *words[1:]], capture_output=True, text=True,
                                          timeout=PATIENCE_S)
                    self.assertEqual((done.returncode, done.stderr), (0, ''), f'{where} {words}')
                    made += 1
                elif name == 'make':
                    for target in (word for word in words[1:] if '=' not in word):
                        self.assertRegex(read('Makefile'), rf'(?m)^{target}:', where)
                elif '/' in words[0] and not words[0].startswith('build'):
                    self.assertTrue(os.access(os.path.join(TREE, words[0]), os.X_OK), f'{where} {words}')
                elif not words[0].startswith('build') and name not in ELSEWHERE and '=' not in words[0]:
                    self.assertTrue(shutil.which(name) or name in ('umask', 'for', 'do', 'done'), f'{where} {words}')
        self.assertGreater(made, 25)

    def test_question_marks_are_quoted(self):
        """zsh takes them for names of files."""
        for where, text in blocks('sh'):
            self.assertNotRegex(re.sub(r"'[^']*'|\"[^\"]*\"|#.*", '', text), r'://\S*\?', where)

    def test_scripts(self):
        """Those with functions, each against a server that lets in whom the keys let in."""
        folder, count = self.folder(), 0
        with Weft('--jwt-keys', f'{folder}/keys') as server:
            for where, text in blocks('sh'):
                if '() {' in text:
                    ours = 'curl() { command curl -sS --fail "$@"; }\nweft() { %s "$@"; }\n' % shlex.quote(program())
                    text = text.replace('127.0.0.1:9001', server.url.partition('//')[2])
                    done = subprocess.run(['sh', '-euc', ours + text], cwd=folder, text=True, capture_output=True,
                                          stdin=subprocess.DEVNULL, timeout=PATIENCE_S)
                    self.assertEqual((done.returncode, done.stderr), (0, ''), where)
                    count += 1
        self.assertGreater(count, 0)

    def test_nginx(self):
        """In front of a unix socket: pages, WebSockets with the origin of the page, and streams."""
        folder = self.folder()
        at = f'{folder}/nginx'
        os.mkdir(at)
        os.chmod(at, 0o777)
        text = read('examples/deploy/nginx.conf').replace('listen 443 ssl', f'listen unix:{at}/front.sock ssl')
        text = re.sub(r'/etc/letsencrypt/\S*/fullchain.pem', f'{folder}/chain.pem', text)
        text = re.sub(r'/etc/letsencrypt/\S*/privkey.pem', f'{folder}/key.pem', text)
        text = text.replace('/run/weft/weft.sock', f'{at}/weft.sock')
        temporary = ''.join(f'{kind}_temp_path {at}/{kind};' for kind in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
        with open(f'{at}/nginx.conf', 'w') as file:
            file.write(f'daemon off; master_process off; pid {at}/pid; error_log {at}/log; events {{}}\n'
                       f'http {{ access_log off; {temporary}\n{text} }}')
        nginx = shutil.which('nginx') or '/usr/sbin/nginx'
        with Weft(listen=f'unix:{at}/weft.sock'):
            front = subprocess.Popen([nginx, '-p', at, '-e', f'{at}/log', '-c', f'{at}/nginx.conf'], stderr=subprocess.DEVNULL)
            try:
                eventually(lambda: os.path.exists(f'{at}/front.sock'))
                curl = ['curl', '-sk', '--noproxy', '*', '--unix-socket', f'{at}/front.sock', '--max-time', '2']

                def ask(*words):
                    return subprocess.run([*curl, *words], capture_output=True, timeout=PATIENCE_S).stdout.decode(errors='replace')
                site = 'https://chat.example.org'
                self.assertEqual(ask(f'{site}/healthz'), 'ok\n')
                self.assertEqual(ask('-o', '/dev/null', '-w', '%{http_code}', f'{site}/metrics'), '404')
                self.assertEqual(ask('-d', 'hello', '-w', '%{http_code}', f'{site}/rooms/lobby'), '204')
                upgrade = ['-i', '--http1.1', '-H', 'Connection: Upgrade', '-H', 'Upgrade: websocket', '-H',
                           'Sec-WebSocket-Version: 13', '-H', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']
                curl[-1] = '0.3'
                self.assertIn('101', ask(*upgrade, '-H', f'Origin: {site}', f'{site}/rooms/lobby?last=1').split('\n')[0])
                self.assertIn('403', ask(*upgrade, '-H', 'Origin: https://other.org', f'{site}/rooms/lobby').split('\n')[0])
                self.assertIn('"data":"hello"', ask('-N', '-H', 'Accept: text/event-stream', f'{site}/rooms/lobby?last=1'))
            finally:
                front.terminate()
                front.wait(PATIENCE_S)


if __name__ == '__main__':
    main()

// Our client over HTTP/2 against a server nobody here wrote: node's own http2, and on its streams the library `ws`.
//
//   TALKER=/path/to/talker WEFT_BIN=/path/to/weft node --test client_h2.mjs

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { WebSocket, WebSocketServer } from 'ws';
import { Weft } from './weft.mjs';

const run = promisify(execFile);
const ALL = ['open plain', 'pong measured', 'all came back', "closed 4321 'thank you' clean"];

const folder = mkdtempSync(join(tmpdir(), 'weft-h2-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name));
execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', cert],
{ stdio: 'ignore' });

/** A server; `play` sees each WebSocket. What it has seen: sessions of HTTP/2, and handshakes by version. */
class Server {
    sessions = 0;
    over2 = 0;
    over1 = 0;

    constructor(secure, settings, play = echo) {
        const options = { settings: { enableConnectProtocol: true, ...settings }, allowHTTP1: true };
        this.server = secure
            ? http2.createSecureServer({ ...options, key: readFileSync(key), cert: readFileSync(cert) })
            : http2.createServer(options);
        this.all = new Set();
        this.server.on('session', (session) => { this.sessions++; this.all.add(session); });
        this.server.on('sessionError', () => {});
        this.server.on('stream', (stream, headers) => {
            stream.on('error', () => {});
            if (headers[':path'] === '/no') {
                stream.respond({ ':status': 403, 'x-why': 'so' });
                stream.end('not here');
                return;
            }
            assert.equal(headers[':method'], 'CONNECT');
            assert.equal(headers[':protocol'], 'websocket');
            assert.equal(headers[':scheme'], secure ? 'https' : 'http');
            assert.equal(headers['sec-websocket-version'], '13');
            assert.equal(headers['sec-websocket-key'], undefined);
            this.over2++;
            stream.respond({ ':status': 200 });
            const socket = new WebSocket(null, undefined, { autoPong: true });
            socket.setSocket(stream, Buffer.alloc(0), { maxPayload: 1 << 24, skipUTF8Validation: false });
            play(socket, stream, headers);
        });
        const old = new WebSocketServer({ noServer: true });
        this.server.on('upgrade', (request, socket, head) => old.handleUpgrade(request, socket, head, (opened) => {
            this.over1++;
            play(opened);
        }));
    }

    async listen() {
        this.server.listen(0, '127.0.0.1');
        await once(this.server, 'listening');
        this.port = this.server.address().port;
    }

    close() {
        for (const session of this.all) session.destroy();
        this.server.close();
    }
}

function echo(socket) {
    socket.on('error', () => {});
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
}

async function scene(name, secure, settings, act, play) {
    await test(name, { timeout: 60000 }, async () => {
        const server = new Server(secure, settings, play);
        await server.listen();
        try {
            await act(server, `${secure ? 'wss' : 'ws'}://127.0.0.1:${server.port}`);
        } finally {
            server.close();
        }
    });
}

async function talk(url, env = { HTTP2: 'yes', CACERT: cert }) {
    const { stdout } = await run(process.env.TALKER, [url], { timeout: 20000, env: { ...process.env, ...env } });
    return stdout.trim().split('\n').map((line) => line.trimEnd());
}

/** What `weft` writes, and its exit code. */
function weft(args, input = '') {
    return new Promise((resolve) => {
        const child = execFile(process.env.WEFT_BIN, args, { timeout: 30000, maxBuffer: 1 << 26 },
            (error, stdout, stderr) => resolve({ code: error ? error.code : 0, stdout, stderr }));
        child.stdin.on('error', () => {});
        child.stdin.end(input);
    });
}

for (const secure of [false, true]) {
    const over = secure ? 'over TLS' : 'in the clear';
    await scene(`messages of all sizes ${over}`, secure, {}, async (server, url) => {
        assert.deepEqual(await talk(`${url}/`), ALL);
        assert.deepEqual([server.sessions, server.over2, server.over1], [1, 1, 0]);
    });

    await scene(`a megabyte both ways ${over}`, secure, {}, async (server, url) => {
        const text = 'x'.repeat(1 << 20);
        const got = await weft(['connect', url, '--http2', '-k', '--expect', '2'], `${text}\n${text}\n`);
        assert.equal(got.code, 0, got.stderr);
        assert.equal(got.stdout, `${text}\n${text}\n`);
    });

    await scene(`a refusal ${over}`, secure, {}, async (server, url) => {
        const got = await weft(['connect', `${url}/no`, '--http2', '-k', '-v']);
        assert.equal(got.code, 22, got.stderr);
        assert.match(got.stderr, /403 Forbidden[^]*x-why: so[^]*not here/);
    });
}

await scene('many on as few connections as it allows', true, { maxConcurrentStreams: 20 }, async (server, url) => {
    const got = await weft(['bench', url, '--http2', '-k', '-c', '60', '-d', '300ms', '-r', '1k', '-q']);
    assert.match(got.stdout, /errors +none/, got.stdout + got.stderr);
    assert.deepEqual([server.sessions, server.over2, server.over1], [3, 60, 0]);
});

test('our own server over TLS', { timeout: 60000 }, async () => {
    const server = await Weft.start('--tls-self-signed');
    try {
        const url = `wss://127.0.0.1:${server.port}/echo`;
        const got = await weft(['bench', url, '--http2', '-k', '-c', '150', '-d', '300ms', '-r', '1k', '-q']);
        assert.match(got.stdout, /errors +none/, got.stdout + got.stderr);
        const page = await weft(['connect', `wss://127.0.0.1:${server.port}/none`, '--http2', '-k']);
        assert.equal(page.code, 22);
    } finally {
        await server.stop();
    }
});

await scene('a server without WebSockets over HTTP/2', true, { enableConnectProtocol: false }, async (server, url) => {
    assert.deepEqual(await talk(`${url}/`), ALL);
    assert.deepEqual([server.sessions, server.over2, server.over1], [1, 0, 1]);
    const got = await weft(['bench', url, '--http2', '-k', '-c', '20', '-d', '200ms', '-r', '500', '-q']);
    assert.match(got.stdout, /errors +none/, got.stdout + got.stderr);
    assert.deepEqual([server.sessions, server.over2, server.over1], [2, 0, 21]); // it costs one, once
});

await scene('who does not ask for HTTP/2', true, {}, async (server, url) => {
    assert.deepEqual(await talk(`${url}/`, { CACERT: cert }), ALL);
    assert.deepEqual([server.sessions, server.over2, server.over1], [0, 0, 1]);
});

await scene('a stream that is reset', false, {}, async (server, url) => {
    const got = await weft(['connect', url, '--http2', '-v', '-U']);
    assert.match(got.stderr, /closed with 1006/);
    assert.notEqual(got.code, 0);
}, (socket, stream) => {
    socket.send('before');
    setTimeout(() => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR), 50);
});

await scene('a server that goes away lets what is open end', false, {}, async (server, url) => {
    const got = await weft(['connect', url, '--http2', '-v', '-U']);
    assert.equal(got.stdout, 'before\nbehind\n');
    assert.equal(got.code, 0, got.stderr);
}, (socket, stream) => {
    socket.send('before');
    stream.session.close(); // GOAWAY
    setTimeout(() => { socket.send('behind'); socket.close(1000); }, 50);
});

await scene('a connection that is cut', false, {}, async (server, url) => {
    const got = await weft(['connect', url, '--http2', '-v', '-U']);
    assert.equal(got.stdout, 'before\n');
    assert.notEqual(got.code, 0);
}, (socket, stream) => {
    socket.on('error', () => {});
    socket.send('before');
    setTimeout(() => stream.session.destroy(), 50);
});

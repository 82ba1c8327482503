// WebSockets over HTTP/2 (RFC 8441), by node's own http2: many on one connection, beside pages.
//
//   WEFT_BIN=/path/to/weft node --test h2.mjs

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { soon, Weft } from './weft.mjs';

const PATIENCE_MS = 10000;
const MASK = Buffer.from([0x12, 0x34, 0x56, 0x78]);

/** A masked frame of a client. */
function frame(opcode, data, fin = true) {
    const payload = Buffer.from(data);
    const head = payload.length < 126 ? [payload.length] : payload.length < 65536
        ? [126, payload.length >> 8, payload.length & 255]
        : [127, 0, 0, 0, 0, ...new Uint8Array(new Uint32Array([payload.length]).buffer).reverse()];
    head[0] |= 0x80;
    for (let i = 0; i < payload.length; i++) payload[i] ^= MASK[i % 4];
    return Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | opcode, ...head]), MASK, payload]);
}

/** A WebSocket on a stream of an HTTP/2 connection, just enough of it. */
class Stream {
    constructor(connection, path, headers = {}) {
        this.stream = connection.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http',
            ':authority': 'a', ':path': path, 'sec-websocket-version': '13', ...headers });
        this.stream.on('error', () => {});
        this.bytes = Buffer.alloc(0);
        this.waiting = [];
        this.stream.on('data', (data) => { this.bytes = Buffer.concat([this.bytes, data]); this.wake(); });
        this.ended = once(this.stream, 'end').catch(() => {});
        this.stream.on('close', () => this.wake());
        this.answered = once(this.stream, 'response').then(([fields]) => fields);
    }

    wake() { for (const go of this.waiting.splice(0)) go(); }
    send(opcode, data, fin) { this.stream.write(frame(opcode, data, fin)); }

    /** The next frame: [opcode, payload]. */
    async take() {
        for (;;) {
            const b = this.bytes;
            const short = b.length >= 2 ? b[1] & 127 : 0;
            const at = short === 126 ? 4 : short === 127 ? 10 : 2;
            if (b.length >= at) {
                const len = short === 126 ? b.readUInt16BE(2) : short === 127 ? Number(b.readBigUInt64BE(2)) : short;
                if (b.length >= at + len) {
                    this.bytes = b.subarray(at + len);
                    return [b[0] & 15, b.subarray(at, at + len)];
                }
            }
            if (this.stream.closed) throw new Error('the stream has ended');
            await soon(new Promise((resolve) => this.waiting.push(resolve)), 'a frame');
        }
    }
}

function scene(name, flags, play) {
    test(name, { timeout: 60000 }, async () => {
        const weft = await Weft.start('--h2c', ...flags);
        const connection = http2.connect(weft.url);
        const metrics = async () => {
            const text = await (await fetch(`${weft.url}/metrics`)).text();
            return (which) => Number(text.match(new RegExp(`^weft_${which} (\\d+)`, 'm'))[1]);
        };
        try {
            await play({ weft, connection, metrics, open: async (path, headers) => {
                const stream = new Stream(connection, path, headers);
                const fields = await soon(stream.answered, 'an answer');
                assert.equal(fields[':status'], 200);
                stream.fields = fields;
                return stream;
            } });
        } finally {
            connection.destroy();
            await weft.stop();
        }
    });
}

const page = (connection, fields, body) => new Promise((resolve, reject) => {
    const stream = connection.request(fields);
    const parts = [];
    let answer;
    stream.on('response', (got) => { answer = got; });
    stream.on('data', (data) => parts.push(data));
    stream.on('end', () => resolve([answer[':status'], Buffer.concat(parts), answer]));
    stream.on('error', reject);
    stream.end(body);
});

scene('echo of every size, text and binary', ['--message-max', '4M', '--queue-max', '16M'], async ({ open }) => {
    const socket = await open('/echo');
    for (const size of [0, 1, 125, 126, 1000, 65535, 65536, 3000000]) {
        const data = randomBytes(size);
        socket.send(2, data);
        const [opcode, got] = await socket.take();
        assert.equal(opcode, 2);
        assert.ok(got.equals(data), `${size}`);
    }
    socket.send(1, 'grüße', true);
    assert.deepEqual(await socket.take(), [1, Buffer.from('grüße')]);
    socket.send(8, Buffer.from([0x03, 0xe8]));
    assert.deepEqual(await socket.take(), [8, Buffer.from([0x03, 0xe8])]);
    await soon(socket.ended, 'the end');
});

scene('many WebSockets share one connection', [], async ({ open, connection, metrics }) => {
    const before = (await metrics())('accepted_total');
    const sockets = await Promise.all(Array.from({ length: 90 }, () => open('/rooms/one')));
    const seen = await metrics();
    assert.equal(seen('websockets'), 90);
    assert.ok(seen('accepted_total') - before <= 2); // this one's own, and metrics'
    sockets[0].send(1, 'hello all');
    for (const socket of sockets.slice(1)) assert.deepEqual(await socket.take(), [1, Buffer.from('hello all')]);
    const [status, body] = await page(connection, { ':path': '/healthz' });
    assert.deepEqual([status, String(body)], [200, 'ok\n']);
});

scene('pages, bodies and refusals', [], async ({ connection, open }) => {
    const member = await open('/rooms/a');
    const [status] = await page(connection, { ':path': '/rooms/a', ':method': 'POST' }, 'posted');
    assert.equal(status, 204);
    assert.deepEqual(await member.take(), [1, Buffer.from('posted')]);
    assert.equal((await page(connection, { ':path': '/nothing' }))[0], 404);
    assert.equal((await page(connection, { ':path': '/rooms/a', ':method': 'POST' }, Buffer.alloc(100000)))[0], 413);
    const [head, body, fields] = await page(connection, { ':path': '/', ':method': 'HEAD' });
    assert.deepEqual([head, body.length], [200, 0]);
    assert.ok(Number(fields['content-length']) > 1000);
    for (const [headers, status] of [[{ origin: 'https://elsewhere.example' }, 403], [{ ':path': '/none' }, 404],
        [{ 'sec-websocket-version': '8' }, 426], [{ ':protocol': 'webtransport' }, 501],
        [{ 'x-long': 'x'.repeat(9000) }, 431]]) {
        const refused = new Stream(connection, '/echo', headers);
        assert.equal((await soon(refused.answered, 'an answer'))[':status'], status, JSON.stringify(headers));
    }
});

scene('bytes are counted once, where they go by', [], async ({ open, metrics }) => {
    const socket = await open('/echo');
    for (let i = 0; i < 20; i++) {
        socket.send(2, randomBytes(50000));
        await socket.take();
    }
    const seen = await metrics();
    for (const which of ['received_bytes_total', 'sent_bytes_total'])
        assert.ok(seen(which) > 1000000 && seen(which) < 1100000, `${which}: ${seen(which)}`);
});

scene('a subprotocol, and fragments with a ping between', [], async ({ open }) => {
    const socket = await open('/echo');
    socket.send(1, 'one ', false);
    socket.send(9, 'are you there');
    socket.send(0, 'two', true);
    assert.deepEqual(await socket.take(), [10, Buffer.from('are you there')]);
    assert.deepEqual(await socket.take(), [1, Buffer.from('one two')]);
});

scene('a protocol error ends its stream and no other', [], async ({ open }) => {
    const [good, bad] = [await open('/echo'), await open('/echo')];
    bad.stream.write(Buffer.from([0x81, 0x01, 0x41])); // not masked
    const [opcode, why] = await bad.take();
    assert.deepEqual([opcode, why.readUInt16BE(0)], [8, 1002]);
    await soon(bad.ended, 'the end');
    good.send(1, 'still here');
    assert.deepEqual(await good.take(), [1, Buffer.from('still here')]);
});

scene('a stream that is not read stalls no other, and is let go of', ['--queue-max', '100k', '--message-max', '64k'],
    async ({ open, metrics }) => {
        const [slow, fast, talker] = [await open('/rooms/r'), await open('/rooms/r'), await open('/rooms/r')];
        slow.stream.pause();
        slow.stream.removeAllListeners('data');
        const data = Buffer.alloc(50000, 'x');
        for (let i = 0; i < 40; i++) {
            talker.send(1, data);
            assert.equal((await fast.take())[1].length, data.length);
        }
        const seen = await metrics();
        assert.ok(seen('queue_drops_total') > 0);
    });

scene('a stream that is reset ends its WebSocket alone', [], async ({ open, metrics }) => {
    const [gone, stays] = [await open('/echo'), await open('/echo')];
    gone.stream.close(http2.constants.NGHTTP2_CANCEL);
    for (let i = 0; i < 100 && (await metrics())('websockets') !== 1; i++) await sleep(20);
    assert.equal((await metrics())('websockets'), 1);
    stays.send(1, 'x');
    assert.deepEqual(await stays.take(), [1, Buffer.from('x')]);
});

scene('a connection that breaks ends all its WebSockets', [], async ({ open, connection, metrics }) => {
    await Promise.all(Array.from({ length: 20 }, () => open('/rooms/a')));
    assert.equal((await metrics())('websockets'), 20);
    connection.destroy();
    for (let i = 0; i < 100 && (await metrics())('websockets') !== 0; i++) await sleep(20);
    assert.equal((await metrics())('websockets'), 0);
});

test('a drain closes the WebSockets, then the connection', { timeout: 30000 }, async () => {
    const weft = await Weft.start('--h2c', '--drain', '0');
    const connection = http2.connect(weft.url);
    const away = once(connection, 'goaway'), closed = once(connection, 'close');
    const socket = new Stream(connection, '/echo');
    await soon(socket.answered, 'an answer');
    const stopped = weft.stop();
    const [opcode, why] = await socket.take();
    assert.deepEqual([opcode, why.readUInt16BE(0)], [8, 1001]);
    socket.send(8, why.subarray(0, 2));
    await soon(away, 'GOAWAY');
    await soon(closed, 'the close');
    await stopped;
});

test('a WebSocket lives on behind the deadline of the handshake', { timeout: 30000 }, async () => {
    const weft = await Weft.start('--h2c', '--handshake-timeout', '1s');
    const connection = http2.connect(weft.url);
    try {
        await once(connection, 'connect');
        const socket = new Stream(connection, '/echo');
        await soon(socket.answered, 'an answer');
        await sleep(2500);
        socket.send(1, 'still here');
        assert.deepEqual((await socket.take())[1].toString(), 'still here');
    } finally {
        connection.destroy();
        await weft.stop();
    }
});

test('what is no HTTP/2, and floods, end', { timeout: 30000 }, async () => {
    const weft = await Weft.start('--h2c');
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    const ping = Buffer.from([0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    const floods = {
        'not the preface': Buffer.from('PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n'),
        'a frame over its size': Buffer.concat([preface, settings, Buffer.from([255, 255, 255, 0, 0, 0, 0, 0, 1])]),
        'data of no stream': Buffer.concat([preface, settings, Buffer.from([0, 0, 1, 0, 0, 0, 0, 0, 1, 65])]),
        'settings without end': Buffer.concat([preface, ...Array(100000).fill(settings)]),
        'pings without end': Buffer.concat([preface, settings, ...Array(100000).fill(ping)]),
        'garbage': Buffer.concat([preface, randomBytes(10000)]),
    };
    try {
        for (const [name, bytes] of Object.entries(floods)) {
            const peer = net.connect(weft.port, '127.0.0.1');
            peer.on('error', () => {});
            peer.pause(); // nothing is read: answers pile up, at first in the kernel
            peer.write(bytes);
            await sleep(200);
            peer.resume();
            peer.end();
            await Promise.race([once(peer, 'close'), sleep(PATIENCE_MS).then(() => assert.fail(name))]);
        }
        assert.equal(await (await fetch(`${weft.url}/healthz`)).text(), 'ok\n');
    } finally {
        await weft.stop();
    }
});

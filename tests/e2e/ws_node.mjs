// Two WebSocket clients for node that are not ours, `ws` and `undici`, against the program.
//
//   WEFT_BIN=/path/to/weft node --test ws_node.mjs

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket as Undici } from 'undici';
import { Inbox, scene, TEST_MS, WsClient } from './clients.mjs';
import { eventually, soon, Weft } from './weft.mjs';

/** The WebSocket of browsers, as undici has it. */
class UndiciClient extends Inbox {
    constructor(url, { protocols, origin } = {}) {
        super();
        this.socket = new Undici(url, { protocols, headers: origin ? { origin } : {} });
        this.socket.binaryType = 'arraybuffer';
        this.socket.onmessage = ({ data }) => this.put(typeof data === 'string' ? data : Buffer.from(data));
        this.closed = new Promise((resolve) => {
            this.socket.onclose = ({ code, reason }) => resolve([code, reason]);
        });
        this.opened = new Promise((resolve, reject) => {
            this.socket.onopen = () => resolve(this);
            this.socket.onerror = () => reject(new Error('refused: 4xx')); // browsers do not say with what
        });
        this.opened.catch(() => {});
    }

    send(data) { this.socket.send(data); }
    close(...why) { this.socket.close(...why); return soon(this.closed, 'the close'); }
}

const libraries = { ws: WsClient, undici: UndiciClient };

/** One scene for each library. */
function scenes(name, flags, play) {
    for (const [library, Client] of Object.entries(libraries))
        scene(`${library}: ${name}`, flags, play, Client);
}

const refused = (client, why) => assert.rejects(soon(client.opened), { message: `refused: ${why}` });

scenes('echo', ['--message-max', '16M', '--queue-max', '64M'], async ({ open }) => {
    const client = await open();
    const messages = ['hello', '', Buffer.alloc(0), Buffer.from([0, 255, 128]), 'κόσμε 🧵', 'x'.repeat(125),
        'x'.repeat(126), Buffer.alloc(65535, 7), Buffer.alloc(65536, 8), randomBytes(10 << 20), 'ж'.repeat(5 << 20)];
    for (const message of messages) client.send(message);
    for (const message of messages) {
        const got = await client.take();
        assert.equal(typeof got, typeof message);
        const same = typeof got === 'string' ? got === message : got.equals(message);
        assert.ok(same, `${message.length} of ${typeof message}`);
    }
});

scenes('close codes from the client', [], async ({ weft, open }) => {
    for (const [code, reason] of [[1000, ''], [1000, 'bye'], [3000, 'three'], [4999, 'ß'.repeat(61)]])
        assert.equal((await (await open()).close(code, reason))[0], code);
    assert.equal((await (await open()).close())[0], 1005);
    const metrics = await (await weft.fetch('/metrics')).text();
    for (const line of ['"1000"} 2', '"1005"} 1', '"3xxx"} 1', '"4xxx"} 1', '"1006"} 0'])
        assert.ok(metrics.includes(`weft_closes_total{code=${line}`), line);
});

scenes('closed with 1001 when the server stops', ['--drain', '50ms'], async ({ weft, open }) => {
    const clients = [await open(), await open('/rooms/a')];
    assert.equal(await weft.drain(), 0);
    for (const client of clients) assert.deepEqual(await soon(client.closed), [1001, 'server is going away']);
});

scenes('closed with 1009 for a message that is too long', ['--message-max', '1k'], async ({ open }) => {
    const client = await open();
    client.send('x'.repeat(1024));
    assert.equal((await client.take()).length, 1024);
    client.send('x'.repeat(1025));
    assert.equal((await soon(client.closed))[0], 1009);
});

scenes('the heartbeat is answered', ['--ping-interval', '200ms', '--ping-timeout', '600ms'], async ({ open }) => {
    const client = await open();
    await sleep(1200);
    client.send('still here');
    assert.equal(await client.take(), 'still here');
});

scenes('rooms', [], async ({ weft, open }) => {
    const [ann, bob, eve] = [await open('/rooms/a'), await open('/rooms/a?echo=1'), await open('/rooms/b')];
    ann.send('from ann');
    assert.equal(await bob.take(), 'from ann');
    bob.send(Buffer.from([0, 255]));
    for (const client of [ann, bob]) assert.deepEqual(await client.take(), Buffer.from([0, 255]));
    await weft.publish('b', 'für b');
    assert.equal(await eve.take(), 'für b');
    await weft.publish('b', Buffer.from([255]));
    assert.deepEqual(await eve.take(), Buffer.from([255]));
    await weft.publish('b', 'text, but', { 'content-type': 'application/octet-stream' });
    assert.deepEqual(await eve.take(), Buffer.from('text, but'));
    assert.deepEqual(await weft.rooms(), { a: [2, 2], b: [1, 3] });
    for (const client of [ann, bob, eve]) {
        await client.close();
        assert.deepEqual(client.items, [], 'nobody heard what was not for them');
    }
    await eventually(async () => Object.values(await weft.rooms()).every(([members]) => members === 0));
});

// With several workers, a message acknowledged a moment ago may come live instead of from the history.
scenes('replay, by count', ['--history', '5', '--threads', '1'], async ({ weft, open }) => {
    for (let n = 0; n < 8; n++) await weft.publish('past', `${n}`);
    const late = await open('/rooms/past?last=3');
    await weft.publish('past', '8');
    assert.deepEqual(await late.takeAll(4), ['5', '6', '7', '8']);
    assert.deepEqual(await (await open('/rooms/past?last=1000')).takeAll(5), ['4', '5', '6', '7', '8']);
    const now = await open('/rooms/past');
    await weft.publish('past', '9');
    assert.equal(await now.take(), '9');
});

scenes('replay, by bytes', ['--history-max', '10k', '--threads', '1'], async ({ weft, open }) => {
    for (let n = 0; n < 10; n++) await weft.publish('past', `${n}`.repeat(3000));
    const late = await open('/rooms/past?last=100&echo=1');
    late.send('now');
    const heard = (await late.takeAll(4)).map((text) => text[0] + text.length);
    assert.deepEqual(heard, ['73000', '83000', '93000', 'n3']);
});

scenes('none of the subprotocols offered is picked', [], async ({ weft, connect }) => {
    const client = connect('/echo', { protocols: ['chat', 'superchat'] });
    // These clients go by the rules of browsers and give up when what they offered is not picked. They get there by the
    // server's 101, not by a refusal.
    await soon(client.opened).then(() => assert.equal(client.socket.protocol, ''), (error) => {
        assert.match(error.message, /no subprotocol|refused: 4xx/);
    });
    assert.match(await (await weft.fetch('/metrics')).text(), /^weft_handshakes_total 1$/m);
});

scene('ws: fragments', [], async ({ open }) => {
    const client = await open();
    const { socket } = client;
    socket.send('one ', { fin: false });
    socket.ping('between');
    socket.send('two ', { fin: false });
    socket.send('', { fin: false });
    socket.send('three', { fin: true });
    assert.equal(await client.take(), 'one two three');
    assert.equal(await client.pongs.take(), 'between');
    const pieces = Array.from({ length: 100 }, () => randomBytes(500));
    pieces.forEach((piece, i) => socket.send(piece, { binary: true, fin: i === 99 }));
    assert.deepEqual(await client.take(), Buffer.concat(pieces));
});

scene('ws: pings both ways', ['--ping-interval', '200ms'], async ({ open }) => {
    const client = await open();
    for (const payload of ['', 'p', 'x'.repeat(125)]) {
        client.socket.ping(payload);
        assert.equal(await client.pongs.take(), payload);
    }
    const [first, second] = await client.pings.takeAll(2);
    assert.equal(first.length, 8);
    assert.notDeepEqual(first, second, 'a ping cannot be guessed from the last');
});

scene('ws: an unanswered heartbeat ends in 1008', ['--ping-interval', '200ms', '--ping-timeout', '200ms'],
    async ({ open }) => {
        const client = await open('/echo', { autoPong: false });
        assert.equal((await soon(client.closed))[0], 1008);
    });

scene('ws: text that is not UTF-8 ends in 1007', [], async ({ open }) => {
    const client = await open();
    client.socket.send(Buffer.from([0x68, 0xff]), { binary: false });
    assert.equal((await soon(client.closed))[0], 1007);
});

/** Publishes numbered messages to a room whose only member does not read, until the metrics show the sign. */
async function flood(weft, sign) {
    const metrics = async () => (await weft.fetch('/metrics')).text();
    for (let n = 0; !sign.test(await metrics()); n += 40) {
        assert.ok(n < 2000, 'the queue must be full at some time');
        for (let i = n; i < n + 40; i++) await weft.publish('fast', `${i}:`.padEnd(60000, 'x'));
    }
    await weft.publish('fast', 'last');
}

const slowReader = ['--queue-max', '256k', '--threads', '1'];

scene('ws: a reader slower than its room is closed with 1008', slowReader, async ({ weft, open }) => {
    const slow = await open('/rooms/fast');
    slow.socket.pause();
    await flood(weft, /code="1008"} 1|shed_total 1|websockets 0/);
    slow.socket.resume();
    assert.equal((await soon(slow.closed))[0], 1008);
});

for (const policy of ['drop-newest', 'drop-oldest']) {
    const flags = [...slowReader, '--slow', policy];
    scene(`ws: a reader slower than its room under ${policy}`, flags, async ({ weft, open }) => {
        const slow = await open('/rooms/fast?echo=1');
        slow.socket.pause();
        await flood(weft, /queue_drops_total [1-9]/);
        slow.socket.resume();
        await sleep(300);
        slow.send('and on');
        const heard = [];
        while (heard.at(-1) !== 'and on') heard.push(await slow.take());
        assert.equal(heard.at(-2) === 'last', policy === 'drop-oldest');
        const numbers = heard.filter((text) => text.includes(':')).map((text) => parseInt(text, 10));
        assert.deepEqual(numbers, [...new Set(numbers)].sort((a, b) => a - b), 'in order, none twice');
        assert.equal(numbers[0], 0);
        assert.equal(numbers.at(-1) === numbers.length - 1, policy === 'drop-newest', 'where the gap is');
    });
}

scene('ws: token', ['--token', 'secret'], async ({ open, connect, weft }) => {
    for (const path of ['/rooms/a', '/rooms/a?token=', '/rooms/a?token=secre', '/rooms/a?token=Secret'])
        await refused(connect(path), 401);
    await refused(connect('/rooms/a', { headers: { Authorization: 'Basic secret' } }), 401);
    const ann = await open('/rooms/a?token=secret');
    await open('/rooms/a', { headers: { Authorization: 'bearer secret' } });
    assert.equal((await weft.fetch('/rooms/a', { method: 'POST', body: 'x' })).status, 401);
    await weft.publish('a?token=secret', 'with');
    assert.equal(await ann.take(), 'with');
});

scenes('origin', ['--origin', 'https://friend.example'], async ({ weft, open, connect }) => {
    for (const origin of [undefined, weft.url, 'https://friend.example']) await open('/echo', { origin });
    const neighbour = `http://127.0.0.1:${weft.port ^ 1}`;
    for (const origin of ['https://foe.example', 'null', 'http://friend.example', neighbour]) {
        const client = connect('/echo', { origin });
        await refused(client, client instanceof WsClient ? 403 : '4xx');
    }
});

scene('ws: version 8 is answered with 426', [], async ({ connect }) => {
    const client = connect('/echo', { protocolVersion: 8 });
    await refused(client, 426);
    assert.equal(client.refusal['sec-websocket-version'], '13');
});

scene('ws: other refusals', [], async ({ connect }) => {
    await refused(connect('/nowhere'), 404);
    await refused(connect('/rooms/'), 400);
    await refused(connect('/rooms/a%20b'), 400);
    await refused(connect('/rooms/a%2Fb'), 400);
    await refused(connect(`/rooms/${'x'.repeat(195)}`), 400);
    await refused(connect('/rooms/a?last=many'), 400);
});

for (const [library, Client] of Object.entries(libraries)) {
    test(`${library}: the server restarts and the client comes back`, { timeout: TEST_MS }, async () => {
        const first = await Weft.start('--drain', '0');
        const before = await soon(new Client(`${first.ws}/rooms/a?echo=1`).opened);
        assert.equal(await first.drain(), 0);
        assert.equal((await soon(before.closed))[0], 1001);
        const second = await Weft.start('--listen', `127.0.0.1:${first.port}`);
        const after = await soon(new Client(`${second.ws}/rooms/a?echo=1`).opened);
        after.send('again');
        assert.equal(await after.take(), 'again');
        await after.close();
        await second.stop();
    });
}

scene('ws: 500 in one room hear everything once and in one order', ['--threads', '2'], async ({ weft, open }) => {
    const some = () => Promise.all(Array.from({ length: 50 }, () => open('/rooms/crowd?echo=1')));
    const crowd = [];
    while (crowd.length < 500) crowd.push(...await some());
    assert.deepEqual(await weft.rooms(), { crowd: [500, 0] });
    const speakers = crowd.filter((_, n) => n % 25 === 0);
    speakers.forEach((speaker, n) => { for (let i = 0; i < 5; i++) speaker.send(`${n}:${i}`); });
    const first = await crowd[0].takeAll(100);
    assert.equal(new Set(first).size, 100);
    for (const client of crowd.slice(1)) assert.deepEqual(await client.takeAll(100), first);
    speakers.forEach((_, n) => {
        const own = first.filter((said) => said.startsWith(`${n}:`));
        assert.deepEqual(own, [0, 1, 2, 3, 4].map((i) => `${n}:${i}`));
    });
    await Promise.all(crowd.map((client) => client.close()));
    assert.ok(crowd.every((client) => client.items.length === 0));
    await eventually(async () => (await weft.rooms()).crowd[0] === 0);
});

// permessage-deflate with a client that is not ours, `ws`, whose own is zlib: every mode of the server with every set of
// parameters the client can ask for.
//
//   WEFT_BIN=/path/to/weft node --test ws_deflate.mjs

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { scene } from './clients.mjs';
import { eventually } from './weft.mjs';

const modes = ['no-takeover', 'shared', 'dedicated'];

const offers = {
    'as ws does': {},
    'no server takeover': { serverNoContextTakeover: true },
    'no client takeover': { clientNoContextTakeover: true },
    'no takeover': { serverNoContextTakeover: true, clientNoContextTakeover: true },
    'server window 9': { serverMaxWindowBits: 9 },
    'client window 10': { clientMaxWindowBits: 10 },
    'both windows': { serverMaxWindowBits: 12, clientMaxWindowBits: 12 },
    'server window 8': { serverMaxWindowBits: 8 },
};

const deflate = (offer) => ({ perMessageDeflate: { threshold: 0, ...offer } });

/** Messages of every kind: repetitive, of words, dense; from nothing to 300 KB. */
function messages() {
    const all = ['', 'a', Buffer.alloc(0)];
    for (let i = 0; i < 40; i++) {
        all.push(JSON.stringify({ id: i, user: `user${i % 7}`, text: 'words and words '.repeat(i) }));
        all.push('ж🧵'.repeat(i * 9));
        all.push(randomBytes(i * 31));
        all.push(Buffer.from('0123456789'.repeat(i * i)));
    }
    all.push(randomBytes(100000), 'long '.repeat(60000), Buffer.alloc(300000));
    return all;
}

function same(got, sent, what) {
    assert.equal(typeof got, typeof sent, what);
    assert.ok(typeof got === 'string' ? got === sent : got.equals(sent), `${what}: ${sent.length} of ${typeof sent}`);
}

const metric = async (weft, name) => {
    const text = await (await weft.fetch('/metrics')).text();
    return Number(text.match(new RegExp(`^weft_${name} (\\d+)`, 'm'))[1]);
};

for (const mode of modes) {
    const flags = ['--deflate', mode, '--deflate-min', '1', '--message-max', '1M', '--queue-max', '16M'];

    for (const [name, offer] of Object.entries(offers)) {
        scene(`${mode}, ${name}: echo`, flags, async ({ weft, open }) => {
            const client = await open('/echo', deflate(offer));
            assert.equal(client.socket.extensions, 'permessage-deflate');
            const all = messages();
            for (const message of all) client.send(message);
            for (const [i, message] of all.entries()) same(await client.take(), message, `message ${i}`);
            assert.equal(await metric(weft, 'deflating'), 1);
            assert.ok(await metric(weft, 'deflate_in_bytes_total') > 2 * await metric(weft, 'deflate_out_bytes_total'));
            assert.ok(await metric(weft, 'inflate_out_bytes_total') > 2 * await metric(weft, 'inflate_in_bytes_total'));
            await client.close();
        });
    }

    // Whoever speaks, everyone hears the same, whatever each of them has agreed on.
    scene(`${mode}: one room for all`, flags, async ({ weft, open }) => {
        const path = '/rooms/all?echo=1';
        const members = [await open(path)];
        for (const offer of Object.values(offers)) members.push(await open(path, deflate(offer)));
        assert.equal(await metric(weft, 'deflating'), members.length - 1);
        const all = messages();
        for (const [i, message] of all.entries()) members[i % members.length].send(message);
        // Each member's own come in its order; between members there is none but the room's, which is the same for all.
        const heard = [];
        for (const member of members) heard.push(await member.takeAll(all.length));
        const key = (message) => (typeof message === 'string' ? `t${message}` : `b${message.toString('latin1')}`);
        assert.deepEqual(heard[0].map(key).sort(), all.map(key).sort());
        for (const others of heard.slice(1)) assert.deepEqual(others.map(key), heard[0].map(key));
        const late = await open(`${path}&last=20`, deflate({}));
        assert.deepEqual((await late.takeAll(20)).map(key), heard[0].slice(-20).map(key));
    });

    // What is dropped was in nobody's context.
    for (const policy of ['drop-newest', 'drop-oldest']) {
        scene(`${mode}, ${policy}: gaps do no harm`, [...flags, '--slow', policy, '--queue-max', '64k'],
            async ({ weft, open }) => {
                const slow = await open('/rooms/busy', deflate({}));
                const speaker = await open('/rooms/busy');
                slow.socket.pause();
                const noise = randomBytes(3000).toString('base64');
                const text = (i) => JSON.stringify({ id: i, noise: noise.slice(i % 100), text: 'words '.repeat(50) });
                let sent = 0;
                while (await metric(weft, 'queue_drops_total') < 100) {
                    for (let i = 0; i < 200; i++) speaker.send(text(sent++));
                    await eventually(() => speaker.socket.bufferedAmount === 0);
                    assert.ok(sent < 200000, 'nothing was ever dropped');
                }
                slow.socket.resume();
                const mark = sent;
                let last = -1;
                await eventually(async () => {
                    while (slow.items.length) {
                        const { id } = JSON.parse(await slow.take());
                        assert.ok(id > last);
                        last = id;
                    }
                    speaker.send(text(sent++));
                    return last >= mark;
                });
            });
    }
}

scene('off: an offer is declined', ['--deflate', 'off'], async ({ open }) => {
    const client = await open('/echo', deflate({}));
    assert.equal(client.socket.extensions, '');
    client.send('hello hello hello');
    assert.equal(await client.take(), 'hello hello hello');
});

scene('shared: what is short goes plain', ['--deflate', 'shared'], async ({ weft, open }) => {
    const client = await open('/echo', deflate({}));
    assert.equal(client.socket.extensions, 'permessage-deflate');
    client.send('a'.repeat(127));
    assert.equal((await client.take()).length, 127);
    assert.equal(await metric(weft, 'deflate_in_bytes_total'), 0);
    client.send('a'.repeat(128));
    assert.equal((await client.take()).length, 128);
    assert.equal(await metric(weft, 'deflate_in_bytes_total'), 128);
});

scene('by default our messages refer back', [], async ({ weft, open }) => {
    const client = await open('/echo', deflate({}));
    const { socket } = client;
    for (let i = 0; i < 100; i++) {
        client.send(`{"type":"message","user":{"id":7,"name":"somebody"},"text":"message ${i} of many"}`);
        await client.take();
    }
    assert.equal(socket.extensions, 'permessage-deflate');
    assert.ok(await metric(weft, 'deflate_in_bytes_total') > 2 * await metric(weft, 'deflate_out_bytes_total'));
});

scene('a bomb is refused', ['--message-max', '64k'], async ({ open }) => {
    const client = await open('/echo', deflate({}));
    client.send(Buffer.alloc(64 << 20)); // 64 KB on the wire
    assert.equal((await client.closed)[0], 1009);
});

// Rooms in a real browser where WebSockets, and then streams, do not get through: web/weft.js by itself, and the chat page
// on it.
//
//   WEFT_BIN=/path/to/weft node --test transports.mjs
//
// WEFT_SHOTS names a folder for pictures of the page; none are made without it.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, delivered, hears, message, plainClient, say, scene, state, texts, until } from './stage.mjs';
import { Weft } from './weft.mjs';

const BLOCKS = {
    websocket: () => {},
    // As a proxy that does not know them: the handshake fails.
    events: () => {
        window.WebSocket = class {
            constructor() {
                setTimeout(() => this.onclose?.({ code: 1006, reason: '' }), 5);
            }
            close() {}
        };
    },
    // No WebSockets at all, and streams that never come.
    polling: () => {
        delete window.WebSocket;
        const real = window.fetch;
        window.fetch = (url, options) =>
            options?.headers?.Accept ? Promise.reject(new Error('cut')) : real(url, options);
    },
};

const transport = (page) => page.evaluate(() => document.documentElement.dataset.line);

async function shoot(page, name) {
    if (process.env.WEFT_SHOTS) await page.screenshot({ path: `${process.env.WEFT_SHOTS}/${name}.png` });
}

for (const how of ['events', 'polling']) {
    scene(`the page goes on by ${how}, and says so`, async (stage) => {
        const relay = await stage.relay();
        const ann = await stage.person('Ann', { url: relay.url, before: BLOCKS[how] });
        const bob = await stage.person('Bob');
        assert.equal(await transport(ann), how);
        assert.equal(await transport(bob), 'websocket');
        await say(ann, 'hello Bob');
        await hears(bob, 'hello Bob');
        await delivered(ann, 'hello Bob');
        await say(bob, 'hello Ann');
        await hears(ann, 'hello Ann');
        const words = how === 'events' ? 'server-sent events' : 'long polling';
        for (const page of [ann, bob])
            await until('both are here', async () => (await page.locator('#here .label').allTextContents()).sort().join() === 'Ann,Bob');
        assert.match(await ann.locator('#detail').textContent(), new RegExp(words));
        await shoot(ann, how);
        const other = await plainClient(stage.server, 'lobby');
        relay.each((line) => line.destroy());
        for (let count = 0; count < 60; count++) other.send(`meanwhile ${count}`);
        await hears(ann, 'meanwhile 59');
        await ann.reload();
        await state(ann, 'open');
        await hears(ann, 'meanwhile 59');
        assert.deepEqual((await texts(ann)).slice(-50), (await texts(bob)).slice(-50));
        other.close();
    });
}

scene('a new name while a message is on its way does not say it twice', async (stage) => {
    const ann = await stage.person('Ann', { before: () => {
        delete window.WebSocket;
        const real = window.fetch;
        window.fetch = async (url, options) => {
            if (options?.method === 'POST') await new Promise((resolve) => setTimeout(resolve, 500));
            return real(url, options);
        };
    } });
    await say(ann, 'only once');
    await ann.locator('#name').fill('Anna');
    await ann.locator('#name').blur();
    await until('she has the new name', async () => (await ann.locator('#here .label').allTextContents()).join() === 'Anna');
    await delivered(ann, 'only once');
    const answer = await fetch(`${stage.server.url}/rooms/lobby/history`);
    assert.equal((await answer.json()).messages.length, 1);
});

/** Runs web/weft.js in the page: `window.room`, and what it said in `window.heard` and `window.told`. */
const joins = (page, options) =>
    page.evaluate(async (given) => {
        const { connect } = await import('/weft.js');
        Object.assign(window, { heard: [], told: [] });
        const onMessage = (data) => window.heard.push(typeof data === 'string' ? data : [...data].join());
        const onState = ({ state, transport, gap, status }) =>
            window.told.push([state, transport, ...(gap ? ['gap'] : []), ...(status ? [status] : [])].join(' '));
        const onHere = given.hears ? (names, more) => (window.here = `${names} ${more}`) : null;
        window.room = connect('other', { ...given, onMessage, onState, onHere });
    }, options);

for (const how of ['websocket', 'polling'])
    scene(`an empty room is told as such, once, by ${how}`, async (stage) => {
        const page = await stage.person('Ann', { before: BLOCKS[how] });
        await joins(page, { transports: [how], hears: true });
        await page.waitForFunction(() => window.here === ' 0', null, { polling: 10 });
        await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 300)));
        assert.deepEqual(await page.evaluate(() => window.told), [`connecting ${how}`, `open ${how}`]);
    });

scene('a rename loses and repeats nothing that was just sent', async (stage) => {
    const page = await stage.person('Ann');
    await joins(page, { hears: true, as: 'ann' });
    await page.waitForFunction(() => window.here === 'ann 0', null, { polling: 10 });
    const sent = await page.evaluate(async () => {
        const all = Array.from({ length: 30 }, (_, n) => window.room.send(`${n}`));
        window.room.rename('bob');
        return (await Promise.allSettled(all)).map(({ status }) => status);
    });
    assert.deepEqual(sent, Array(30).fill('fulfilled'));
    await page.waitForFunction(() => window.here === 'bob 0', null, { polling: 10 });
    assert.deepEqual(await page.evaluate(() => window.heard), Array.from({ length: 30 }, (_, n) => `${n}`));
    assert.ok(!(await page.evaluate(() => window.told.join())).includes('gap'));
});

const opened = (page, how) => page.waitForFunction((each) => window.told.at(-1) === `open ${each}`, how, { polling: 10 });

for (const how of ['websocket', 'events', 'polling']) {
    scene(`by ${how} nothing is lost or repeated, whatever breaks`, async (stage) => {
        const relay = await stage.relay();
        const ann = await stage.person('Ann', { url: relay.url, before: BLOCKS[how] });
        const other = await plainClient(stage.server, 'other');
        await joins(ann, {});
        await opened(ann, how);
        const count = 300;
        for (let at = 0; at < count; at++) {
            other.send(`${at}`);
            if (at % 60 === 30) relay.each((line) => line.destroy());
            if (at % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        }
        await ann.waitForFunction((last) => window.heard.at(-1) === last, `${count - 1}`, { polling: 10 });
        assert.deepEqual(await ann.evaluate(() => window.heard), Array.from({ length: count }, (_, at) => `${at}`));
        assert.ok(!(await ann.evaluate(() => window.told)).some((each) => each.includes('gap')));
        await opened(ann, how);
        await ann.evaluate(() => Promise.all([window.room.send('mine'), window.room.send(new Uint8Array([0, 255]))]));
        await until('both came to the others', () => other.got.length === 2);
        assert.equal(other.got[0], 'mine');
        assert.deepEqual([...other.got[1]], [0, 255]);
        await ann.waitForFunction(() => window.heard.at(-1) === '0,255');
        await ann.evaluate(() => window.room.close());
        assert.equal(await ann.evaluate(() => window.told.at(-1).split(' ')[0]), 'closed');
        assert.equal(await ann.evaluate(() => window.room.send('late').catch((error) => error.message)), 'there is no line');
        await joins(ann, { place: '0123456789abcdef:7' });
        await opened(ann, `${how} gap`);
        if (how !== 'websocket') await goesOnBehindWhatIsTooLong(ann, how);
        other.close();
    });
}

/** The server refuses a message by POST: that is told, and the room is taken anew. */
async function goesOnBehindWhatIsTooLong(page, how) {
    const status = await page.evaluate(async () => {
        const real = window.fetch;
        window.fetch = async () => new Response('', { status: 413 });
        const sent = window.room.send('too long').catch((error) => error.status);
        await new Promise((resolve) => setTimeout(resolve, 0));
        window.fetch = real;
        return sent;
    });
    assert.equal(status, 413);
    await opened(page, how);
    await page.evaluate(() => window.room.send('short'));
    await page.waitForFunction(() => window.heard.at(-1) === 'short');
}

scene("a browser's own EventSource comes back to its place", async (stage) => {
    const relay = await stage.relay();
    const ann = await stage.person('Ann', { url: relay.url });
    const other = await plainClient(stage.server, 'other', '?echo=1');
    for (let at = 1; at <= 3; at++) other.send(`${at}`);
    await until('they are said', () => other.got.length === 3);
    await ann.evaluate(() => {
        Object.assign(window, { heard: [], told: [] });
        const source = new EventSource('/rooms/other?last=2');
        source.onmessage = ({ data, lastEventId }) => window.heard.push([JSON.parse(data).data, lastEventId.split(':')[1]]);
        for (const name of ['joined', 'gap'])
            source.addEventListener(name, ({ data }) => window.told.push([name, JSON.parse(data).recovered]));
    });
    const hasHeard = (count) => ann.waitForFunction((at) => window.heard.at(-1)?.[0] === `${at}`, count, { polling: 10 });
    await hasHeard(3);
    for (let at = 4; at <= 40; at++) {
        if (at === 20) relay.each((line) => line.destroy());
        other.send(`${at}`);
    }
    await hasHeard(40);
    const heard = await ann.evaluate(() => window.heard);
    assert.deepEqual(heard, Array.from({ length: 39 }, (_, at) => [`${at + 2}`, `${at + 2}`]));
    other.close();
    stage.server.child.kill('SIGKILL');
    await stage.server.ended;
    stage.server = await Server.start(stage.port); // which knows nothing of all that
    await ann.waitForFunction(() => window.told.length === 3);
    assert.deepEqual(await ann.evaluate(() => window.told), [['joined', false], ['joined', true], ['gap', false]]);
});

scene("somebody else's words acknowledge nothing", async (stage) => {
    const relay = await stage.relay();
    const ann = await stage.person('Ann', { url: relay.url });
    const other = await plainClient(stage.server, 'other');
    await joins(ann, {});
    await opened(ann, 'websocket');
    await ann.evaluate(() => {
        window.room.line.ws.send = () => {}; // it does not get out any more
        window.room.send('same').then(() => (window.ended = 'taken'), (error) => (window.ended = error.message));
    });
    other.send('same');
    await ann.waitForFunction(() => window.heard.at(-1) === 'same');
    assert.equal(await ann.evaluate(() => window.ended), undefined);
    relay.each((line) => line.destroy());
    await ann.waitForFunction(() => window.ended === 'the line broke');
    other.close();
});

scene('WebSockets that get through again are taken again', async (stage) => {
    const ann = await stage.person('Ann', {
        before: () => {
            const real = window.WebSocket;
            window.WebSocket = function (url) {
                if (window.through) return new real(url);
                setTimeout(() => this.onclose?.({ code: 1006, reason: '' }), 5);
                this.close = () => {};
            };
        },
    });
    await joins(ann, { betterMs: 50 });
    await opened(ann, 'events');
    const other = await plainClient(stage.server, 'other');
    other.send('one');
    await ann.waitForFunction(() => window.heard.length === 1);
    await ann.evaluate(() => (window.through = true));
    await opened(ann, 'websocket');
    other.send('two');
    await ann.waitForFunction(() => window.heard.length === 2);
    assert.deepEqual(await ann.evaluate(() => window.heard), ['one', 'two']);
    other.close();
});

scene('the page has a token that allows some rooms, and not to publish in all of them', async (stage) => {
    const secret = 'a secret that nobody can guess: 7';
    const token = (seconds) => {
        const claims = { exp: Date.now() / 1000 + seconds - 10, rooms: { join: ['lobby', 'news'], publish: 'lobby' } };
        const base64url = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
        const text = `${base64url({ alg: 'HS256' })}.${base64url(claims)}`;
        return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
    };
    const folder = mkdtempSync(join(tmpdir(), 'weft-page-'));
    chmodSync(folder, 0o755);
    writeFileSync(join(folder, 'keys'), secret);
    const weft = await Weft.start('--jwt-keys', join(folder, 'keys'));
    try {
        const ann = await stage.person('Ann', { url: weft.url, hash: `?token=${token(60)}#room=lobby` });
        await say(ann, 'hello');
        await delivered(ann, 'hello');
        await ann.locator('[data-room=lobby]').first().waitFor();
        const bob = await stage.person('Bob', { url: weft.url, hash: `?token=${token(60)}#room=news` });
        await say(bob, 'not for me to say');
        await message(bob, 'not for me to say').and(bob.locator('[data-state=failed]')).waitFor();
        assert.match(await message(bob, 'not for me to say').textContent(), /the token does not allow it/);
        await ann.goto(`${weft.url}/?token=${token(-1)}#room=lobby`);
        await state(ann, 'reconnecting');
        await until('it says why', async () => /has expired/.test(await ann.locator('#detail').textContent()));
        await shoot(ann, 'expired');
    } finally {
        await weft.stop();
        rmSync(folder, { recursive: true });
    }
});

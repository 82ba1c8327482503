// web/weft.js with JSON Web Tokens that expire and do not allow everything, by each transport.
//
//   WEFT_BIN=/path/to/weft node --test rooms_token.mjs

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';

import { TRANSPORTS, connect } from '../../web/weft.js';
import { Weft, eventually } from './weft.mjs';

globalThis.WebSocket = class extends WebSocket {
    constructor(...address) {
        super(...address);
        this.on('error', () => {}); // `close` follows, as in a browser
    }
};

const SECRET = 'a secret that nobody can guess: 7';
const LEEWAY_S = 10;
const base64url = (value) => Buffer.from(value).toString('base64url');

/** Good for so many seconds more, the leeway included. */
function token(seconds, rooms = { join: 'a', publish: 'a' }) {
    const exp = Date.now() / 1000 + seconds - LEEWAY_S;
    const text = `${base64url('{"alg":"HS256","typ":"JWT"}')}.${base64url(JSON.stringify({ exp, rooms, sub: 'ann' }))}`;
    return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

const folder = mkdtempSync(join(tmpdir(), 'weft-token-'));
let weft;

before(async () => {
    chmodSync(folder, 0o755);
    writeFileSync(join(folder, 'keys'), SECRET);
    weft = await Weft.start('--jwt-keys', join(folder, 'keys'), '--token', 'of-the-house');
});

after(async () => {
    await weft?.stop();
    rmSync(folder, { recursive: true });
});

const publish = (text) => weft.publish('a', text, { Authorization: 'Bearer of-the-house' });

/** A room with what it heard and was told. */
function enter(options) {
    const seen = { heard: [], told: [] };
    const onMessage = (data) => seen.heard.push(data);
    const onState = (told) => seen.told.push(told);
    seen.room = connect('a', { url: weft.url, onMessage, onState, ...options(seen) });
    return seen;
}

const states = ({ told }, wanted) => told.filter(({ state }) => state === wanted);

for (const transport of TRANSPORTS) {
    test(`${transport}: a token that expires is followed by another, and nothing is missed`, async () => {
        const seen = enter((self) => ({
            transports: [transport],
            token: async () => token(states(self, 'open').length < 2 ? 0.8 : 60),
        }));
        await eventually(() => states(seen, 'open').length > 0);
        for (let count = 0; states(seen, 'open').length < 3; count++) {
            await publish(`${transport} ${count}`);
            seen.last = `${transport} ${count}`;
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
        await publish('end');
        await eventually(() => seen.heard.at(-1) === 'end');
        const mine = seen.heard.filter((each) => each.startsWith(transport));
        assert.deepEqual(mine, mine.map((_, at) => `${transport} ${at}`));
        assert.equal(mine.at(-1), seen.last);
        assert.ok(seen.told.every(({ gap }) => !gap));
        const codes = states(seen, 'reconnecting').map(({ code }) => code ?? 'the stream ended');
        assert.ok(codes.length >= 2);
        assert.ok(codes.every((code) => code === 4401 || (transport === 'events' && code === 0)), String(codes));
        seen.room.close();
    });

    test(`${transport}: what may not be said is rejected`, async () => {
        const seen = enter(() => ({ transports: [transport], token: token(60, { join: 'a' }) }));
        await eventually(() => seen.told.at(-1).state === 'open');
        await assert.rejects(seen.room.send('no'), /does not let you publish|not taken: 403/);
        assert.equal(states(seen, 'reconnecting')[0].code, 4403);
        await eventually(() => seen.told.at(-1).state === 'open');
        seen.room.close();
        assert.ok(!seen.heard.includes('no'));
    });
}

test('without a token it waits, and does not take another way', async () => {
    const seen = enter((self) => ({
        token: () => {
            if (states(self, 'reconnecting').length < 2) throw new Error('who are you?');
            return token(60);
        },
    }));
    await eventually(() => seen.told.at(-1).state === 'open');
    assert.deepEqual(states(seen, 'reconnecting').map(({ reason }) => reason), ['who are you?', 'who are you?']);
    assert.ok(seen.told.every(({ transport }) => transport === 'websocket'));
    seen.room.close();
});

test('a token that is not good is told as such', async () => {
    const seen = enter(() => ({ token: token(-1) }));
    await eventually(() => states(seen, 'reconnecting').length > 1);
    for (const { status, code, reason } of states(seen, 'reconnecting'))
        assert.deepEqual([status, code, reason], [401, 4401, 'this token is not good here: it has expired']);
    assert.ok(seen.told.every(({ transport }) => transport !== 'polling')); // where it would be the same
    seen.room.close();
});

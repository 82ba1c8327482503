// The admin API and the stream of the console, asked by hand.
//
//   WEFT_BIN=/path/to/weft node --test admin.mjs

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TEST_MS, WsClient } from './clients.mjs';
import { app, KEY, Scene, scene, subscribed, told } from './pushing.mjs';
import { eventually, soon, Weft } from './weft.mjs';

const SECRET = 'correct-horse-battery';
const FLAGS = ['--admin-secret', SECRET];

/** [status, what was said]. */
async function ask(weft, method, path, body, secret = SECRET, headers = {}) {
    const answer = await weft.fetch(`/admin/${path}`, {
        method, body: body && JSON.stringify(body), headers: { ...(secret && { Authorization: `Bearer ${secret}` }), ...headers },
    });
    return [answer.status, await answer.json().catch(() => null), answer.headers];
}

async function fine(weft, method, path, body, status = 200) {
    const [got, said] = await ask(weft, method, path, body);
    assert.equal(got, status, JSON.stringify(said));
    return said;
}

/** A console's line, signed in. */
async function stream(s, secret = SECRET) {
    const line = new WsClient(`${s.weft.ws}/admin/stream`);
    s.clients.push({ end: () => line.socket.terminate() });
    await soon(line.opened, 'the stream');
    line.send(JSON.stringify({ secret }));
    return line;
}

/** The next message with such a member. */
async function next(line, member) {
    for (;;) {
        const message = JSON.parse(await line.take());
        if (member in message) return message[member];
    }
}

/** Debug lines until one fits, each with its words alone. */
async function lines_until(line, fits) {
    const all = [];
    while (!all.some(fits)) {
        all.push(...await next(line, 'debug'));
        line.send('{"got":1}');
    }
    return all;
}

test('without a secret there is no console and no API', { timeout: TEST_MS }, async () => {
    const weft = await Weft.start();
    for (const path of ['/console', '/console.html', '/console.js', '/console.css', '/admin/stats', '/admin/apps', '/admin/stream', '/admin/'])
        assert.equal((await weft.fetch(path, { headers: { Authorization: 'Bearer ' } })).status, 404, path);
    const line = new WsClient(`${weft.ws}/admin/stream`);
    await assert.rejects(soon(line.opened), /404|refused/);
    await weft.stop();
});

test('a secret that is bad is told of at the start', { timeout: TEST_MS }, async () => {
    for (const flags of [['--admin-secret', 'short'], ['--admin-secret', 'with spaces in it, long'],
        ['--admin-secret-file', '/nowhere/secret'], ['--admin-secret', SECRET, '--admin-secret-file', 'x']])
        await assert.rejects(Weft.start(...flags), /ended before/);
});

scene('the secret is needed, and may be wrong five times', app(), async ({ weft }) => {
    for (const secret of ['', SECRET.slice(1), `${SECRET}x`, SECRET.toUpperCase()]) {
        const [status, said, headers] = await ask(weft, 'GET', 'apps', undefined, secret);
        assert.deepEqual([status, headers.get('WWW-Authenticate')], [401, 'Bearer']);
        assert.match(said.error, /secret/);
        assert.equal(headers.get('Access-Control-Allow-Origin'), null);
    }
    // At once, for each of them may be tried again after a fifth of a second. The right one too: else it could be told apart.
    const guesses = () => Promise.all([...Array(12).fill('x'.repeat(20)), SECRET].map((each) => ask(weft, 'GET', 'apps', undefined, each)));
    await eventually(async () => (await guesses()).at(-1)[0] === 429);
    await eventually(async () => (await ask(weft, 'GET', 'apps'))[0] === 200);
    assert.match(weft.stderr, /a wrong admin secret peer=127/);
    assert.doesNotMatch(weft.stderr, new RegExp(SECRET));
}, ...FLAGS);

scene('no page of another origin can do anything', app(), async (s) => {
    const origin = { Origin: 'https://evil.example' };
    const [, , headers] = await ask(s.weft, 'OPTIONS', 'apps', undefined, '', { ...origin, 'Access-Control-Request-Headers': 'authorization' });
    assert.equal(headers.get('Access-Control-Allow-Headers'), null);
    assert.equal((await ask(s.weft, 'POST', 'apps', {}, '', { ...origin, 'Content-Type': 'text/plain', Cookie: `secret=${SECRET}` }))[0], 401);
    assert.equal((await s.weft.fetch(`/admin/apps?secret=${SECRET}&token=${SECRET}`)).status, 401);
    const line = new WsClient(`${s.weft.ws}/admin/stream`, { headers: origin });
    await assert.rejects(soon(line.opened), /403|refused/);
}, ...FLAGS);

scene('the stream tells nothing to who does not know the secret', app(), async (s) => {
    const wrong = await stream(s, 'something else, long');
    assert.equal((await soon(wrong.closed))[0], 4401);
    const late = await stream(s, 'x'.repeat(17));
    late.send('{"view":{"app":"3","connections":true}}');
    assert.equal((await soon(late.closed))[0], 4401);
    for (const line of [wrong, late]) assert.deepEqual(line.items, []);
    const silent = new WsClient(`${s.weft.ws}/admin/stream`);
    await soon(silent.opened);
    assert.deepEqual(await soon(silent.closed), [4401, 'the secret did not come']);
}, ...FLAGS);

scene('apps come, change and go while clients stay', app(), async (s) => {
    const stays = await s.raw();
    const made = await fine(s.weft, 'POST', 'apps', { name: 'second', client_events: true }, 201);
    assert.match(made.key, /^[0-9a-f]{20}$/);
    const other = await soon(new WsClient(`${s.weft.ws}/app/${made.key}?protocol=7`).opened);
    assert.match(await other.take(), /connection_established/);
    const list = (await fine(s.weft, 'GET', 'apps')).apps.sort((a, b) => a.by_api - b.by_api);
    assert.deepEqual(list.map(({ id, name, by_api, connections }) => [id, name, by_api, connections]),
        [['3', 'shop', false, 1], [made.id, 'second', true, 1]]);
    assert.doesNotMatch(JSON.stringify(list), new RegExp(made.secret));
    const changed = await fine(s.weft, 'PUT', `apps/${made.id}`, { client_events: false, keys: [
        { key: made.key, secret: made.secret }, { secret: 'another', key: 'another-key' }] });
    assert.deepEqual([changed.client_events, changed.keys], [false, [made.key, 'another-key']]);
    s.write(app() + '\n' + app({ id: 5, key: 'from-file' }, 'third'));
    s.weft.child.kill('SIGHUP');
    await eventually(async () => (await ask(s.weft, 'GET', 'apps/5'))[0] === 200);
    assert.equal((await fine(s.weft, 'GET', `apps/${made.id}`)).connections, 1, 'what came at run time stays');
    s.write(app({ id: made.id, key: 'file-key' }, 'second'));
    s.weft.child.kill('SIGHUP');
    await eventually(async () => !(await fine(s.weft, 'GET', 'apps')).apps.some((each) => each.by_api));
    assert.equal((await soon(stays.closed))[0], 4001, 'the file names it no more');
    await fine(s.weft, 'DELETE', `apps/${made.id}`);
    assert.equal((await soon(other.closed))[0], 4001);
    assert.deepEqual((await fine(s.weft, 'GET', 'apps')).apps, []);
}, ...FLAGS);

scene('the app that is made up stays, whatever comes and goes', '', async (s) => {
    const [made] = (await fine(s.weft, 'GET', 'apps')).apps;
    const other = await fine(s.weft, 'POST', 'apps', {}, 201);
    const ids = async () => (await fine(s.weft, 'GET', 'apps')).apps.map(({ id }) => id).sort();
    for (let i = 0; i < 3; i++) {
        s.weft.child.kill('SIGHUP');
        await eventually(() => s.weft.stderr.split('apps loaded').length === i + 2);
        assert.deepEqual(await ids(), [made.id, other.id].sort());
    }
    await fine(s.weft, 'DELETE', `apps/${made.id}`);
    assert.deepEqual(await ids(), [other.id]);
    s.weft.child.kill('SIGHUP');
    await eventually(async () => (await ids()).length === 2);
}, ...FLAGS);

scene('what cannot be is refused with a reason', app(), async ({ weft }) => {
    for (const [method, path, body, status, why] of [
        ['POST', 'apps', { id: '3' }, 400, /id already/],
        ['POST', 'apps', { key: KEY, secret: 'x' }, 400, /id or a key of another/],
        ['POST', 'apps', { key: 'alone' }, 400, /secret/],
        ['POST', 'apps', { colour: 'red' }, 400, /colour is no setting/],
        ['POST', 'apps', { members: 0 }, 400, /members is out of range/],
        ['POST', 'apps', { webhook: 'a\nb' }, 400, /one line/],
        ['POST', 'apps', { members: { a: 1 } }, 400, /a setting is/],
        ['POST', 'apps', [], 400, /JSON object/],
        ['POST', 'apps', { name: '' }, 400, /name/],
        ['POST', 'apps', { name: 'x'.repeat(65) }, 400, /name/],
        ['POST', 'apps', { name: 7 }, 400, /name/],
        ['PUT', 'apps/3', { id: '4' }, 400, /never changes/],
        ['PUT', 'apps/4', {}, 404, /no app/],
        ['PATCH', 'apps/3', {}, 405, /method/],
        ['DELETE', 'apps', undefined, 405, /method/],
        ['GET', 'apps/3/events', undefined, 405, /method/],
        ['POST', 'apps/3/events', { channel: 'a b', name: 'n', data: '' }, 400, /channel/],
        ['POST', 'apps/3/events', { channel: 'a', name: '', data: '' }, 400, /name/],
        ['POST', 'apps/3/events', { channel: 'a', name: 'n' }, 400, /data is missing/],
        ['POST', 'apps/3/events', { channel: 'a', name: 'n', data: 'x'.repeat(20000) }, 400, /longer/],
        ['POST', 'apps/3/events', { channel: 'private-encrypted-a', name: 'n', data: '' }, 400, /encrypted/],
        ['GET', 'apps/3/channels?limit=0', undefined, 400, /limit/],
        ['GET', 'apps/3/channels?limit=101', undefined, 400, /limit/],
        ['GET', `apps/3/channels?prefix=${'x'.repeat(300)}`, undefined, 400, /parameter/],
        ['GET', 'apps/3/channels/a/b', undefined, 404, /API/],
        ['GET', 'connections?after=18446744073709551615', undefined, 400, /no connection/],
        ['DELETE', 'connections/0', undefined, 404, /no such connection/],
        ['DELETE', 'connections/12345678901?code=1005', undefined, 400, /code/],
        ['POST', 'rooms/a%20b', 'x', 400, /room/],
        ['GET', 'nothing', undefined, 404, /API/],
        ['DELETE', 'apps/3//x', undefined, 404, /API/],
        ['DELETE', 'apps/3/clients', undefined, 404, /API/],
        ['DELETE', 'apps/3/clients/1.1', undefined, 404, /no such connection/],
        ['DELETE', 'apps/3/clients/1.1/x', undefined, 404, /API/],
        ['DELETE', 'connections/1/x', undefined, 404, /API/],
        ['DELETE', 'connections/1//x', undefined, 404, /API/],
        ['POST', 'rooms/a/b', 'x', 404, /API/],
        ['GET', '%zz', undefined, 400, /path/],
    ]) {
        const [got, said] = await ask(weft, method, path, body);
        assert.equal(got, status, `${method} ${path}: ${JSON.stringify(said)}`);
        assert.match(said.error, why, `${method} ${path}`);
    }
    for (const [method, path, allow] of [['PATCH', 'apps/3', 'GET, PUT, DELETE'], ['DELETE', 'apps', 'GET, POST'],
        ['GET', 'apps/3/events', 'POST'], ['POST', 'apps/3/channels', 'GET'], ['POST', 'stats', 'GET'],
        ['POST', 'connections', 'GET'], ['GET', 'apps/3/clients/1.1', 'DELETE'], ['GET', 'connections/1', 'DELETE'], ['DELETE', 'rooms', 'GET'], ['GET', 'rooms/a', 'POST']])
        assert.equal((await ask(weft, method, path))[2].get('Allow'), allow, `${method} ${path}`); // RFC 9110 15.5.6
}, ...FLAGS);

scene('connections and channels are listed in pages', app({ channels: 200 }), async (s) => {
    const clients = [];
    for (let i = 0; i < 25; i++) clients.push(await s.raw());
    for (let i = 0; i < 7; i++) await clients[0].join(`room-${i}`);
    await clients[1].join('presence-x', { user_id: 'ann' });
    const seen = new Set();
    let after = '', pages = 0;
    do {
        const { connections, next: more } = await fine(s.weft, 'GET', `connections?limit=10&after=${after}`);
        for (const each of connections) seen.add(each.who);
        after = more;
        pages++;
    } while (after);
    assert.deepEqual([...seen].sort(), clients.map(({ id }) => id).sort());
    assert.equal(pages, 3);
    const first = await fine(s.weft, 'GET', 'apps/3/channels?limit=5');
    assert.deepEqual([first.channels.length, first.more], [5, true]);
    assert.deepEqual(first.channels[0], { name: 'presence-x', subscriptions: 1, users: 1 });
    const rest = await fine(s.weft, 'GET', `apps/3/channels?after=${first.channels[4].name}`);
    assert.deepEqual([rest.channels.map(({ name }) => name), rest.more], [['room-4', 'room-5', 'room-6'], false]);
    assert.equal((await fine(s.weft, 'GET', 'apps/3/channels?prefix=presence-')).channels.length, 1);
    const { connections } = await fine(s.weft, 'GET', 'connections');
    const one = connections.find(({ who }) => who === clients[0].id);
    assert.deepEqual([one.app, one.channels, one.queue_bytes, one.stream, one.route], ['3', 7, 0, false, '/app/*']);
    await fine(s.weft, 'DELETE', `connections/${one.id}?code=4200`);
    assert.deepEqual(await soon(clients[0].closed), [4200, 'closed by the administrator']);
    await eventually(async () => (await ask(s.weft, 'DELETE', `connections/${one.id}`))[0] === 404);
}, ...FLAGS);

scene('clients are sent away by their socket ids, however they came', app(), async (s) => {
    const ws = await s.raw(), gone = async (id, code, status) =>
        assert.equal((await ask(s.weft, 'DELETE', `apps/3/clients/${id}${code ? `?code=${code}` : ''}`))[0], status);
    const begin = async (verb, session) => {
        const path = `/pusher/app/${KEY}/${session}`, ends = new AbortController();
        s.clients.push({ end: () => ends.abort() });
        const ask_for = (kind) => s.weft.fetch(`${path}/${kind}?protocol=7`, { method: 'POST', signal: ends.signal });
        const reader = (await ask_for(verb)).body.pipeThrough(new TextDecoderStream()).getReader();
        let text = '';
        const until = async (mark) => { while (!text.includes(mark)) text += (await soon(reader.read())).value ?? assert.fail(text); };
        await until('connection_established');
        return { id: /socket_id\\*":\\*"([\d.]+)/.exec(text)[1], until, poll: async () => (await ask_for('xhr')).text() };
    };
    const [stream, poll] = [await begin('xhr_streaming', '1/aaaaaaaa'), await begin('xhr', '2/aaaaaaaa')];
    const { connections } = await fine(s.weft, 'GET', 'connections');
    assert.deepEqual(connections.map(({ who, app: its, stream: is }) => [who, its, is]).sort(),
        [[ws.id, '3', false], [stream.id, '3', true]].sort());
    const waits = poll.poll();
    for (const { id } of [ws, stream, poll]) {
        await gone(id, '1005', 400);
        await gone(id, '', 200);
    }
    assert.deepEqual(await soon(ws.closed), [4009, 'closed by the administrator']);
    await stream.until('c[4009,"closed by the administrator"]');
    assert.equal(await soon(waits), 'c[4009,"closed by the administrator"]\n');
    await eventually(async () => (await ask(s.weft, 'DELETE', `apps/3/clients/${poll.id}`))[0] === 404);
}, ...FLAGS);

scene('publishing reaches a pusher-js client and a room', app(), async (s) => {
    const client = s.client();
    const channel = client.subscribe('news');
    await subscribed(channel);
    for (const data of ['text', { a: 1 }, [1, 2], 7]) {
        const hears = told(channel, 'said');
        await fine(s.weft, 'POST', 'apps/3/events', { channel: 'news', name: 'said', data });
        assert.deepEqual(await hears, data);
    }
    const member = await soon(new WsClient(`${s.weft.ws}/rooms/lobby`).opened);
    s.clients.push({ end: () => member.socket.terminate() });
    const answer = await s.weft.fetch('/admin/rooms/lobby', { method: 'POST', body: 'hello', headers: { Authorization: `Bearer ${SECRET}` } });
    assert.equal(answer.status, 204);
    assert.equal(await member.take(), 'hello');
    assert.deepEqual((await fine(s.weft, 'GET', 'rooms')).rooms, [{ name: 'lobby', members: 1, messages: 1 }]);
}, ...FLAGS);

test('what is published by hand is in the store when it is answered', { timeout: TEST_MS }, async () => {
    const s = await Scene.start(app({ history: 'kept-' }), ...FLAGS);
    await s.weft.stop();
    s.weft = await Weft.start('--config', s.file, '--store', join(s.folder, 'store.db'), ...FLAGS);
    const ann = await s.raw();
    ann.say('pusher:subscribe', { channel: 'kept-x' });
    await ann.take();
    await fine(s.weft, 'POST', 'apps/3/events', { channel: 'kept-x', name: 'said', data: { of: 'words' } });
    assert.equal((await ann.take()).event, 'said');
    const answer = await s.weft.fetch('/admin/rooms/lobby', { method: 'POST', body: 'kept', headers: { Authorization: `Bearer ${SECRET}` } });
    assert.equal(answer.status, 204);
    const [status, text] = await s.call('GET', '/apps/3/channels/kept-x/history');
    assert.equal(status, 200);
    assert.match(text, /words/);
    await s.stop();
});

scene('the debug stream shows all that happens, to who asks for it', app(), async (s) => {
    const line = await stream(s);
    assert.match(await next(line, 'welcome'), /^\d+\.\d+/);
    line.send('{"debug":{"app":"3","channel":"","who":""}}');
    line.send('{"view":{"app":"3","connections":true}}');
    await next(line, 'connections');
    const ann = await s.raw();
    await ann.join('presence-x', { user_id: 'ann' });
    ann.say('client-hi', { n: 1 }, 'presence-x');
    ann.say('pusher:subscribe', { channel: 'private-y', auth: 'no' });
    assert.equal((await ann.take()).event, 'pusher:subscription_error');
    await s.server.trigger('presence-x', 'from-api', { deep: '<b>' });
    await ann.take();
    ann.close();
    const all = await lines_until(line, ({ what }) => what === 'vacated');
    assert.deepEqual(all.map(({ what }) => what), ['connected', 'occupied', 'member_added', 'subscribed', 'client_event', 'refused',
        'api_event', 'disconnected', 'member_removed', 'vacated']);
    assert.deepEqual(all.filter(({ who }) => who).map(({ who }) => who), Array(5).fill(ann.id));
    const { app: its, channel, name, data } = all[6];
    assert.deepEqual([its, channel, name, JSON.parse(JSON.parse(data))], ['3', 'presence-x', 'from-api', { deep: '<b>' }]);
    line.send('{"debug":{"app":":rooms","channel":"b","who":""}}');
    line.send('{"view":{"app":":rooms"}}');
    while ((await next(line, 'live')).app !== ':rooms');
    for (const room of ['a', 'b']) await s.weft.publish(room, Buffer.from([0xff, 0, 1]));
    const [other] = await lines_until(line, ({ what }) => what === 'message');
    assert.deepEqual([other.channel, other.binary], ['b', 3]);
}, ...FLAGS);

scene('webhooks are seen too, and need a config file', app({ webhook: 'http://127.0.0.1:1/' }), async (s) => {
    const line = await stream(s);
    await next(line, 'welcome');
    line.send('{"debug":{"app":"3","channel":"","who":""}}');
    const ann = await s.raw();
    await ann.join('private-x');
    const all = await lines_until(line, ({ what }) => what === 'webhook_failed');
    assert.equal(all.at(-1).name, 'http://127.0.0.1:1/');
    const weft = await Weft.start(...FLAGS);
    s.clients.push({ end: () => weft.stop() });
    assert.match((await ask(weft, 'POST', 'apps', { webhook: 'http://127.0.0.1:1/' }))[1].error, /--config/);
}, ...FLAGS);

scene('who does not read is not waited for, and told what he missed', app({ client_events_second: 100000 }), async (s) => {
    const line = await stream(s);
    await next(line, 'welcome');
    line.send('{"debug":{"app":"3","channel":"","who":""}}');
    const ann = await s.raw();
    await ann.join('private-x');
    for (let i = 0; i < 12000; i++) ann.say('client-hi', { i }, 'private-x');
    await ann.nothing(); // all of it has gone through
    let told_of = 0, missed = 0, last = -1;
    while (told_of + missed < 12002) {
        const message = JSON.parse(await line.take());
        if (!message.debug) continue;
        for (const { what, data } of message.debug) {
            if (what !== 'client_event') continue;
            assert.ok(JSON.parse(data).i > last);
            last = JSON.parse(data).i;
        }
        told_of += message.debug.length;
        missed += message.missed;
        line.send('{"got":1}');
        if (missed && last < 0) break;
    }
    assert.ok(missed > 0 && told_of >= 1000, `${told_of} and ${missed}`);
}, ...FLAGS);

test('the secret may be in a file', { timeout: TEST_MS }, async () => {
    const s = await Scene.start(app());
    const file = join(s.folder, 'secret');
    writeFileSync(file, `${SECRET}\nand more\n`);
    const weft = await Weft.start('--admin-secret-file', file);
    await fine(weft, 'GET', 'stats');
    await weft.stop();
    await s.stop();
});

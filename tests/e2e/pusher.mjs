// The clients and the server SDK of Pusher Channels, as their makers publish them, against `weft serve`.
//
//   WEFT_BIN=/path/to/weft node --test pusher.mjs

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { chromium } from 'playwright-core';
import { app, KEY, Pusher, scene, Scene, subscribed, told } from './pushing.mjs';
import { eventually, soon, Weft } from './weft.mjs';

/** Everything that a channel is told, in order. */
function diary(channel) {
    const lines = [];
    channel.bind_global((event, data) => {
        if (!event.startsWith('pusher:')) lines.push([event, data]);
    });
    return lines;
}

scene('a public channel, from a server to clients', app(), async (s) => {
    const [one, other] = [s.client(), s.client()];
    const channels = [one.subscribe('news'), other.subscribe('news')];
    await Promise.all(channels.map(subscribed));
    const heard = channels.map(diary);
    assert.equal((await s.server.trigger('news', 'hello', { text: 'κόσμε 🧵 "quoted" \\ \n' })).status, 200);
    await s.server.trigger(['news', 'nobody'], 'second', 'just text');
    await s.server.trigger('news', 'third', [1], { socket_id: one.connection.socket_id });
    await s.server.triggerBatch([{ channel: 'news', name: 'fourth', data: { n: 4 } },
        { channel: 'x', name: 'y', data: 1 }]);
    await eventually(() => heard[1].length === 4 && heard[0].length === 3);
    const all = [['hello', { text: 'κόσμε 🧵 "quoted" \\ \n' }], ['second', 'just text'], ['third', [1]],
        ['fourth', { n: 4 }]];
    assert.deepEqual(heard[1], all);
    assert.deepEqual(heard[0], all.filter(([name]) => name !== 'third'));
    one.unsubscribe('news');
    const list = () => s.call('GET', '/apps/3/channels', { params: { info: 'subscription_count' } });
    await eventually(async () => (await list())[1] === '{"channels":{"news":{"subscription_count":1}}}');
    await s.server.trigger('news', 'fifth', {});
    await eventually(() => heard[1].length === 5);
    assert.equal(heard[0].length, 3);
});

scene('a private channel, and events of clients', app(), async (s) => {
    const [one, other] = [s.client(), s.client()];
    const channels = [one.subscribe('private-room'), other.subscribe('private-room')];
    await Promise.all(channels.map(subscribed));
    const heard = channels.map(diary);
    assert.ok(channels[0].trigger('client-typing', { deep: [1, { a: null }] }));
    await eventually(() => heard[1].length === 1);
    await s.server.trigger('private-room', 'after', {});
    await eventually(() => heard[1].length === 2 && heard[0].length === 1);
    assert.deepEqual(heard[1][0], ['client-typing', { deep: [1, { a: null }] }]);
    assert.deepEqual(heard[0][0][0], 'after');

    const stranger = s.client({}, {
        channelAuthorization: { customHandler: (_, done) => done(null, { auth: `${KEY}:00` }) } });
    const { type, error, status } = await told(stranger.subscribe('private-room'), 'pusher:subscription_error');
    assert.deepEqual([type, status], ['AuthError', 401]);
    assert.ok(error.includes(`${stranger.connection.socket_id}:private-room`));
});

scene('presence: a user is there once, from his first connection to his last', app(), async (s) => {
    const anna = s.client({ id: 'anna', info: { name: 'Anna "A" Ä' } });
    const room = anna.subscribe('presence-room');
    const members = await subscribed(room);
    assert.deepEqual([members.count, members.me], [1, { id: 'anna', info: { name: 'Anna "A" Ä' } }]);
    const otto = s.client({ id: 7, info: { name: 'Otto' } });
    const added = told(room, 'pusher:member_added');
    const his = otto.subscribe('presence-room');
    const seen = await subscribed(his);
    assert.deepEqual(seen.members, { anna: { name: 'Anna "A" Ä' }, 7: { name: 'Otto' } });
    assert.deepEqual(await added, { id: '7', info: { name: 'Otto' } });
    const tab = s.client({ id: 7, info: { name: 'Otto' } });
    await subscribed(tab.subscribe('presence-room'));
    assert.equal(room.members.count, 2);
    assert.deepEqual(await (await s.server.get({ path: '/channels/presence-room/users' })).json(),
        { users: [{ id: 'anna' }, { id: '7' }] });
    const event = told(room, 'client-wave');
    room.bind('client-wave', (data, { user_id }) => { room.waved = user_id; });
    his.trigger('client-wave', { hand: 'left' });
    assert.deepEqual(await event, { hand: 'left' });
    assert.equal(room.waved, '7');
    otto.disconnect();
    const still = told(room, 'still');
    await s.server.trigger('presence-room', 'still', {});
    await still;
    assert.equal(room.members.count, 2);
    const removed = told(room, 'pusher:member_removed');
    tab.unsubscribe('presence-room');
    assert.deepEqual(await removed, { id: '7', info: { name: 'Otto' } });
    assert.equal(room.members.count, 1);
});

scene('an encrypted channel is passed on, and nobody between can read it', app(), async (s) => {
    const channel = s.client().subscribe('private-encrypted-notes');
    await subscribed(channel);
    const event = told(channel, 'secret');
    await s.server.trigger('private-encrypted-notes', 'secret', { pin: 1234 });
    assert.deepEqual(await event, { pin: 1234 });
});

scene('a cache channel tells newcomers the last event', app(), async (s) => {
    const early = s.client().subscribe('cache-price');
    await told(early, 'pusher:cache_miss');
    await s.server.trigger('cache-price', 'price', { eur: 1 });
    await s.server.trigger('cache-price', 'price', { eur: 2 });
    assert.deepEqual(await told(s.client().subscribe('cache-price'), 'price'), { eur: 2 });
    const answer = await s.server.get({ path: '/channels/cache-price', params: { info: 'cache,subscription_count' } });
    const { occupied, subscription_count, cache } = await answer.json();
    assert.deepEqual([occupied, subscription_count, cache.data], [true, 2, '{"eur":2}']);
    assert.ok(cache.ttl > 1700 && cache.ttl <= 1800);
});

scene('who has subscribed is counted', app({ subscription_count: true }), async (s) => {
    const one = s.client();
    const channel = one.subscribe('news');
    await eventually(() => channel.subscriptionCount === 1);
    const others = [s.client(), s.client()].map((client) => client.subscribe('news'));
    await eventually(() => [channel, ...others].every((each) => each.subscriptionCount === 3));
    others[0].pusher.disconnect();
    await eventually(() => channel.subscriptionCount === 2);
});

scene('users sign in, are written to, are watched and are sent away', app(), async (s) => {
    const anna = s.client({ id: 'anna', info: { name: 'Anna' }, watchlist: ['otto', 'eva'] });
    const watched = diary(anna.user.watchlist);
    anna.signin();
    await told(anna, 'pusher:signin_success');
    const otto = s.client({ id: 'otto' });
    otto.signin();
    await told(otto, 'pusher:signin_success');
    await eventually(() => watched.length === 2);
    assert.deepEqual(watched.map(([name, { user_ids }]) => [name, user_ids]),
        [['offline', ['otto', 'eva']], ['online', ['otto']]]);
    await eventually(async () => { // the channel of the user is joined after the signin
        const [, text] = await s.post('/apps/3/events', { name: 'probe', data: '1', channel: '#server-to-user-anna',
            info: 'subscription_count' });
        return text.includes('"subscription_count":1');
    });
    const letter = told(anna.user, 'letter');
    await s.server.sendToUser('anna', 'letter', { dear: 'Anna' });
    assert.deepEqual(await letter, { dear: 'Anna' });
    const gone = told(otto.connection, 'disconnected');
    await s.server.terminateUserConnections('otto');
    await gone;
    await eventually(() => watched.length === 3);
    assert.deepEqual(watched[2][1].user_ids, ['otto']);
    assert.equal(watched[2][0], 'offline');
    const odd = s.client({ id: 'auth0|ö 7' }); // no URL holds that as it is
    odd.signin();
    await told(odd, 'pusher:signin_success');
    const sent = told(odd.connection, 'disconnected');
    await s.server.terminateUserConnections('auth0|ö 7');
    await sent;
});

scene('laravel-echo joins, listens and whispers', app(), async (s) => {
    const { default: Echo } = await import('laravel-echo');
    const echos = [1, 2].map((id) => new Echo({ broadcaster: 'pusher', key: KEY,
        client: s.client({ id, info: { id } }) }));
    const here = new Promise((resolve) => echos[0].join('room').here(resolve));
    assert.deepEqual(await soon(here), [{ id: 1 }]);
    const joining = new Promise((resolve) => echos[0].join('room').joining(resolve));
    echos[1].join('room');
    assert.deepEqual(await soon(joining), { id: 2 });
    const whisper = new Promise((resolve) => echos[0].join('room').listenForWhisper('typing', resolve));
    echos[1].join('room').whisper('typing', { on: true });
    assert.deepEqual(await soon(whisper), { on: true });
    const listened = new Promise((resolve) => echos[0].private('orders').listen('Shipped', resolve));
    await subscribed(echos[0].private('orders').subscription);
    await s.server.trigger('private-orders', 'App\\Events\\Shipped', { order: 1 });
    assert.deepEqual(await soon(listened), { order: 1 });
    await subscribed(echos[1].private('orders').subscription);
    const whispered = new Promise((resolve) => echos[0].private('orders').listenForWhisper('seen', resolve));
    echos[1].private('orders').whisper('seen', { half: '🧵'.slice(0, 1) });
    assert.deepEqual(await soon(whispered), { half: '\ud83e' });
    const sealed = echos[0].encryptedPrivate('notes'), unsealed = new Promise((resolve) => sealed.listen('.secret', resolve));
    await subscribed(sealed.subscription);
    await s.server.trigger('private-encrypted-notes', 'secret', { pin: 1234 });
    assert.deepEqual(await soon(unsealed), { pin: 1234 });
    const left = new Promise((resolve) => echos[0].join('room').leaving(resolve));
    echos[1].leave('room');
    assert.deepEqual(await soon(left), { id: 2 });
});

scene('the SDK asks, and hears what official texts say', app(), async (s) => {
    const channel = s.client({ id: 'u' }).subscribe('presence-p');
    await subscribed(channel);
    const get = async (path, params = {}) => (await s.server.get({ path, params })).json();
    assert.deepEqual(await get('/channels', { filter_by_prefix: 'presence-', info: 'user_count' }),
        { channels: { 'presence-p': { user_count: 1 } } });
    assert.deepEqual(await get('/channels/presence-p', { info: 'user_count' }), { occupied: true, user_count: 1 });
    assert.deepEqual(await get('/channels/nobody'), { occupied: false });
    assert.deepEqual(await (await s.server.trigger('presence-q', 'e', {},
        { info: 'user_count,subscription_count' })).json(),
        { channels: { 'presence-q': { user_count: 0, subscription_count: 0 } } });
    const refusal = (promise) => promise.then(() => assert.fail('it is not refused'),
        ({ status, body }) => [status, body]);
    assert.deepEqual(await refusal(s.server.trigger('news', 'e', 'x'.repeat(10241))), [413,
        'The data content of this event exceeds the allowed maximum (10240 bytes). See ' +
        'https://pusher.com/docs/channels/server_api/http-api#publishing-events for more info']);
    await s.server.trigger('news', 'e', 'ж'.repeat(5120));
    assert.deepEqual(await refusal(get('/channels', { info: 'user_count' })), [400,
        'user_count may only be requested for presence channels - please supply filter_by_prefix begining with ' +
        'presence-']);
    assert.deepEqual(await refusal(get('/channels/news', { info: 'user_count' })), [400,
        'Cannot retrieve the user count unless the channel is a presence channel']);
    const batch = Array.from({ length: 11 }, () => ({ channel: 'c', name: 'n', data: {} }));
    assert.deepEqual(await refusal(s.server.triggerBatch(batch)), [400, 'Batch too large (11 > 10)']);
    assert.deepEqual(await refusal(s.sdk({ secret: 'wrong' }).trigger('c', 'e', {})).then(([status]) => status), 401);
    assert.deepEqual(await refusal(s.sdk({ appId: '4' }).trigger('c', 'e', {})), [404, 'Unknown app 4']);
});

scene('pusher-js with encryption, and laravel-echo, in a browser', app(), async (s) => {
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
        args: ['--headless', '--no-sandbox', '--disable-gpu'] });
    try {
        const page = await (await browser.newContext({ bypassCSP: true })).newPage();
        await page.goto(`${s.weft.url}/healthz`);
        const { resolve } = createRequire(import.meta.url);
        const scripts = [resolve('pusher-js/dist/web/pusher-with-encryption.js'), join(dirname(resolve('laravel-echo')), 'echo.iife.js')];
        for (const path of scripts) await page.addScriptTag({ path });
        await page.exposeFunction('authorize', (socket, channel) => s.server.authorizeChannel(socket, channel,
            channel.startsWith('presence-') ? { user_id: 'page' } : undefined));
        await page.evaluate(([key, port]) => {
            const customHandler = ({ socketId, channelName }, done) =>
                window.authorize(socketId, channelName).then((signed) => done(null, signed));
            const client = new Pusher(key, { wsHost: '127.0.0.1', wsPort: port, forceTLS: false, cluster: 'none',
                enabledTransports: ['ws'], disableStats: true, channelAuthorization: { customHandler } });
            const echo = new Echo.default({ broadcaster: 'pusher', key, client });
            const names = ['news', 'private-encrypted-notes'].map((name) => client.subscribe(name));
            window.heard = Promise.all(names.map((each) => new Promise((hear) => each.bind('hello', hear))));
            window.here = new Promise((hear) => echo.join('room').here(hear));
            return Promise.all(names.map((each) => new Promise((done) => each.bind('pusher:subscription_succeeded', done))));
        }, [KEY, s.weft.port]);
        for (const name of ['news', 'private-encrypted-notes']) await s.server.trigger(name, 'hello', { to: name });
        assert.deepEqual(await soon(page.evaluate(() => window.heard)), [{ to: 'news' }, { to: 'private-encrypted-notes' }]);
        assert.equal((await soon(page.evaluate(() => window.here))).length, 1);
    } finally {
        await browser.close();
    }
});

test('without an app one is made up, and works', async () => {
    const weft = await Weft.start();
    try {
        await eventually(() => /id=\d+ key=\w+ secret=\w+/.test(weft.stderr));
        const [, id, key, secret] = /id=(\d+) key=(\w+) secret=(\w+)/.exec(weft.stderr);
        const s = Object.assign(new Scene(), { weft });
        const client = new Pusher(key, { wsHost: '127.0.0.1', wsPort: weft.port, forceTLS: false, cluster: 'none',
            enabledTransports: ['ws'] });
        const channel = client.subscribe('news');
        await subscribed(channel);
        const event = told(channel, 'hello');
        await s.sdk({ appId: id, key, secret }).trigger('news', 'hello', 'you');
        assert.equal(await event, 'you');
        client.disconnect();
    } finally {
        await weft.stop();
    }
});

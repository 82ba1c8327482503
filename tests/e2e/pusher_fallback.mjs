// Clients of Pusher Channels where no WebSocket gets through: xhr_streaming and xhr_polling, frame by frame, and
// pusher-js in a real browser.
//
//   WEFT_BIN=/path/to/weft node --test pusher_fallback.mjs

import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { app, hmac, KEY, scene, SECRET } from './pushing.mjs';
import { eventually, PATIENCE_MS, soon, Weft } from './weft.mjs';

const QUERY = 'protocol=7&client=js&version=8.4.0';
let count = 0;
const newSession = () => `${count % 1000}/${String(++count).padStart(8, 'v')}`;

/** The lines of an answer, each as its letter and what was said; `data` of messages is parsed where it is a string. */
function frames(text) {
    assert.ok(text === '' || text.endsWith('\n'), JSON.stringify(text));
    return text.split('\n').slice(0, -1).map((line) => {
        if (line === 'h') return ['h'];
        const said = JSON.parse(line.slice(1));
        if (line[0] !== 'a') return [line[0], said];
        assert.equal(said.length, 1);
        const message = JSON.parse(said[0]);
        return ['a', typeof message.data === 'string' ? { ...message, data: JSON.parse(message.data) } : message];
    });
}

/** One client of a session: what it says, and what it is told by polls or by a stream. */
class Xhr {
    heard = [];
    ends = new AbortController();

    constructor(s, { key = KEY, session = newSession(), query = QUERY, verb = 'xhr' } = {}) {
        Object.assign(this, { s, verb, query, session, base: `${s.weft.url}/pusher/app/${key}/${session}` });
        s.clients.push({ end: () => this.ends.abort() });
    }

    post(verb, body = '', query = this.query) {
        return fetch(`${this.base}/${verb}?${query}&t=1&n=${++count}`, { method: 'POST', body,
            signal: this.ends.signal,
            headers: { 'Content-Type': 'application/json', Origin: 'http://elsewhere.example' } });
    }

    async poll() {
        const answer = await soon(this.post('xhr'), 'a poll');
        assert.equal(answer.status, 200);
        assert.equal(answer.headers.get('Access-Control-Allow-Origin'), '*');
        return frames(await answer.text());
    }

    /** Receives in the background into `heard`, until it is closed. */
    async listen() {
        if (this.verb === 'xhr') {
            while (!this.heard.some(([kind]) => kind === 'c')) this.heard.push(...await this.poll());
            return;
        }
        const answer = await this.post('xhr_streaming');
        assert.equal(answer.status, 200);
        let text = '';
        this.length = 0;
        for await (const bytes of answer.body.pipeThrough(new TextDecoderStream())) {
            text += bytes;
            this.length += bytes.length;
            const end = text.lastIndexOf('\n') + 1;
            this.heard.push(...frames(text.slice(0, end)));
            text = text.slice(end);
        }
        this.ended = true;
    }

    /** It receives; its socket id is known. */
    async start() {
        this.listen().catch((error) => { this.broken = error; });
        await eventually(() => this.heard.length >= 2);
        const [open, [, { event, data }]] = this.heard.splice(0, 2);
        assert.deepEqual([open, event, data.activity_timeout], [['o', {}], 'pusher:connection_established', 120]);
        assert.match(data.socket_id, /^\d+\.\d+$/);
        this.id = data.socket_id;
        return this;
    }

    async send(...messages) {
        const answer = await soon(this.post('xhr_send', JSON.stringify(messages.map((m) => JSON.stringify(m))), 'x=1'));
        assert.equal(answer.status, 204, await answer.text());
    }

    ask(channel, member) {
        const channel_data = member && JSON.stringify(member);
        const signed = [this.id, channel, ...(member ? [channel_data] : [])].join(':');
        return this.send({ event: 'pusher:subscribe',
            data: { channel, auth: `${KEY}:${hmac(signed)}`, channel_data } });
    }

    async take() {
        await eventually(() => this.heard.length > 0);
        return this.heard.shift();
    }

    async join(channel, member) {
        await this.ask(channel, member);
        const [kind, answer] = await this.take();
        assert.deepEqual([kind, answer.event, answer.channel],
            ['a', 'pusher_internal:subscription_succeeded', channel]);
        return answer.data;
    }

    leave() { this.ends.abort(); }
}

const VERBS = ['xhr_streaming', 'xhr'];
const many = app({ connections: 1 }) + app({ id: 4, key: 'off', secret: 's', enabled: false }, 'off') +
    app({ id: 5, key: 'tls', secret: 's', require_tls: true }, 'tls');

scene('who is refused is told as by a WebSocket, and a session is what its path says', many, async (s) => {
    await s.raw(); // the one connection that there may be
    for (const [key, query, code] of [
        ['tls', QUERY, 4000],
        ['unknown', QUERY, 4001],
        ['off', QUERY, 4003],
        [KEY, QUERY, 4004],
        [KEY, 'protocol=7&version=', 4006],
        [KEY, 'protocol=3', 4007],
        [KEY, '', 4008],
    ]) {
        for (const verb of VERBS) {
            const answer = await new Xhr(s, { key }).post(verb, '', query);
            assert.deepEqual([answer.status, answer.headers.get('Access-Control-Allow-Origin')], [200, '*']);
            const [open, [, { event, data }], close, ...more] = frames(await answer.text());
            assert.deepEqual([open, event, data.code], [['o', {}], 'pusher:error', code]);
            assert.deepEqual([close, more], [['c', [code, data.message]], []]);
        }
    }
    const xhr = new Xhr(s);
    assert.equal((await xhr.post('xhr_send', '[]')).status, 404); // there is no such session
    for (const [method, path, status, headers] of [
        ['OPTIONS', '/1/abcdefgh/xhr', 204, { 'access-control-allow-methods': 'POST',
            'access-control-allow-headers': 'Content-Type', 'access-control-allow-origin': '*' }],
        ['OPTIONS', '/1/abcdefgh/xhr_send', 204, { 'access-control-allow-credentials': null }],
        ['GET', '/1/abcdefgh/xhr', 405, { allow: 'POST, OPTIONS' }],
        ['GET', '', 426, { upgrade: 'websocket' }],
        ['POST', '', 404, {}],
        ['POST', '/1/abcdefgh/xhr/', 404, {}],
        ['POST', '/1/abcdefgh/xhr_poll', 404, {}],
        ['POST', '/1234/abcdefgh/xhr', 404, {}],
        ['POST', '/1/abcdefg/xhr', 404, {}],
        ['POST', '/1/abcdefghi/xhr', 404, {}],
        ['POST', '/x/abcdefgh/xhr', 404, {}],
        ['POST', '/1/abc.efgh/xhr', 404, {}],
    ]) {
        const answer = await s.weft.fetch(`/pusher/app/${KEY}${path}?${QUERY}`, { method });
        assert.equal(answer.status, status, `${method} ${path}`);
        for (const [name, value] of Object.entries(headers)) assert.equal(answer.headers.get(name), value, name);
        await answer.text();
    }
});

scene('polls: each is answered when there is something, and what is sent is judged', app(), async (s) => {
    const xhr = new Xhr(s);
    const [[, open], [, hello]] = await xhr.poll();
    assert.deepEqual([open, hello.event], [{}, 'pusher:connection_established']);
    xhr.id = hello.data.socket_id;
    for (const [body, status] of [
        ['[]', 204],
        ['', 400],
        ['{}', 400],
        ['"text"', 400],
        ['[1]', 400],
        ['[["a"]]', 400],
        ['[]]', 400],
        [JSON.stringify(Array(101).fill('{}')), 400],
        [JSON.stringify(['x'.repeat(1 << 20)]), 413],
    ]) assert.equal((await xhr.post('xhr_send', body)).status, status, body.slice(0, 40));
    for (const verb of ['xhr', 'xhr_streaming']) // what is not to be kept for as long as it waits
        assert.equal((await soon(xhr.post(verb, '[]'))).status, 400);
    await xhr.send({ event: 'pusher:subscribe', data: { channel: 'news' } }, { event: 'pusher:ping', data: {} },
        { event: 'no' });
    const [joined, pong, error] = await xhr.poll();
    assert.deepEqual(joined, ['a', { event: 'pusher_internal:subscription_succeeded', channel: 'news', data: {} }]);
    assert.deepEqual(pong, ['a', { event: 'pusher:pong', data: {} }]);
    assert.deepEqual([error[1].event, error[1].data.code], ['pusher:error', null]);
    assert.equal((await xhr.post('xhr_send', JSON.stringify(['no JSON']))).status, 204);
    assert.equal((await xhr.poll())[0][1].event, 'pusher:error');

    const waits = xhr.poll();
    await s.server.trigger('news', 'first', { text: '"κόσμε" 🧵 \n' });
    assert.deepEqual(await waits, [['a', { event: 'first', channel: 'news', data: { text: '"κόσμε" 🧵 \n' } }]]);
    await s.server.trigger('news', 'second', 2);
    await s.server.trigger('news', 'for others', 3, { socket_id: xhr.id });
    await s.server.trigger('news', 'third', 4);
    assert.deepEqual((await xhr.poll()).map(([, { event }]) => event), ['second', 'third']);
    await xhr.send({ event: 'pusher:unsubscribe', data: { channel: 'news' } });
    assert.deepEqual(await s.call('GET', '/apps/3/channels'), [200, '{"channels":{}}']);
    await s.server.trigger('news', 'unheard', {});
    await xhr.send({ event: 'pusher:ping', data: {} });
    assert.deepEqual(await xhr.poll(), [pong]);
});

scene('one client at a time receives: a second with the same id is sent away', app(), async (s) => {
    for (const verb of VERBS) {
        const first = await new Xhr(s, { verb }).start();
        await first.join(`of-${verb}`);
        await sleep(100); // its next poll is there
        for (const by of VERBS) {
            const answer = await new Xhr(s, { session: first.session }).post(by);
            const said = frames(await answer.text());
            assert.deepEqual(said.map(([kind]) => kind).join(''), 'oac');
            assert.equal(said[2][1][0], 4200);
        }
        await s.server.trigger(`of-${verb}`, 'still', { verb });
        assert.deepEqual((await first.take())[1].event, 'still');
        assert.equal(first.broken, undefined);
    }
});

scene('sessions that ask for nothing leave place for others', app({ connections: 100 }), async (s) => {
    const opened = async () => frames(await (await new Xhr(s).post('xhr')).text());
    const all = await Promise.all(Array.from({ length: 100 }, opened));
    const refused = all.filter((said) => said.length > 2); // a tenth of them, and 64, have place
    assert.equal(all.length - refused.length, 74);
    for (const [, [, { data }], close] of refused) assert.deepEqual([data.code, close[1][0]], [4100, 4100]);
    await s.raw();
});

scene('a stream has its length, and nothing is lost where it ends', app({ event_bytes: 20000 }), async (s) => {
    const xhr = await new Xhr(s, { verb: 'xhr_streaming' }).start();
    await xhr.join('news');
    // One character here is four bytes and two units: a limit in bytes would come too early.
    const [text, total] = ['🧵'.repeat(2500), 80];
    for (let n = 0; n < total; n++) await s.server.trigger('news', 'piece', { n, text });
    await eventually(() => xhr.length > 256 * 1024);
    await xhr.send({ event: 'pusher:ping', data: {} }); // comes with the next stream
    const before = xhr.heard.length;
    assert.ok(before >= 50 && before < 60, `${before} pieces`);
    assert.ok(xhr.length < 256 * 1024 + 6000, `${xhr.length} units`);
    assert.equal(xhr.ended, undefined);
    const again = new Xhr(s, { verb: 'xhr_streaming', session: xhr.session });
    again.listen().catch(() => {});
    await eventually(() => again.heard.length === total - before + 1);
    await eventually(() => xhr.ended);
    const all = [...xhr.heard, ...again.heard].map(([, { data }]) => data.n);
    assert.deepEqual(all, [...Array(total).keys(), undefined]);
    await s.server.trigger('news', 'more', 1);
    await eventually(() => again.heard.at(-1)[1].event === 'more');
});

scene('presence, events of clients, and how a session ends', app({ client_events_second: 2 }), async (s) => {
    const [streams, polls] = [await new Xhr(s, { verb: 'xhr_streaming' }).start(), await new Xhr(s).start()];
    const raw = await s.raw();
    await raw.join('presence-room', { user_id: 'ws' });
    await streams.join('presence-room', { user_id: 'stream' });
    assert.deepEqual((await raw.take()).data, { user_id: 'stream' });
    const { presence } = await polls.join('presence-room', { user_id: 'poll', user_info: { n: 1 } });
    assert.deepEqual(presence.ids, ['ws', 'stream', 'poll']);
    const added = { event: 'pusher_internal:member_added', channel: 'presence-room',
        data: { user_id: 'poll', user_info: { n: 1 } } };
    assert.deepEqual([await raw.take(), (await streams.take())[1]], [added, added]);

    await polls.send(...[1, 2, 3].map((n) => ({ event: 'client-n', channel: 'presence-room', data: { n } })));
    for (const n of [1, 2]) {
        const event = { event: 'client-n', channel: 'presence-room', data: { n }, user_id: 'poll' };
        assert.deepEqual([await raw.take(), (await streams.take())[1]], [event, event]);
    }
    assert.equal((await polls.take())[1].data.code, 4301);
    raw.say('client-ws', { deep: [1] }, 'presence-room');
    const event = { event: 'client-ws', channel: 'presence-room', data: { deep: [1] }, user_id: 'ws' };
    assert.deepEqual([(await polls.take())[1], (await streams.take())[1]], [event, event]);

    // The line breaks: so does the session.
    const removed = (user_id) =>
        ({ event: 'pusher_internal:member_removed', channel: 'presence-room', data: { user_id } });
    streams.leave();
    assert.deepEqual([await raw.take(), (await polls.take())[1]], [removed('stream'), removed('stream')]);
    await sleep(100); // its next poll is there
    polls.leave();
    assert.deepEqual(await raw.take(), removed('poll'));
    const back = new Xhr(s, { session: polls.session });
    assert.deepEqual((await back.poll())[0], ['o', {}]); // by which pusher-js knows that it was lost

    // It is told to go.
    const user_data = '{"id":"anna"}';
    for (const verb of VERBS) {
        const anna = await new Xhr(s, { verb }).start();
        const sign = hmac(`${anna.id}::user::${user_data}`);
        await anna.send({ event: 'pusher:signin', data: { auth: `${KEY}:${sign}`, user_data } });
        assert.equal((await anna.take())[1].event, 'pusher:signin_success');
        await anna.join('presence-room', { user_id: verb });
        assert.deepEqual((await raw.take()).data, { user_id: verb });
        await s.server.terminateUserConnections('anna');
        assert.deepEqual([await anna.take(), await raw.take()], [['c', [4009, '']], removed(verb)]);
        await eventually(async () => (await anna.post('xhr_send', '[]')).status === 404);
    }
});

scene('by WebSocket, stream and poll all hear one order', app({ client_events_second: 10000 }), async (s) => {
    const raws = [await s.raw(), await s.raw()];
    const xhrs = await Promise.all([...VERBS, ...VERBS].map((verb) => new Xhr(s, { verb }).start()));
    for (const one of [...raws, ...xhrs]) await one.join('private-one');
    const [EACH, events] = [40, []];
    await Promise.all([0, 1, 2].map(async (by) => {
        for (let n = 0; n < EACH; n++)
            assert.equal((await s.server.trigger('private-one', 'e', { by, n })).status, 200);
    }).concat((async () => {
        const speaker = await s.raw();
        await speaker.join('private-one');
        for (let n = 0; n < EACH; n++) speaker.say('client-e', { by: 3, n }, 'private-one');
    })()));
    for (let n = 0; n < 4 * EACH; n++) events.push((await raws[0].take()).data);
    const [other, ...sessions] = [raws[1], ...xhrs];
    for (let n = 0; n < 4 * EACH; n++) assert.deepEqual((await other.take()).data, events[n]);
    for (const xhr of sessions) {
        await eventually(() => xhr.heard.length === 4 * EACH);
        assert.deepEqual(xhr.heard.map(([, { data }]) => data), events);
    }
    for (const by of [0, 1, 2, 3])
        assert.deepEqual(events.filter((e) => e.by === by).map(({ n }) => n), [...Array(EACH).keys()]);
});

scene('the end of an app, and of a server, end sessions', app() + app({ id: 4, key: 'k4' }, 'other'), async (s) => {
    const [streams, polls] = [await new Xhr(s, { key: 'k4', verb: 'xhr_streaming' }).start(), await new Xhr(s).start()];
    const other = await new Xhr(s, { key: 'k4' }).start();
    await sleep(100); // their next polls are there
    s.write(app());
    s.weft.child.kill('SIGHUP');
    assert.deepEqual([await streams.take(), await other.take()], [['c', [4001, '']], ['c', [4001, '']]]);
    await eventually(() => streams.ended);
    const since = Date.now();
    assert.equal(await s.weft.drain(), 0);
    assert.deepEqual((await polls.take())[1][0], 1001);
    assert.ok(Date.now() - since < 3000);
});

scene('over HTTP/2', app(), async (s) => {
    const session = http2.connect(s.weft.url);
    const post = (verb, body = '', id = '7/h2h2h2h2') => {
        const path = `/pusher/app/${KEY}/${id}/${verb}?${QUERY}`;
        const stream = session.request({ ':method': 'POST', ':path': path });
        stream.setEncoding('utf8').text = '';
        stream.on('data', (text) => { stream.text += text; });
        stream.end(body);
        return stream;
    };
    const stream = post('xhr_streaming');
    await eventually(() => frames(stream.text).length === 2);
    post('xhr_send', JSON.stringify([JSON.stringify({ event: 'pusher:subscribe', data: { channel: 'news' } })]));
    await eventually(() => frames(stream.text).length === 3);
    await s.server.trigger('news', 'hello', 2);
    await eventually(() => frames(stream.text).at(-1)[1].event === 'hello');
    stream.close(http2.constants.NGHTTP2_CANCEL);
    const nobody = async () => (await s.call('GET', '/apps/3/channels'))[1] === '{"channels":{}}';
    await eventually(nobody);
    const poll = async (count) => {
        const answer = post('xhr', '', '8/h2h2h2h2');
        await eventually(() => answer.closed && frames(answer.text).length === count);
    };
    await poll(2);
    post('xhr_send', JSON.stringify([JSON.stringify({ event: 'pusher:subscribe', data: { channel: 'news' } })]),
        '8/h2h2h2h2');
    await poll(1);
    const waits = post('xhr', '', '8/h2h2h2h2');
    await sleep(100);
    assert.ok(!await nobody());
    waits.close(http2.constants.NGHTTP2_CANCEL);
    await eventually(nobody);
    session.close();
}, '--h2c');

// ---- pusher-js in a browser ----

/** Another origin than the server's: an empty page, and who may join what. */
async function website() {
    const seen = { authorized: 0 };
    const server = http.createServer(async (request, response) => {
        const headers = { 'Content-Type': 'text/html' };
        let body = '';
        for await (const part of request) body += part;
        if (request.method !== 'POST') return response.writeHead(200, headers).end('<!doctype html>');
        const form = new URLSearchParams(body);
        const [socket, channel] = [form.get('socket_id'), form.get('channel_name')];
        const channel_data = channel.startsWith('presence-') ? '{"user_id":"page","user_info":{"n":1}}' : undefined;
        seen.authorized++;
        response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ channel_data,
            auth: `${KEY}:${hmac([socket, channel, ...(channel_data ? [channel_data] : [])].join(':'), SECRET)}` }));
        return undefined;
    });
    await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    return { seen, url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}

async function withBrowser(play) {
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
        args: ['--headless', '--no-sandbox', '--disable-gpu'] });
    const site = await website();
    try {
        await play(browser, site);
    } finally {
        await browser.close();
        site.stop();
    }
}

/** A page where WebSockets do not work, with a client on it and what it was told. */
async function open(browser, site, s, transport) {
    const page = await (await browser.newContext()).newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.addInitScript((none) => {
        window.WebSocket = none ? undefined : class { constructor() { throw new Error('blocked'); } };
    }, !transport);
    await page.goto(site.url);
    await page.addScriptTag({ path: createRequire(import.meta.url).resolve('pusher-js/dist/web/pusher.js') });
    await page.evaluate(([key, port, one]) => {
        Object.assign(window, { told: [], states: [] });
        window.pusher = new Pusher(key, { httpHost: '127.0.0.1', httpPort: port, forceTLS: false, cluster: 'none',
            enabledTransports: one && [one], channelAuthorization: { endpoint: '/auth' } });
        window.pusher.connection.bind('state_change', ({ current }) => window.states.push(current));
        window.join = (name) => {
            const channel = window.pusher.subscribe(name);
            channel.bind_global((event, data) => window.told.push([event, data]));
            return new Promise((done) => channel.bind('pusher:subscription_succeeded', done));
        };
    }, [KEY, s.weft.port, transport]);
    return page;
}

const hears = (page, event) => soon(page.waitForFunction((name) => window.told.some(([e]) => e === name), event,
    { polling: 10 }), event);
const events = (page) => page.evaluate(() => window.told.filter(([e]) => !e.startsWith('pusher')));
const again = (page) => page.waitForFunction(() => window.told.filter(([e]) => e === 'pusher:subscription_succeeded')
    .length === 6, null, { polling: 10 });

scene('pusher-js finds the way by itself', app(), (s) => withBrowser(async (browser, site) => {
    const page = await open(browser, site, s); // there is no WebSocket at all
    await page.evaluate(() => window.join('news'));
    await s.server.trigger('news', 'hello', {});
    await hears(page, 'hello');
}));

scene('pusher-js in a browser by both', app(), (s) => withBrowser(async (browser, site) => {
    const pages = await Promise.all(['xhr_streaming', 'xhr_polling'].map((how) => open(browser, site, s, how)));
    const joinAll = (page) => page.evaluate(() =>
        Promise.all(['news', 'private-room', 'presence-room'].map(window.join)));
    await Promise.all(pages.map(joinAll));
    assert.ok(site.seen.authorized >= 4);
    const raw = await s.raw();
    const { presence } = await raw.join('presence-room', { user_id: 'ws' });
    assert.deepEqual(presence, { count: 2, ids: ['page', 'ws'], hash: { page: { n: 1 }, ws: null } });
    await raw.join('private-room');
    await Promise.all(pages.map((page) => hears(page, 'pusher:member_added')));

    // In both directions, and more than a stream takes.
    raw.say('client-hello', { from: 'ws' }, 'private-room');
    await Promise.all(pages.map((page) => hears(page, 'client-hello')));
    await pages[0].evaluate(() => window.pusher.channel('private-room').trigger('client-wave', { hand: 'left' }));
    assert.deepEqual(await raw.take(), { event: 'client-wave', channel: 'private-room', data: { hand: 'left' } });
    await hears(pages[1], 'client-wave');
    const text = '🧵'.repeat(2000);
    for (let n = 0; n < 80; n++) await s.server.trigger('news', 'piece', { n, text });
    await s.server.trigger('news', 'last', {});
    for (const page of pages) {
        await hears(page, 'last');
        const pieces = (await events(page)).filter(([event]) => event === 'piece').map(([, { n }]) => n);
        assert.deepEqual(pieces, [...Array(80).keys()]);
        assert.deepEqual(await page.evaluate(() => window.states), ['connected']);
    }

    // The server comes back, and so do they.
    await s.weft.stop();
    s.weft = await Weft.start('--config', s.file, '--threads', '2', '--listen', `127.0.0.1:${s.weft.port}`);
    await Promise.all(pages.map(again));
    await s.server.trigger('news', 'after', {});
    await Promise.all(pages.map((page) => hears(page, 'after')));

    const other = await s.raw();
    await other.join('presence-room', { user_id: 'ws' });
    for (const page of pages) await page.evaluate(() => window.pusher.unsubscribe('news'));
    await eventually(async () => !(await s.call('GET', '/apps/3/channels'))[1].includes('news'));
    await pages[0].evaluate(() => window.pusher.disconnect());
    await pages[1].close();
    assert.deepEqual(await soon(other.take(), 'the end of the page'),
        { event: 'pusher_internal:member_removed', channel: 'presence-room', data: { user_id: 'page' } });
}));

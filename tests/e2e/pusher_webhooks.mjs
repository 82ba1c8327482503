// Webhooks of the Pusher Channels server: what is told, to whom and when, and what becomes of it when nobody listens.
// Signatures are judged by the official SDK.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { Inbox, TEST_MS } from './clients.mjs';
import { app, hmac, KEY, SECRET, Scene, Server } from './pushing.mjs';
import { eventually, soon } from './weft.mjs';

// Nothing listens there: whoever took his proxy from the environment would reach nobody.
for (const name of ['http_proxy', 'https_proxy', 'all_proxy']) process.env[name] = 'http://127.0.0.1:1';

const folder = mkdtempSync(join(tmpdir(), 'weft-webhooks-'));
after(() => rmSync(folder, { recursive: true }));

/** A backend: posts in the order of their coming, and events of those that it has taken. `answer(post, n)` gives a
 * status, or answers by itself. */
class Backend extends Inbox {
    posts = [];

    static async start(answer = () => 200, tls) {
        const it = new Backend();
        const hear = async (request, response) => {
            const pieces = [];
            for await (const piece of request) pieces.push(piece);
            const { method, url, headers } = request;
            const post = { method, url, headers, rawBody: Buffer.concat(pieces).toString() };
            it.posts.push(post);
            const status = await answer(post, it.posts.length, response);
            if (!status) return;
            response.writeHead(status).end('thanks');
            if (status === 200) for (const event of JSON.parse(post.rawBody).events) it.put(event);
        };
        it.server = tls ? https.createServer(tls, hear) : http.createServer(hear);
        await it.listen(0);
        it.url = `${tls ? 'https' : 'http'}://127.0.0.1:${it.port}/hook`;
        return it;
    }

    async listen(port) {
        this.server.listen(port, '127.0.0.1');
        await once(this.server, 'listening');
        this.port = this.server.address().port;
    }

    stop() {
        this.server.closeAllConnections();
        this.server.close();
    }

    /** Has heard nothing new for a while. */
    async silent(ms) {
        await sleep(ms);
        assert.deepEqual(this.items, []);
    }
}

/** An app with webhooks: `settings` as lines, in which an array is a line for each. */
const hooked = (settings) => app() + Object.entries({ webhook_grace_ms: 200, webhook_retry_first_ms: 20, ...settings })
    .flatMap(([key, value]) => [value].flat().map((one) => `${key} = ${one}\n`)).join('');

/** A test with backends, each with one of `answers`, and a server whose lines `settings` makes of their URLs. */
function scene(name, answers, settings, play, ...flags) {
    test(name, { timeout: TEST_MS }, async () => {
        const backends = await Promise.all(answers.map((answer) => Backend.start(answer)));
        const s = await Scene.start(settings(...backends.map(({ url }) => url)), ...flags);
        try {
            await play(s, ...backends);
        } finally {
            await s.stop();
            for (const backend of backends) backend.stop();
        }
    });
}

/** The figures are these, in a moment: an answer is heard before it is counted. */
async function counted(s, wanted) {
    let got;
    const ask = async () => {
        const text = await (await s.weft.fetch('/metrics')).text();
        const figure = (name) => Number(text.match(new RegExp(`^weft_webhook_${name}\\{app="3"\\} (\\d+)$`, 'm'))[1]);
        got = Object.fromEntries(Object.keys(wanted).map((name) => [name, figure(name)]));
        return Object.keys(wanted).every((name) => got[name] === wanted[name]);
    };
    await eventually(ask).catch(() => assert.deepEqual(got, wanted));
}
const occupied = (channel) => ({ name: 'channel_occupied', channel });
const vacated = (channel) => ({ name: 'channel_vacated', channel });
const lines = (file) => readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
const dead = (name) => join(folder, name);
const eventsOf = (line) => JSON.parse(line.body).events;

scene('each kind of event, signed for the SDK', [undefined], (url) => hooked({ webhook: url }) +
    'webhook_header = Authorization: Bearer x\nsubscription_count = true\n', async (s, backend) => {
    const [anna, otto] = [await s.raw(), await s.raw()];
    await anna.join('presence-p', { user_id: 1 });
    assert.deepEqual(await backend.takeAll(2),
        [occupied('presence-p'), { name: 'member_added', channel: 'presence-p', user_id: '1' }]);
    await otto.join('presence-p', { user_id: 'otto "o"' });
    assert.deepEqual(await backend.take(), { name: 'member_added', channel: 'presence-p', user_id: 'otto "o"' });
    assert.equal((await anna.take()).event, 'pusher_internal:member_added');
    const said = { name: 'client_event', channel: 'presence-p', event: 'client-x', socket_id: anna.id, user_id: '1' };
    anna.send('{"event":"client-x","channel":"presence-p","data":{"n":1.10}}');
    assert.deepEqual(await backend.take(), { ...said, data: '{"n":1.10}' });
    anna.send('{"event":"client-x","channel":"presence-p","data":"[\\"text\\"]"}');
    assert.deepEqual(await backend.take(), { ...said, data: '["text"]' });
    await anna.join('cache-c');
    assert.deepEqual(await backend.takeAll(3), [occupied('cache-c'), { name: 'cache_miss', channel: 'cache-c' },
        { name: 'subscription_count', channel: 'cache-c', subscription_count: 1 }]);
    await s.server.trigger('cache-c', 'e', 1);
    otto.socket.terminate();
    anna.say('pusher:unsubscribe', { channel: 'cache-c' });
    assert.deepEqual(new Set(await backend.takeAll(2)),
        new Set([{ name: 'member_removed', channel: 'presence-p', user_id: 'otto "o"' }, vacated('cache-c')]));
    await anna.close();
    assert.deepEqual(await backend.takeAll(2),
        [{ name: 'member_removed', channel: 'presence-p', user_id: '1' }, vacated('presence-p')]);
    const other = new Server({ appId: '3', key: KEY, secret: 'other' });
    for (const post of backend.posts) {
        const webhook = s.server.webhook(post);
        assert.ok(webhook.isValid() && !other.webhook(post).isValid());
        assert.ok(Math.abs(webhook.getTime() - Date.now()) < 30000);
        assert.deepEqual([post.method, post.url, post.headers['x-pusher-key'], post.headers['x-pusher-signature']],
            ['POST', '/hook', KEY, hmac(post.rawBody, SECRET)]);
        assert.deepEqual([post.headers['content-type'], post.headers.authorization], ['application/json', 'Bearer x']);
    }
    await counted(s, { sent_total: 12 });
});

scene('ten tabs are one, a reload says nothing, and who dies in silence is missed', [undefined],
    (url) => hooked({ webhook: url, webhook_grace_ms: 700 }), async (s, backend) => {
        const tabs = [];
        for (let i = 0; i < 10; i++) {
            const tab = await (await s.open(undefined, { autoPong: i !== 9 })).greeted(); // the tenth hears no ping
            await tab.join('presence-p', { user_id: 'anna' });
            tabs.push(tab);
        }
        const came = [occupied('presence-p'), { name: 'member_added', channel: 'presence-p', user_id: 'anna' }];
        assert.deepEqual(await backend.takeAll(2), came);
        await Promise.all(tabs.map((tab) => soon(tab.closed, 'the close'), tabs.slice(0, 9).map((tab) => tab.close())));
        assert.equal((await tabs[9].closed)[0], 4201); // all have gone
        const again = await s.raw();
        await again.join('presence-p', { user_id: 'anna' });
        await backend.silent(900);
        again.socket.terminate();
        assert.deepEqual(await backend.takeAll(2),
            [{ name: 'member_removed', channel: 'presence-p', user_id: 'anna' }, vacated('presence-p')]);
        await (await s.raw()).join('presence-p', { user_id: 'anna' });
        assert.deepEqual(await backend.takeAll(2), came);
    }, '--ping-interval', '150ms', '--ping-timeout', '150ms');

scene('ten tabs of a browser, reloads, and its sudden end', [undefined],
    (url) => hooked({ webhook: url, webhook_grace_ms: 3000 }), async (s, backend) => {
        const server = await chromium.launchServer({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
            args: ['--headless', '--no-sandbox', '--disable-gpu'] });
        try {
            const context = await (await chromium.connect(server.wsEndpoint())).newContext({ bypassCSP: true });
            await context.exposeFunction('sign', (id, channel) =>
                s.server.authorizeChannel(id, channel, { user_id: 'anna' }));
            await context.addInitScript({ path: createRequire(import.meta.url).resolve('pusher-js/dist/web/pusher.js') });
            await context.addInitScript(([key, wsPort]) => {
                const customHandler = ({ socketId, channelName }, done) =>
                    window.sign(socketId, channelName).then((signed) => done(null, signed), done);
                const pusher = new Pusher(key, { wsHost: '127.0.0.1', wsPort, forceTLS: false, cluster: 'none',
                    enabledTransports: ['ws'], disableStats: true, channelAuthorization: { customHandler } });
                const channel = pusher.subscribe('presence-p');
                window.there = new Promise((done) => channel.bind('pusher:subscription_succeeded', () => done(true)));
            }, [KEY, s.weft.port]);
            const there = (page) => page.evaluate(() => window.there);
            const tabs = await Promise.all(Array.from({ length: 10 }, () => context.newPage()));
            await Promise.all(tabs.map(async (page) => { await page.goto(`${s.weft.url}/healthz`); await there(page); }));
            assert.deepEqual(await backend.takeAll(2),
                [occupied('presence-p'), { name: 'member_added', channel: 'presence-p', user_id: 'anna' }]);
            await Promise.all(tabs.map(async (page) => { await page.reload(); await there(page); }));
            await Promise.all(tabs.slice(1).map((page) => page.close()));
            await tabs[0].reload();
            await there(tabs[0]);
            assert.deepEqual(backend.items, []);
            await server.kill(); // SIGKILL, to all of it
            assert.deepEqual(await backend.takeAll(2),
                [{ name: 'member_removed', channel: 'presence-p', user_id: 'anna' }, vacated('presence-p')]);
        } finally {
            await server.kill();
        }
    });

scene('what fails is tried again, in order, and nothing is told twice', [(post, n) => (n <= 3 ? 500 : 200), undefined],
    (...urls) => hooked({ webhook: urls, webhook_batch_ms: 0, webhook_batch_events: 2 }), async (s, bad, good) => {
        const raw = await s.raw(), names = [];
        for (let i = 0; i < 8; i++) {
            names.push(`c${i}`);
            await raw.join(`c${i}`);
        }
        for (const backend of [good, bad]) assert.deepEqual(await backend.takeAll(8), names.map(occupied));
        const [first, ...more] = bad.posts.map(({ rawBody }) => rawBody);
        assert.deepEqual(more.slice(0, 3), [first, first, first]); // to the byte
        await counted(s, { failed_total: 3, retried_total: 3, sent_total: 16 });
        assert.match(s.weft.stderr, /a webhook fails, and is tried again .*it answered 500/);
        await eventually(() => s.weft.stderr.includes('a webhook works again'));
        assert.equal(s.weft.stderr.match(/a webhook fails/g).length, 1);
    });

scene('a backend that is away for too long finds the rest in the file, and then goes on', [undefined],
    (url) => hooked({ webhook: url, webhook_retry_max_ms: 120, webhook_batch_events: 1 }), async (s, backend) => {
        backend.stop();
        const raw = await s.raw(), names = ['c0', 'c1', 'c2'];
        for (const name of names) await raw.join(name);
        await counted(s, { dead_total: 3, queued: 0, sent_total: 0, lost_total: 0 });
        assert.deepEqual(lines(dead('away')).flatMap(eventsOf), names.map(occupied));
        for (const { time, body, error } of lines(dead('away'))) {
            assert.ok(new Date(time) - JSON.parse(body).time_ms < 5000);
            assert.match(error, /connect/i);
        }
        assert.ok(Number((await (await s.weft.fetch('/metrics')).text()).match(/retried_total\{.*\} (\d+)/)[1]) >= 2);
        await backend.listen(backend.port);
        await raw.join('c3');
        assert.deepEqual(await backend.take(), occupied('c3'));
        await eventually(() => s.weft.stderr.includes('a webhook works again'));
    }, '--webhook-dead', dead('away'));

scene('each URL gets what it asks for, and other URLs by SIGHUP', [undefined, undefined],
    (...urls) => hooked({ webhook: urls, webhook_events: 'channel_vacated, cache_miss' }), async (s, all, some) => {
        const raw = await s.raw();
        await raw.join('cache-c');
        assert.equal((await raw.take()).event, 'pusher:cache_miss');
        assert.deepEqual(await all.takeAll(2), [occupied('cache-c'), { name: 'cache_miss', channel: 'cache-c' }]);
        assert.deepEqual(await some.take(), { name: 'cache_miss', channel: 'cache-c' });
        s.write(hooked({ webhook: some.url }));
        s.weft.child.kill('SIGHUP');
        await eventually(() => s.weft.stderr.includes('apps loaded'));
        await raw.join('news');
        assert.deepEqual(await some.take(), occupied('news'));
        s.write(app());
        s.weft.child.kill('SIGHUP');
        await eventually(() => s.weft.stderr.match(/apps loaded/g).length === 2);
        await raw.join('more');
        await Promise.all([all.silent(100), some.silent(100)]);
    });

const moved = (post, n, response) => { response.writeHead(302, { location: moved.to }).end(); };
const endless = async (post, n, response) => {
    response.writeHead(200);
    const gone = once(response, 'close');
    for (endless.chunks = 0; !response.destroyed; endless.chunks++)
        if (!response.write('x'.repeat(65536))) await Promise.race([gone, once(response, 'drain')]);
    endless.done = true;
};
scene('redirects are not followed, no answer is too long, and none too slow',
    [moved, endless, () => undefined, undefined], (...urls) => {
        moved.to = urls[3];
        return hooked({ webhook: urls.slice(0, 3), webhook_retry_max_ms: 1, webhook_timeout_ms: 300 });
    }, async (s, ...backends) => {
        await (await s.raw()).join('news');
        await eventually(() => existsSync(dead('answers')) && lines(dead('answers')).length === 2);
        const [redirected, silent] = lines(dead('answers')).sort((a, b) => b.status - a.status);
        assert.deepEqual([redirected.url, redirected.status, redirected.error],
            [backends[0].url, 302, 'it answered 302']);
        assert.deepEqual([silent.url, silent.status, silent.app], [backends[2].url, 0, '3']);
        assert.match(silent.error, /timed out/);
        assert.deepEqual(eventsOf(silent), [occupied('news')]);
        assert.equal(backends[2].posts[0].rawBody, silent.body);
        assert.ok(Math.abs(new Date(silent.time) - Date.now()) < 30000);
        await counted(s, { sent_total: 1, dead_total: 2, lost_total: 0 });
        assert.equal(backends[3].posts.length, 0);
        await eventually(() => endless.done);
        assert.ok(endless.chunks < 300, `${endless.chunks} chunks`); // what the kernel has buffers for
    }, '--webhook-dead', dead('answers'));

scene('what finds no place goes to the file, and so does what is left at the end', [() => undefined],
    (url) => hooked({ webhook: url, webhook_queue_events: 3, webhook_batch_events: 1 }), async (s, backend) => {
        const raw = await s.raw(), names = [];
        for (let i = 0; i < 6; i++) {
            names.push(`c${i}`);
            await raw.join(`c${i}`);
        }
        await eventually(() => lines(dead('end')).length >= 3);
        const over = lines(dead('end'));
        assert.deepEqual(over.flatMap(eventsOf), names.slice(3).map(occupied));
        assert.ok(over.every(({ error }) => error === 'too many wait for this URL'));
        await counted(s, { dead_total: 3, queued: 3 });
        assert.equal(await s.weft.drain(), 0);
        const all = lines(dead('end')).flatMap(eventsOf);
        assert.deepEqual(new Set(all), new Set([...names.map(occupied), ...names.map(vacated)]));
        assert.equal(all.length, 12);
        assert.equal(backend.posts.length, 1); // the first was under way all the time
        assert.match(s.weft.stderr, /webhooks went to the dead-letter file/);
    }, '--webhook-dead', dead('end'), '--drain', '100ms');

scene('at the end what waits is told', [undefined], (url) => hooked({ webhook: url, webhook_batch_ms: 60000,
    webhook_grace_ms: 60000 }), async (s, backend) => {
    await (await s.raw()).join('news');
    assert.equal(await s.weft.drain(), 0);
    assert.deepEqual(backend.items, [occupied('news'), vacated('news')]);
}, '--drain', '100ms');

scene('without a file what is lost is logged', [() => 500], (url) => hooked({ webhook: url, webhook_retry_max_ms: 1 }),
    async (s) => {
        await (await s.raw()).join('news');
        const lost = 'webhooks are lost app=shop events=1 error="there is no --webhook-dead file"';
        await eventually(() => s.weft.stderr.includes(lost));
        await counted(s, { lost_total: 1, dead_total: 0 });
    });

scene('a proxy, when the config names one', [undefined], (proxy) => hooked({ webhook: 'http://backend.invalid/hook',
    webhook_proxy: new URL(proxy).origin }), async (s, proxy) => {
    await (await s.raw()).join('news');
    assert.deepEqual(await proxy.take(), occupied('news'));
    assert.equal(proxy.posts[0].url, 'http://backend.invalid/hook');
});

test('https: by an authority of its own, and by nobody else', { timeout: TEST_MS }, async () => {
    const openssl = (...args) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj',
        '/CN=here', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', 'key.pem', '-out', 'cert.pem');
    const [cert, key] = ['cert.pem', 'key.pem'].map((name) => readFileSync(join(folder, name)));
    const backend = await Backend.start(undefined, { cert, key });
    const wrong = backend.url.replace('127.0.0.1', 'localhost');
    const rest = { webhook_retry_max_ms: 1 };
    const ca = join(folder, 'cert.pem');
    const known = await Scene.start(hooked({ webhook: [backend.url, wrong], webhook_ca: ca, ...rest }),
        '--webhook-dead', dead('known'));
    const unknown = await Scene.start(hooked({ webhook: backend.url, ...rest }), '--webhook-dead', dead('unknown'));
    try {
        await (await known.raw()).join('news');
        assert.deepEqual(await backend.take(), occupied('news'));
        await (await unknown.raw()).join('news');
        for (const name of ['known', 'unknown']) {
            await eventually(() => lines(dead(name)).length === 1);
            assert.match(lines(dead(name))[0].error, name === 'known' ? /localhost/ : /certificate/);
        }
        assert.equal(backend.posts.length, 1);
    } finally {
        await Promise.all([known.stop(), unknown.stop()]);
        backend.stop();
    }
});

test('a file that cannot be written to is told before anything else', () => {
    const run = (path, ...more) => {
        try {
            execFileSync(process.env.WEFT_BIN, ['serve', '--listen', '127.0.0.1:0', '--webhook-dead', path, ...more],
                { stdio: 'pipe', timeout: TEST_MS });
        } catch ({ status, stderr }) {
            return [status, stderr.toString()];
        }
        return assert.fail('it serves');
    };
    const file = join(folder, 'empty.ini');
    writeFileSync(file, '');
    assert.deepEqual(run(folder, '--config', file),
        [2, `weft: --webhook-dead: cannot write to ${folder}: Is a directory\n`]);
    assert.deepEqual(run('/dev/full', '--config', file),
        [2, 'weft: --webhook-dead: cannot write to /dev/full: it is no regular file\n']);
    assert.match(run(join(folder, 'x'))[1], /--webhook-dead goes with --config/);
});

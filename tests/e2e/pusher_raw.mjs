// The Pusher Channels server, word by word: what is refused and how, limits, reloads, and whether all agree who is
// there.
//
//   WEFT_BIN=/path/to/weft node --test pusher_raw.mjs

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { app, hmac, KEY, Raw, scene, SECRET } from './pushing.mjs';
import { eventually, soon } from './weft.mjs';

const error = (code, message) => ({ event: 'pusher:error', data: { code, message } });
const refused = (channel, type, status, text) => (answer) => {
    assert.deepEqual([answer.event, answer.channel, answer.data.type, answer.data.status],
        ['pusher:subscription_error', channel, type, status]);
    assert.match(answer.data.error, text);
};

const many = app({ connections: 1 }) + app({ id: 4, key: 'off', secret: 's', enabled: false }, 'off') +
    app({ id: 5, key: 'tls', secret: 's', require_tls: true }, 'tls');

scene('who is refused gets an error, and a code that says whether to come again', many, async (s) => {
    await s.raw(); // the one connection that there may be
    for (const [path, code] of [
        ['/app/tls?protocol=7', 4000],
        ['/app/unknown?protocol=7', 4001],
        ['/app/off?protocol=7', 4003],
        [`/app/${KEY}?protocol=7`, 4004],
        ['/app/?protocol=7', 4005],
        [`/app/${KEY}/more?protocol=7`, 4005],
        [`/app/${KEY}?protocol=7&version=%00`, 4006],
        [`/app/${KEY}?protocol=7&version=`, 4006],
        [`/app/${KEY}?protocol=8`, 4007],
        [`/app/${KEY}?protocol=3`, 4007],
        [`/app/${KEY}?protocol=x`, 4007],
        [`/app/${KEY}`, 4008],
    ]) {
        const raw = await s.open(path);
        const { event, data } = await raw.take();
        assert.deepEqual([event, data.code], ['pusher:error', code], path);
        assert.deepEqual(await soon(raw.closed), [code, data.message]);
    }
    assert.equal((await s.weft.fetch(`/app/${KEY}`)).status, 426);
});

scene('as many channels as the app says', app({ channels: 150 }), async (s) => {
    const raw = await s.raw();
    for (let n = 0; n < 150; n++) await raw.join(`c${n}`);
    raw.ask('c150');
    refused('c150', 'LimitReached', 403, /channels/)(await raw.take());
    await s.post('/apps/3/events', { name: 'e', data: '1', channel: 'c149' });
    assert.equal((await raw.take()).channel, 'c149');
});

scene('a connection subscribes as often as it may', app({ channels: 3, subscriptions_second: 1 }), async (s) => {
    const raw = await s.raw();
    for (let n = 0; n < 100; n++) { // and whoever is in a channel hears no more of it
        await raw.join('news');
        raw.say('pusher:unsubscribe', { channel: 'news' });
    }
    raw.ask('news');
    refused('news', 'LimitReached', 403, /more often/)(await raw.take());
    await (await s.raw()).join('news');
});

scene('a path may stand before the others', app(), async (s) => {
    await (await s.open(`/behind/a/proxy/app/${KEY}?protocol=7`)).greeted();
    assert.deepEqual(await s.call('GET', '/behind/a/proxy/apps/3/channels'), [200, '{"channels":{}}']);
    await s.raw();
}, '--pusher-path', '/behind/a/proxy');

scene('TLS, where it is asked for', app({ require_tls: true }), async (s) => {
    const path = `/app/${KEY}?protocol=7`, url = s.weft.url.replace('https:', 'wss:');
    const raw = new Raw(url + path, { rejectUnauthorized: false });
    assert.match((await (await soon(raw.opened)).greeted()).id, /^\d+\.\d+$/);
    raw.socket.terminate();
    const session = http2.connect(s.weft.url, { rejectUnauthorized: false });
    await soon(new Promise((resolve) => session.once('remoteSettings', resolve)));
    const stream = session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': path,
        'sec-websocket-version': '13' });
    const text = await soon(new Promise((resolve) => stream.once('data', (data) => resolve(data.toString()))));
    assert.match(text, /pusher:connection_established/);
    session.destroy();
}, '--tls-self-signed');

scene('versions 4 to 7, pings, and a socket id for each', app(), async (s) => {
    const ids = new Set();
    for (const protocol of [4, 5, 6, 7]) {
        const raw = await (await s.open(`/app/${KEY}?protocol=${protocol}`)).greeted();
        assert.match(raw.id, /^\d+\.\d+$/);
        ids.add(raw.id);
        await raw.nothing();
        raw.say('pusher:pong', {});
        await raw.nothing();
    }
    assert.equal(ids.size, 4);
    for (const origin of ['https://elsewhere.example', 'null']) // signatures say who may do what
        await (await s.open(undefined, { origin })).greeted();
});

scene('who does not answer a ping is closed with 4201', app(), async (s) => {
    const [deaf, good] = [await s.open(undefined, { autoPong: false }), await s.open()];
    assert.equal((await soon(deaf.closed))[0], 4201);
    await good.greeted();
    await good.nothing();
}, '--ping-interval', '50ms', '--ping-timeout', '200ms');

scene('what is no message is answered, and the connection stays', app(), async (s) => {
    const raw = await s.raw();
    const nonsense = ['', '{', '[]', 'null', '"text"', '{"event":"pusher:ping","event":"pusher:ping"}',
        '['.repeat(40000),
        `{"event":"pusher:ping","data":${'['.repeat(32)}${']'.repeat(32)}}`, Buffer.from('{"event":"pusher:ping"}')];
    for (const text of nonsense) {
        raw.send(text);
        assert.deepEqual(await raw.take(), error(null,
            'A message is a JSON object of at most 32 levels, without duplicate keys'));
    }
    for (const message of [{}, { event: 1 }, { event: 'x' }, { event: 'pusher:nothing' },
        { event: 'pusher_internal:x' }]) {
        raw.send(JSON.stringify(message));
        assert.deepEqual(await raw.take(), error(null, 'Unsupported event: those of clients begin with client-'));
    }
    for (const data of [undefined, null, 1, [], 'text', '{"channel":', {}, { channel: 1 }]) {
        for (const event of ['subscribe', 'unsubscribe']) {
            raw.say(`pusher:${event}`, data);
            assert.deepEqual(await raw.take(), error(null, `pusher:${event} needs data with a channel`));
        }
    }
    raw.send('{"event":"pusher:subscribe","data":"{\\"channel\\":\\"as-a-string\\"}"}');
    assert.equal((await raw.take()).channel, 'as-a-string');
    raw.say('pusher:unsubscribe', { channel: 'never-joined' });
    raw.say('pusher:unsubscribe', { channel: 'no such name' });
    await raw.nothing();
});

scene('subscriptions that are refused, each with its reason', app({ channels: 3, members: 1, member_bytes: 64 }),
    async (s) => {
    const raw = await s.raw(), { id } = raw;
    for (const channel of ['a b', '', 'x'.repeat(201), '#news', '#server-to-user-']) {
        raw.say('pusher:subscribe', { channel });
        refused(channel, 'InvalidChannel', 400, /1 to 200/)(await raw.take());
    }
    for (const auth of [undefined, '', KEY, `${KEY}:`, `${KEY}:${hmac('other')}`, `other:${hmac(`${id}:private-x`)}`,
        `${KEY}:${hmac(`${id}:private-x`, 'wrong')}`, `${KEY}:${hmac(`${id}:private-x`)}0`]) {
        raw.say('pusher:subscribe', { channel: 'private-x', auth });
        const answer = await raw.take();
        refused('private-x', 'AuthError', 401, new RegExp(`HMAC-SHA256 .* of ${id}:private-x`))(answer);
        assert.ok(!JSON.stringify(answer).includes(hmac(`${id}:private-x`)));
    }
    raw.say('pusher:subscribe', { channel: '#server-to-user-anna', auth: '' });
    refused('#server-to-user-anna', 'AuthError', 401, /sign in/)(await raw.take());
    for (const data of [{}, { user_id: null }, { user_id: '' }, { user_id: 'x'.repeat(129) }, { user_id: { a: 1 } },
        []]) {
        raw.ask('presence-p', data);
        refused('presence-p', 'AuthError', 401, /user_id|longer/)(await raw.take());
    }
    raw.ask('presence-p', { user_id: 1, user_info: 'x'.repeat(64) });
    refused('presence-p', 'AuthError', 401, /longer/)(await raw.take());
    raw.ask('presence-p');
    refused('presence-p', 'AuthError', 401, /needs channel_data/)(await raw.take());
    await raw.join('presence-p', { user_id: 1 });
    const other = await s.raw();
    other.ask('presence-p', { user_id: 2 });
    refused('presence-p', 'LimitReached', 403, /members/)(await other.take());
    await other.join('presence-p', { user_id: 1 });
    await raw.join('a');
    raw.ask('a');
    assert.deepEqual(await raw.take(), error(null, 'Existing subscription to channel a'));
    await raw.join('b');
    raw.ask('c');
    refused('c', 'LimitReached', 403, /channels/)(await raw.take());
    raw.say('pusher:unsubscribe', { channel: 'b' });
    await raw.join('c');
});

scene('events of clients pass on what came, and no more than they may', app({ event_bytes: 100 }), async (s) => {
    const [one, other] = [await s.raw(), await s.raw()];
    await one.join('private-a');
    await other.join('private-a');
    one.send('{"channel":"private-a","data":{"n": 12345678901234567890.10, "e":"\\u00e9"},"event":"client-x"}');
    const plain = new Promise((resolve) => other.socket.once('message', (data) => resolve(data.toString())));
    assert.equal(await soon(plain),
        '{"event":"client-x","channel":"private-a","data":{"n": 12345678901234567890.10, "e":"\\u00e9"}}');
    await other.take();
    const refusal = (message) => error(4301, `Client event rejected: ${message}`);
    const rejected = async (channel, data, message, event = 'client-x') => {
        one.say(event, data, channel);
        assert.deepEqual(await one.take(), refusal(message));
    };
    await one.join('news');
    await rejected('news', {}, 'only private and presence channels have them');
    await rejected('private-b', {}, 'you are not in this channel');
    await rejected('private-a', 'x'.repeat(100), 'its data is longer than this app allows');
    await rejected(undefined, {}, 'you are not in this channel');
    await rejected('private-a', {}, 'you are not in this channel', `client-${'x'.repeat(200)}`);
    let sent = 1;
    for (; sent < 30; sent++) one.say('client-y', sent, 'private-a');
    await one.nothing().catch(() => {}); // the first that is told is a refusal
    const heard = [];
    const silence = () => new Promise((resolve) => setTimeout(resolve, 200));
    for (let message; (message = await Promise.race([other.take(), silence()]));) heard.push(message);
    assert.ok(heard.length >= 9 && heard.length <= 12, `${heard.length} of them`);
    assert.deepEqual(heard.map(({ data }) => data), heard.map((_, i) => i + 1));
});

scene('keys may be written with escapes', app(), async (s) => {
    const [one, other] = [await s.raw(), await s.raw()];
    await one.join('private-a');
    await other.join('private-a');
    one.send('{"\\u0065vent":"client-\\u0078","channel":"private-a","\\u0064ata":1}'); // keys may be written so
    assert.deepEqual(await other.take(), { event: 'client-x', channel: 'private-a', data: 1 });
    one.say('client-x', { half: '🧵'.slice(0, 1) }, 'private-a'); // of an emoji, as JSON.stringify writes it
    assert.deepEqual(await other.take(), { event: 'client-x', channel: 'private-a', data: { half: '\ud83e' } });
});

scene('client events are off by default', `[app shop]\nid = 3\nkey = ${KEY}\nsecret = ${SECRET}\n`, async (s) => {
    const raw = await s.raw();
    await raw.join('private-a');
    raw.say('client-x', {}, 'private-a');
    assert.deepEqual(await raw.take(), error(4301, 'Client event rejected: this app does not allow them'));
});

scene('signins that are refused end the connection', app({ watchlist: 2, member_bytes: 64 }), async (s) => {
    const sign = (raw, user_data) => raw.say('pusher:signin',
        { user_data, auth: `${KEY}:${hmac(`${raw.id}::user::${user_data}`)}` });
    for (const wrong of [
        (raw) => raw.say('pusher:signin', {}),
        (raw) => raw.say('pusher:signin', { user_data: '{"id":"1"}', auth: `${KEY}:00` }),
        (raw) => sign(raw, '{"id":""}'),
        (raw) => sign(raw, '{"id":5}'),
        (raw) => sign(raw, '{}'),
        (raw) => sign(raw, 'x'),
    ]) {
        const raw = await s.raw();
        wrong(raw);
        const { event, data } = await raw.take();
        assert.deepEqual([event, data.code], ['pusher:error', 4009]);
        assert.equal((await soon(raw.closed))[0], 4009);
    }
    const raw = await s.raw();
    const user_data = JSON.stringify({ id: 'anna', user_info: { n: 1 }, watchlist: ['a', 'b', 'c'] });
    sign(raw, user_data);
    assert.deepEqual(await raw.take(), { event: 'pusher:signin_success', data: { user_data } });
    assert.deepEqual((await raw.take()).data, { events: [{ name: 'offline', user_ids: ['a', 'b'] }] });
    assert.equal((await raw.take()).data.code, 4302);
    assert.deepEqual((await raw.join('presence-p')).presence, { count: 1, ids: ['anna'], hash: { anna: { n: 1 } } });
    await raw.join('#server-to-user-anna');
    const long = await s.raw();
    sign(long, JSON.stringify({ id: 'eva', user_info: 'x'.repeat(64) })); // and a quote at each end
    assert.equal((await long.take()).event, 'pusher:signin_success');
    long.ask('presence-p');
    refused('presence-p', 'AuthError', 401, /user_info is longer/)(await long.take());
    sign(raw, '{"id":"otto"}');
    assert.equal((await raw.take()).data.code, 4009);
    assert.equal((await soon(raw.closed))[0], 4009);
});

scene('requests are signed, and lately', app(), async (s) => {
    const events = '/apps/3/events', now = Math.floor(Date.now() / 1000),
        iso = '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ';
    const event = { name: 'foo', channels: ['project-3'], data: '{"some":"data"}' };
    const is = async (promise, status, text) => {
        const [got, body] = await promise;
        assert.equal(got, status, body);
        if (text instanceof RegExp) assert.match(body, text); else assert.equal(body, text);
    };
    await is(s.post(events, event), 200, '{}');
    await is(s.post(events, event, { secret: 'wrong' }), 401,
        /^Invalid signature: .* HMAC-SHA256 .* of\nPOST\n\/apps\/3\/events\nauth_key=/);
    await is(s.post(events, event, { params: { auth_timestamp: now - 599 } }), 200, '{}');
    for (const timestamp of [now - 602, now + 602, 0, 253402300800])
        await is(s.post(events, event, { params: { auth_timestamp: timestamp } }), 401,
            new RegExp(`^Timestamp expired: Given timestamp \\(.*\\) not within 600s of server time \\(${iso}\\)$`));
    await is(s.post(events, event, { params: { auth_timestamp: 'now' } }), 401, /^auth_timestamp must be/);
    await is(s.post(events, event, { params: { auth_version: '2.0' } }), 401, 'auth_version must be 1.0');
    await is(s.post(events, event, { params: { auth_key: 'other' } }), 401, 'Unknown auth_key other');
    await is(s.post(events, event, { params: { body_md5: '00' } }), 401, /^Invalid body_md5/);
    await is(s.post('/apps/4/events', event), 404, 'Unknown app 4');
    await is(s.post('/apps/3/nothing', event), 404, 'There is no such thing in the API');
    await is(s.call('GET', events), 405, 'POST is what this path takes');
    await is(s.call('POST', '/apps/3/channels'), 405, 'GET is what this path takes');
    const unsigned = await s.weft.fetch(`${events}?auth_key=${KEY}`, { method: 'POST', body: '{}' });
    assert.deepEqual([unsigned.status, await unsigned.text()], [401, 'auth_timestamp is missing']);
    assert.equal((await s.weft.fetch(events, { method: 'POST', body: '{}' })).status, 401);
    await is(s.call('GET', '/apps/3/channels', { params: { info: 'subscription_count', filter_by_prefix: 'a' } }),
        200, '{"channels":{}}');
    await is(s.call('GET', '/apps/3/channels/presence-x/users'), 200, '{"users":[]}');
    // The path is signed as it is sent or as it is meant, which an HTTP client may write with escapes; but no text
    // stands for two paths.
    for (const id of ['a/b c', 'a/b%20c', 'auth0|7', 'é'])
        await is(s.call('POST', `/apps/3/users/${id}/terminate_connections`), 200, '{}');
    const path = '/apps/3/users/a%62/terminate_connections', sent = path.replace('%', '%25');
    const query = `auth_key=${KEY}&auth_timestamp=${now}&auth_version=1.0`;
    const other = await s.weft.fetch(`${sent}?${query}&auth_signature=${hmac(`POST\n${path}\n${query}`)}`,
        { method: 'POST' });
    assert.equal(other.status, 401);
    for (const [method, url, allow] of [['GET', events, 'POST'], ['POST', '/apps/3/channels', 'GET, HEAD']]) {
        const signed = await s.weft.fetch(`${url}?${query}&auth_signature=${hmac(`${method}\n${url}\n${query}`)}`, { method });
        assert.deepEqual([signed.status, signed.headers.get('Allow')], [405, allow]);
    }
    await is(s.call('POST', '/apps/3/users/a/b/terminate_connections'), 200, '{}');
    await is(s.call('GET', '/apps/3/channels/a/b'), 400, /^Invalid channel name/);
    await is(s.call('GET', '/apps/3/channels/x/users'), 400, 'Users can only be retrieved for presence channels');
    await is(s.call('GET', '/apps/3/channels/x', { params: { info: 'cache' } }), 400, /cache channel$/);
    await is(s.call('GET', '/apps/3/channels/cache-x', { params: { info: 'cache' } }), 200,
        '{"occupied":false,"cache":null}');
});

scene('events that are refused reach nobody', app(), async (s) => {
    const raw = await s.raw();
    await raw.join('news');
    const wrong = async (path, body, status, text) => {
        const [got, why] = await (typeof body === 'string' ? s.call('POST', path, { body }) : s.post(path, body));
        assert.deepEqual([got, text.test(why)], [status, true], why);
    };
    const event = (more) => ({ name: 'e', data: '"d"', channels: ['news'], ...more });
    for (const [body, status, text] of [
        ['{', 400, /JSON object/],
        ['[]', 400, /JSON object/],
        ['{"name":"e","name":"f","data":"d","channel":"news"}', 400, /duplicate/],
        [event({ channels: undefined }), 400, /needs channels/],
        [event({ channels: [] }), 400, /1 to 100 channels/],
        [event({ channels: Array(101).fill('news') }), 400, /not 101/],
        [event({ channels: ['news', 'a b'] }), 400, /Invalid channel/],
        [event({ channels: ['news', 5] }), 400, /Invalid channel/],
        [event({ channels: ['news', 'private-encrypted-x'] }), 400, /encrypted/],
        [event({ name: '' }), 400, /name/],
        [event({ name: 'x'.repeat(201) }), 400, /name/],
        [event({ name: 5 }), 400, /name/],
        [event({ data: {} }), 400, /string/],
        [event({ data: undefined }), 400, /string/],
        [event({ socket_id: 'x' }), 400, /socket id/],
        [event({ data: 'x'.repeat(10241) }), 413, /10240 bytes/],
    ])
        await wrong('/apps/3/events', body, status, text);
    const good = event({ channel: 'news' });
    for (const [batch, status, text] of [
        [{}, 400, /array/],
        [[good, {}], 400, /name/],
        [[good, { ...good, channel: 'a b' }], 400, /Invalid channel/],
        [[good, null], 400, /object/],
        [[good, { ...good, data: 'x'.repeat(10241) }], 413, /10240/],
        [Array(11).fill(good), 400, /11 > 10/],
    ])
        await wrong('/apps/3/batch_events', { batch }, status, text);
    await raw.nothing();
    assert.deepEqual(await s.post('/apps/3/events', event({ channels: undefined, channel: 'news' })), [200, '{}']);
    assert.equal((await raw.take()).data, 'd');
});

scene('a reload changes apps and drops nobody', app(), async (s) => {
    const raw = await s.raw();
    await raw.join('news');
    const reload = async () => {
        const before = s.weft.stderr.split('apps loaded').length;
        s.weft.child.kill('SIGHUP');
        await eventually(() => s.weft.stderr.split('apps loaded').length > before);
    };
    s.write(app().replace('secret = ', 'secret = first\nkey = second\nsecret = ') +
        app({ id: 4, key: 'new', secret: 's' }, 'new'));
    await reload();
    await raw.nothing();
    const newcomer = await (await s.open('/app/new?protocol=7')).greeted();
    const rotated = await (await s.open('/app/second?protocol=7')).greeted();
    rotated.say('pusher:subscribe', { channel: 'private-x', auth: `second:${hmac(`${rotated.id}:private-x`)}` });
    assert.equal((await rotated.take()).event, 'pusher_internal:subscription_succeeded');
    assert.equal((await s.post('/apps/3/events', { name: 'e', data: '1', channel: 'news' }, { secret: 'first' }))[0],
        200);
    assert.equal((await raw.take()).event, 'e');

    s.write('[app broken]\nid = 1\n');
    s.weft.child.kill('SIGHUP');
    await eventually(() => s.weft.stderr.includes('apps stay as they were'));
    await newcomer.nothing();

    s.write(app({ enabled: false }));
    await reload();
    assert.equal((await soon(raw.closed))[0], 4003);
    assert.equal((await soon(newcomer.closed))[0], 4001);
    assert.equal((await s.post('/apps/3/events', { name: 'e', data: '1', channel: 'news' }))[0], 403);
    assert.equal((await s.call('GET', '/apps/4/channels'))[0], 404);
});

scene('without apps in the file there is the one that was made up, again', '', async (s) => {
    const told = () => /id=(\d+) key=(\w+) secret=(\w+)/.exec(s.weft.stderr);
    await eventually(told);
    const open = async (key) => (await s.open(`/app/${key}?protocol=7`)).greeted();
    const reload = async (config) => {
        const before = s.weft.stderr.split('apps loaded').length;
        s.write(config);
        s.weft.child.kill('SIGHUP');
        await eventually(() => s.weft.stderr.split('apps loaded').length > before);
    };
    const tried = await open(told()[2]);
    await reload('# none still\n');
    await tried.nothing();
    await reload(app());
    assert.equal((await soon(tried.closed))[0], 4001);
    const raw = await s.raw();
    await reload('');
    assert.equal((await soon(raw.closed))[0], 4001);
    await open(told()[2]);
});

scene('all hear one order, and nothing of before they came', app({ event_channels: 5 }), async (s) => {
    const early = await Promise.all(Array.from({ length: 8 }, () => s.raw()));
    for (const raw of early) await raw.join('news');
    const total = 300, late = [];
    const publishing = (async () => {
        for (let n = 0; n < total; n += 10)
            await Promise.all(Array.from({ length: 10 }, (_, k) =>
                s.post('/apps/3/events', { name: 'n', data: `${n + k}`, channel: 'news' })));
    })();
    for (let i = 0; i < 8; i++) {
        const raw = await s.raw();
        await raw.join('news');
        late.push(raw);
    }
    await publishing;
    await s.post('/apps/3/events', { name: 'end', data: '-1', channel: 'news' });
    const heard = async (raw) => {
        const all = [];
        for (let message; (message = await raw.take()).event !== 'end';) all.push(message.data);
        return all;
    };
    const first = await heard(early[0]);
    assert.deepEqual([...first].sort((a, b) => a - b), Array.from({ length: total }, (_, n) => n));
    for (const raw of early.slice(1)) assert.deepEqual(await heard(raw), first);
    for (const raw of late) {
        const some = await heard(raw);
        assert.deepEqual(some, first.slice(total - some.length));
    }
});

/** Folds what it hears of a presence channel into who is there, and believes nothing impossible. */
function fold(raw) {
    raw.put = (text) => {
        const { event, data } = JSON.parse(text), { user_id, presence } = JSON.parse(data);
        if (event === 'pusher_internal:subscription_succeeded')
            raw.members = new Set(presence.ids);
        else if (event === 'pusher_internal:member_added')
            raw.wrong ??= raw.members.has(user_id) ? 'added twice' : raw.members.add(user_id) && undefined;
        else if (event === 'pusher_internal:member_removed')
            raw.wrong ??= raw.members.delete(user_id) ? undefined : 'removed and was not there';
        else
            raw.wrong ??= text;
    };
    return raw;
}

scene('who is there is the same for all, however they come and go', app({ subscriptions_second: 100000 }), async (s) => {
    const watcher = fold(await s.raw());
    watcher.ask('presence-p', { user_id: 'watcher' });
    const clients = (await Promise.all(Array.from({ length: 8 }, () => s.raw()))).map(fold);
    clients.forEach((raw, i) => { raw.user = `u${i % 3}`; }); // some are one user
    for (let round = 0; round < 20; round++) {
        for (const raw of clients) { // all at once, so that both threads have much to do
            raw.socket._socket.cork();
            for (let i = 0; i < 60; i++) {
                raw.ask('presence-p', { user_id: raw.user });
                raw.say('pusher:unsubscribe', { channel: 'presence-p' });
            }
            raw.ask('presence-p', { user_id: raw.user });
        }
        for (const raw of clients) raw.socket._socket.uncork();
        const all = [watcher, ...clients];
        const expected = ['u0', 'u1', 'u2', 'watcher'];
        await eventually(() => all.some(({ wrong }) => wrong) ||
            all.every(({ members }) => members && [...members].sort().join() === expected.join()));
        for (const { wrong } of all) assert.equal(wrong, undefined);
        for (const raw of clients) raw.say('pusher:unsubscribe', { channel: 'presence-p' });
    }
    await eventually(() => watcher.members.size === 1);
    for (const raw of clients) raw.ask('presence-p', { user_id: raw.user });
    await eventually(() => watcher.members.size === 4);
    for (const raw of clients) raw.socket.terminate(); // they die without a word
    await eventually(() => watcher.members.size === 1);
    assert.equal(watcher.wrong, undefined);
});

scene('whatever is said, it goes on, and nobody is left behind', app({ members: 3, channels: 5 }), async (s) => {
    let seed = 5;
    const dice = (n) => { seed = (seed * 48271) % 2147483647; return seed % n; };
    const one = (list) => list[dice(list.length)];
    const names = ['news', 'cache-n', 'private-a', 'presence-p', 'presence-cache-q', 'private-encrypted-z',
        '#server-to-user-anna'];
    const spoil = (text) => {
        const at = dice(text.length);
        const some = one(['"', '\\', '{', '}', '[', ']', ',', ':', '\\u0000', '\\ud800', 'e', 'é']);
        return text.slice(0, at) + some + text.slice(at + dice(3));
    };
    const message = (raw, channel) => {
        const member = JSON.stringify({ user_id: one(['a', 'b', 5]) });
        const channel_data = channel.startsWith('presence') ? member : undefined;
        const user_data = JSON.stringify({ id: one(['anna', 'otto']), watchlist: ['anna', 5, 'eva'] });
        const signed = (...parts) => `${KEY}:${hmac(parts.join(':'))}`;
        return JSON.stringify(one([
            { event: 'pusher:subscribe', data: { channel, channel_data,
                auth: signed(raw.id, channel, ...(channel_data ? [channel_data] : [])) } },
            { event: 'pusher:unsubscribe', data: { channel } },
            { event: 'client-x', channel, data: { a: [1, 'x'] } },
            { event: 'pusher:signin', data: { user_data, auth: signed(raw.id, '', 'user', '', user_data) } },
        ]));
    };
    for (let round = 0; round < 25; round++) {
        const clients = await Promise.all([s.raw(), s.raw(), s.raw(), s.raw()]);
        for (const raw of clients) raw.put = () => {};
        for (let i = 0; i < 100; i++) {
            const raw = one(clients), text = message(raw, one(names));
            raw.send(dice(3) ? text : spoil(text));
        }
        const body = JSON.stringify({ name: 'e', data: '1', channels: [one(names)], info: 'user_count,cache' });
        await s.call('POST', '/apps/3/events', { body: dice(2) ? body : spoil(body) });
        for (const raw of clients) if (dice(2)) raw.socket.terminate(); else raw.close();
    }
    await eventually(async () => (await s.call('GET', '/apps/3/channels'))[1] === '{"channels":{}}');
    const raw = await s.raw();
    assert.deepEqual((await raw.join('presence-p', { user_id: 'last' })).presence.ids, ['last']);
});

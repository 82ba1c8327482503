// The Pusher Channels server, to the byte: what a client is told, what an SDK is answered, and what may be written in
// more than one way.
//
//   WEFT_BIN=/path/to/weft node --test pusher_exact.mjs

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { WsClient } from './clients.mjs';
import { app, hmac, KEY, scene } from './pushing.mjs';
import { soon } from './weft.mjs';

/** A client that hears texts as they come. */
async function plain(s) {
    const client = await soon(new WsClient(`${s.weft.ws}/app/${KEY}?protocol=7`).opened);
    s.clients.push({ end: () => client.socket.terminate() });
    client.first = await client.take();
    client.id = JSON.parse(JSON.parse(client.first).data).socket_id;
    return client;
}

const signed = (...parts) => `${KEY}:${hmac(parts.join(':'))}`;
const subscribe = (id, channel, channel_data) => JSON.stringify({ event: 'pusher:subscribe',
    data: { channel, channel_data, auth: signed(id, channel, ...(channel_data ? [channel_data] : [])) } });
const publish = (s, event) => s.post('/apps/3/events', event);

// `data` of the server is a string with JSON in it, but for errors, refusals and a signin.
scene('what a client is told, to the byte', app({ subscription_count: true }), async (s) => {
    const [one, other] = [await plain(s), await plain(s)];
    assert.equal(one.first, '{"event":"pusher:connection_established","data":' +
        `"{\\"socket_id\\":\\"${one.id}\\",\\"activity_timeout\\":120}"}`);
    const hears = async (...texts) => { for (const text of texts) assert.equal(await one.take(), text); };
    const answers = async (message, ...texts) => { one.send(message); await hears(...texts); };
    await answers('{"event":"pusher:ping","data":{}}', '{"event":"pusher:pong","data":"{}"}');
    await answers('{"event":"nothing"}', '{"event":"pusher:error","data":{"code":null,' +
        '"message":"Unsupported event: those of clients begin with client-"}}');
    await answers('{"event":"pusher:subscribe","data":{"channel":"news"}}',
        '{"event":"pusher_internal:subscription_succeeded","channel":"news","data":"{}"}',
        '{"event":"pusher_internal:subscription_count","channel":"news","data":"{\\"subscription_count\\":1}"}');
    await publish(s, { name: 'e "1"', data: '{"a":"é\\n"}', channel: 'news' });
    await hears('{"event":"e \\"1\\"","channel":"news","data":"{\\"a\\":\\"é\\\\n\\"}"}');
    await answers('{"event":"pusher:subscribe","data":{"channel":"cache-c"}}',
        '{"event":"pusher_internal:subscription_succeeded","channel":"cache-c","data":"{}"}',
        '{"event":"pusher:cache_miss","channel":"cache-c"}',
        '{"event":"pusher_internal:subscription_count","channel":"cache-c","data":"{\\"subscription_count\\":1}"}');
    await answers('{"event":"pusher:subscribe","data":{"channel":"private-x"}}',
        '{"event":"pusher:subscription_error","channel":"private-x","data":{"type":"AuthError","error":"Invalid signature: ' +
        `auth must be KEY:SIGNATURE, the hex HMAC-SHA256 under the key's secret of ${one.id}:private-x","status":401}}`);
    const presence = (channel, count, ids, hash) => JSON.stringify({ event: 'pusher_internal:subscription_succeeded',
        channel, data: JSON.stringify({ presence: { count, ids, hash } }) });
    await answers(subscribe(one.id, 'presence-p', '{"user_id": 10, "user_info": {"n": 1.50}}'),
        presence('presence-p', 1, ['10'], { 10: { n: 1.5 } }).replace('1.5}', ' 1.50}'));
    other.send(subscribe(other.id, 'presence-p', '{"user_id":"anna"}'));
    await hears('{"event":"pusher_internal:member_added","channel":"presence-p","data":"{\\"user_id\\":\\"anna\\"}"}');
    other.send('{"event":"client-x","channel":"presence-p","data":{},"user_id":"forged","socket_id":"1.1"}');
    await hears('{"event":"client-x","channel":"presence-p","data":{},"user_id":"anna"}');
    other.send('{"event":"client-x","channel":"presence-p"}');
    await hears('{"event":"client-x","channel":"presence-p","data":null,"user_id":"anna"}');
    other.close();
    await hears('{"event":"pusher_internal:member_removed","channel":"presence-p","data":"{\\"user_id\\":\\"anna\\"}"}');
    const user_data = '{"id":"u","watchlist":["v"]}', auth = signed(one.id, '', 'user', '', user_data);
    await answers(JSON.stringify({ event: 'pusher:signin', data: { auth, user_data } }),
        `{"event":"pusher:signin_success","data":{"user_data":${JSON.stringify(user_data)}}}`,
        '{"event":"pusher_internal:watchlist_events","data":' +
        '"{\\"events\\":[{\\"name\\":\\"offline\\",\\"user_ids\\":[\\"v\\"]}]}"}');
});

scene('a user is one, as a number and as a string', app(), async (s) => {
    const [one, other] = [await s.raw(), await s.raw()];
    await one.join('presence-p', { user_id: 10 });
    const { presence } = await other.join('presence-p', { user_id: '10', user_info: 'the first said it' });
    assert.deepEqual(presence, { count: 1, ids: ['10'], hash: { 10: null } });
    await one.nothing();
});

scene('events of clients are not what a cache channel keeps', app(), async (s) => {
    const [one, other] = [await s.raw(), await s.raw()];
    await one.join('private-cache-c');
    assert.equal((await one.take()).event, 'pusher:cache_miss');
    one.say('client-x', 1, 'private-cache-c');
    await one.nothing();
    await other.join('private-cache-c');
    assert.equal((await other.take()).event, 'pusher:cache_miss');
});

scene('signatures may be written in capitals, and each thing is asked for once', app(), async (s) => {
    const body = '{"name":"e","data":"d","channel":"news"}', path = '/apps/3/events';
    const md5 = createHash('md5').update(body).digest('hex'), now = Math.floor(Date.now() / 1000);
    const query = (name = 'auth_key', hex = md5) => `${name}=${KEY}&auth_timestamp=${now}&auth_version=1.0&body_md5=${hex}`;
    const sign = (text) => `auth_signature=${hmac(`POST\n${path}\n${text}`)}`;
    const post = async (text, more = {}) => {
        const answer = await s.weft.fetch(`${path}?${text}`, { method: 'POST', body, ...more });
        return [answer.status, await answer.text()];
    };
    const good = sign(query());
    for (const text of [`${query()}&${good}`, `${query()}&auth_signature=${good.slice(15).toUpperCase()}`,
        `${query('', md5.toUpperCase()).replace('=', 'auth_key=')}&${sign(query('auth_key', md5.toUpperCase()))}`,
        `${query('AUTH_Key')}&${good}`, `${good}&${query()}`, `&&${query()}&&${good}&`])
        assert.deepEqual(await post(text), [200, '{}'], text);
    for (const text of [`${query()}&auth_signature=00&${good}`, `${query()}&${good.slice(0, -1)}`, `${query()}&${good}0`,
        `${query()}&${good.slice(0, -1)}g`, `${query()}&more=1&${good}`, `${query()}&body_md5=${md5}&${good}`])
        assert.match((await post(text))[1], /^Invalid signature/, text);
    const unproved = `auth_key=${KEY}&auth_timestamp=${now}&auth_version=1.0`; // the body is in no signature
    assert.deepEqual(await post(`${unproved}&${sign(unproved)}`),
        [401, `Invalid body_md5: it must be the hex MD5 of the body, ${md5}`]);
    for (const headers of [{ 'Content-Type': 'text/plain' }, { 'Content-Type': 'application/octet-stream' }, {}])
        assert.deepEqual(await post(`${query()}&${good}`, { headers }), [200, '{}']);
    const { hostname, port } = new URL(s.weft.url);
    for (const headers of [{ 'Transfer-Encoding': 'chunked' }, { 'Content-Length': body.length, Expect: '100-continue' }]) {
        const status = new Promise((resolve, reject) => {
            const asks = request({ hostname, port, method: 'POST', path: `${path}?${query()}&${good}`, headers },
                (response) => resolve(response.resume().statusCode));
            asks.on('error', reject).on('continue', () => asks.end(body));
            if (headers.Expect) asks.flushHeaders(); else asks.end(body);
        });
        assert.equal(await soon(status), 200);
    }
});

scene('a batch is answered in its order, and leaves out who has sent it', app(), async (s) => {
    const [one, other] = [await s.raw(), await s.raw()];
    for (const raw of [one, other]) await raw.join('news');
    await one.join('presence-p', { user_id: 1 });
    const batch = [{ name: 'a', data: '1', channel: 'news', socket_id: one.id, info: 'subscription_count' },
        { name: 'b', data: '2', channel: 'presence-p' },
        { name: 'c', data: '3', channel: 'presence-p', info: 'user_count,nonsense,subscription_count' },
        { name: 'd', data: '4', channel: 'news', socket_id: null },
        { name: 'e', data: '5', channel: 'nobody', info: 'user_count,subscription_count,cache' }];
    assert.deepEqual(await s.post('/apps/3/batch_events', { batch }), [200, '{"batch":[{"subscription_count":2},{},' +
        '{"user_count":1,"subscription_count":1},{},{"subscription_count":0}]}']);
    const heard = (await one.takeAll(3)).map(({ event }) => event), ours = (await other.takeAll(2)).map(({ event }) => event);
    assert.deepEqual([heard.filter((event) => event !== 'd'), ours], [['b', 'c'], ['a', 'd']]); // each channel has an order
    assert.deepEqual(await s.post('/apps/3/batch_events', { batch: batch.filter(({ info }) => !info) }), [200, '{}']);
    assert.deepEqual(await s.post('/apps/3/batch_events', { batch: [] }), [200, '{}']);
    assert.deepEqual(await s.post('/apps/3/events', { name: 'e', data: '1', channels: ['news', 'presence-q'],
        info: 'user_count,subscription_count' }), [200,
        '{"channels":{"news":{"subscription_count":2},"presence-q":{"user_count":0,"subscription_count":0}}}']);
});

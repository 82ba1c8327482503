// Channels that keep a history: who returns gets what it missed, or is told that it cannot; and who knows nothing of it
// is not disturbed.
//
//   WEFT_BIN=/path/to/weft node --test recovery.mjs

import assert from 'node:assert/strict';
import { recover } from '../../web/weft-pusher.js';
import { app, KEY, scene, subscribed, told } from './pushing.mjs';
import { eventually } from './weft.mjs';

const kept = app({ history: 'cache- news private-', history_messages: 5 });

const publish = async (s, channel, ...names) => {
    for (const name of names)
        assert.deepEqual(await s.post('/apps/3/events', { name, data: '{}', channel }), [200, '{}']);
};

/** Subscribes with a place, or none: what it is told first. */
const enter = async (s, channel, recover) => {
    const raw = await s.raw();
    raw.say('pusher:subscribe', { channel, recover });
    return [raw, await raw.take()];
};

const event = (name, offset, channel = 'news') => ({ event: name, channel, data: {}, offset });

scene('what was missed, in order, before what follows', kept, async (s) => {
    const [raw, first] = await enter(s, 'news');
    const { epoch } = first;
    assert.match(epoch, /^[0-9a-f]{16}$/);
    assert.deepEqual(first, { event: 'pusher_internal:subscription_succeeded', channel: 'news', data: {}, epoch,
        offset: 0 });
    await publish(s, 'news', 'one', 'two', 'three');
    for (const [name, offset] of [['one', 1], ['two', 2], ['three', 3]])
        assert.deepEqual(await raw.take(), event(name, offset));
    raw.socket.terminate();
    await publish(s, 'news', 'four');
    const [back, answer] = await enter(s, 'news', { epoch, offset: 1 });
    assert.deepEqual([answer.recovered, answer.offset, answer.reason], [true, 1, undefined]);
    await publish(s, 'news', 'five');
    for (const [name, offset] of [['two', 2], ['three', 3], ['four', 4], ['five', 5]])
        assert.deepEqual(await back.take(), event(name, offset));
    const [, whole] = await enter(s, 'news', { epoch, offset: 5 });
    assert.equal(whole.recovered, true);
    await back.nothing();
});

scene('or it is told that it cannot, and why', kept, async (s) => {
    const [, { epoch }] = await enter(s, 'news');
    await publish(s, 'news', 'a', 'b', 'c', 'd', 'e', 'f', 'g');
    for (const [recover, reason] of [
        [{ epoch, offset: 1 }, /not all that was missed is kept/],
        [{ epoch, offset: 8 }, /not all/],
        [{ epoch: '0123456789abcdef', offset: 3 }, /begun anew/],
        [{ epoch: 'x', offset: 3 }, /begun anew/],
        [{ epoch, offset: -1 }, /begun anew/],
        [{ epoch, offset: '3' }, /begun anew/],
        [{ epoch, offset: 3.5 }, /begun anew/],
        [{}, /begun anew/],
        [1, /begun anew/],
    ]) {
        const [raw, answer] = await enter(s, 'news', recover);
        assert.deepEqual([answer.recovered, answer.offset, answer.epoch], [false, 7, epoch]);
        assert.match(answer.reason, reason);
        await raw.nothing();
    }
    const [raw, answer] = await enter(s, 'other', { epoch, offset: 1 });
    assert.deepEqual([answer.recovered, answer.reason, answer.epoch],
        [false, 'this channel keeps no history', undefined]);
    await publish(s, 'other', 'plain');
    assert.deepEqual(await raw.take(), { event: 'plain', channel: 'other', data: {} });
    const [later] = await enter(s, 'news', { epoch, offset: 2 });
    for (const [name, offset] of [['c', 3], ['d', 4], ['e', 5], ['f', 6], ['g', 7]])
        assert.deepEqual(await later.take(), event(name, offset));
});

scene('more than is sent at once', app({ history: '*', history_messages: 1000 }), async (s) => {
    const [, { epoch }] = await enter(s, 'news');
    const large = { name: 'n', data: JSON.stringify('x'.repeat(10000)), channel: 'news' };
    for (let n = 0; n < 30; n++) assert.equal((await s.post('/apps/3/events', large))[0], 200);
    const [, all] = await enter(s, 'news', { epoch, offset: 0 });
    assert.match(all.reason, /more was missed than is sent at once/);
    const [, some] = await enter(s, 'news', { epoch, offset: 10 });
    assert.equal(some.recovered, true);
});

scene('no more than a queue holds', app({ history: '*' }), async (s) => {
    const raw = await s.raw(), missed = { much: 8, some: 2 }, large = JSON.stringify('x'.repeat(9000));
    for (const [channel, count] of Object.entries(missed)) {
        const [, { epoch }] = await enter(s, channel);
        for (let n = 0; n < count; n++) await s.post('/apps/3/events', { name: 'n', data: large, channel });
        raw.say('pusher:subscribe', { channel, recover: { epoch, offset: 0 } });
        const answer = await raw.take();
        assert.deepEqual([answer.channel, answer.recovered], [channel, channel === 'some']);
    }
    for (let n = 1; n <= missed.some; n++) assert.equal((await raw.take()).offset, n);
    await raw.nothing(); // it is still there
}, '--queue-max', '64k');

scene('a cache channel: its last event once', kept, async (s) => {
    await publish(s, 'cache-x', 'one', 'two');
    const [raw, { epoch, offset }] = await enter(s, 'cache-x');
    assert.equal(offset, 2);
    assert.deepEqual(await raw.take(), event('two', 2, 'cache-x'));
    const [back] = await enter(s, 'cache-x', { epoch, offset: 1 });
    assert.deepEqual(await back.take(), event('two', 2, 'cache-x'));
    await back.nothing();
    const [none] = await enter(s, 'cache-x', { epoch, offset: 2 });
    await none.nothing();
});

scene('the history by HTTP', kept, async (s) => {
    const path = '/apps/3/channels/news/history';
    await publish(s, 'news', 'a', 'b', 'c', 'd', 'e', 'f');
    const get = async (params = {}) => JSON.parse((await s.call('GET', path, { params }))[1]);
    const all = await get();
    const { epoch } = all;
    const line = (name, offset) => ({ event: name, channel: 'news', data: '{}', offset });
    assert.deepEqual(all, { events: [line('b', 2), line('c', 3), line('d', 4), line('e', 5), line('f', 6)], epoch,
        offset: 6, recovered: false });
    assert.deepEqual(await get({ since_epoch: epoch, since_offset: 3, limit: 2 }),
        { events: [line('d', 4), line('e', 5)], epoch, offset: 5, recovered: true });
    assert.deepEqual(await get({ since_epoch: epoch, since_offset: 6 }), { events: [], epoch, offset: 6,
        recovered: true });
    assert.deepEqual(await get({ since_epoch: epoch, since_offset: 0, limit: 1 }), { events: [line('f', 6)], epoch,
        offset: 6, recovered: false });
    assert.deepEqual(await s.call('GET', path, { params: { limit: 'x' } }),
        [400, 'since_offset= and limit= take numbers']);
    assert.deepEqual(await s.call('GET', '/apps/3/channels/other/history'),
        [400, 'This channel keeps no history']);
    assert.equal((await s.call('GET', path, { secret: 'wrong' }))[0], 401);
});

scene('a reload begins to keep, and changes how much', app(), async (s) => {
    await publish(s, 'news', 'before');
    s.write(kept);
    s.weft.child.kill('SIGHUP');
    await eventually(async () => (await s.call('GET', '/apps/3/channels/news/history'))[0] === 200);
    await publish(s, 'news', 'a', 'b', 'c');
    s.write(app({ history: '*', history_messages: 2 }));
    s.weft.child.kill('SIGHUP');
    await eventually(async () => (await s.call('GET', '/apps/3/channels/other/history'))[0] === 200);
    await publish(s, 'news', 'd');
    const { events } = JSON.parse((await s.call('GET', '/apps/3/channels/news/history'))[1]);
    assert.deepEqual(events.map(({ event, offset }) => [event, offset]), [['c', 3], ['d', 4]]);
});

scene('pusher-js knows nothing of it, and with weft-pusher.js misses nothing', kept, async (s) => {
    const [plain, wise] = [s.client(), s.client()];
    const gaps = [];
    const places = recover(wise, { onGap: (...gap) => gaps.push(gap) });
    const channels = [plain.subscribe('private-room'), wise.subscribe('private-room')];
    await Promise.all(channels.map(subscribed));
    const heard = channels.map((channel) => {
        const names = [];
        channel.bind_global((name, data) => name.startsWith('pusher:') || names.push([name, data]));
        return names;
    });
    await s.server.trigger('private-room', 'one', { n: 1 });
    await eventually(() => heard.every((names) => names.length === 1));
    for (const client of [plain, wise]) client.disconnect();
    await eventually(async () => (await s.call('GET', '/apps/3/channels'))[1] === '{"channels":{}}');
    await s.server.trigger('private-room', 'two', { n: 2 });
    await s.server.trigger('private-room', 'three', { n: 3 });
    for (const client of [plain, wise]) client.connect();
    await Promise.all(channels.map(subscribed));
    await s.server.trigger('private-room', 'four', { n: 4 });
    await eventually(() => heard[0].length === 2 && heard[1].length === 4);
    assert.deepEqual(heard[0], [['one', { n: 1 }], ['four', { n: 4 }]]);
    assert.deepEqual(heard[1], [['one', { n: 1 }], ['two', { n: 2 }], ['three', { n: 3 }], ['four', { n: 4 }]]);
    assert.deepEqual([places['private-room'].offset, gaps], [4, []]);
    wise.disconnect();
    for (let n = 0; n < 7; n++) await s.server.trigger('private-room', 'lost', {});
    const again = told(channels[1], 'pusher:subscription_succeeded');
    wise.connect();
    await again;
    assert.deepEqual(gaps, [['private-room', 'not all that was missed is kept']]);
    assert.equal(KEY, plain.key);
});

// The console in a real browser, with pusher-js clients and rooms to look at.
//
//   WEFT_BIN=/path/to/weft node --test console.mjs        PICTURES=folder keeps screenshots

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { chromium } from 'playwright-core';
import { TEST_MS, WsClient } from './clients.mjs';
import { app, KEY, Scene, subscribed, told } from './pushing.mjs';
import { eventually, soon } from './weft.mjs';

const SECRET = 'correct-horse-battery';
const ARGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'];
const EVIL = '<img src=x onerror=alert(1)>';
let browser;

before(async () => {
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ARGS });
});

after(() => browser?.close());

const looks = [];
const look = (name, play) => looks.push([name, play]);

/** A server with two apps, and pages whose faults are failures. */
function look_at([name, play]) {
    test(name, { timeout: (process.env.PICTURES ? 6 : 2) * TEST_MS }, async () => {
        const s = await Scene.start(app() + app({ id: 4, key: 'other-key' }, 'other'), '--admin-secret', SECRET);
        const faults = [], contexts = [];
        s.page = async (options = {}) => {
            const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
            contexts.push(context);
            context.setDefaultTimeout(10000);
            const page = await context.newPage();
            page.on('pageerror', (error) => faults.push(error.message));
            page.on('dialog', (dialog) => { faults.push(dialog.message()); dialog.dismiss(); });
            page.on('console', (line) => /Security Policy|Refused to|Trusted/.test(line.text()) && faults.push(line.text()));
            page.on('request', (request) => request.url().includes(SECRET) && faults.push(request.url()));
            page.on('request', (request) => new URL(request.url()).host !== `127.0.0.1:${s.weft.port}` &&
                !request.url().startsWith('data:') && faults.push(request.url()));
            await page.goto(`${s.weft.url}/console`);
            return page;
        };
        s.signed_in = async (options) => {
            const page = await s.page(options);
            await sign_in(page);
            await page.locator('#channels-note, #channels tr').first().waitFor({ state: 'attached' });
            await page.locator('#app option').first().waitFor({ state: 'attached' });
            return page;
        };
        try {
            await play(s);
            assert.deepEqual(faults, []);
        } finally {
            for (const context of contexts) await context.close();
            await s.stop();
        }
    });
}

async function sign_in(page, secret = SECRET) {
    await page.getByLabel('Admin secret').fill(secret);
    await page.keyboard.press('Enter');
}

const picture = (page, name, options = {}) => page.screenshot({ path: join(process.env.PICTURES, `${name}.png`), ...options });

/** A busy channel for a while, for the pictures. */
async function traffic(clients) {
    for (let i = 0; i < 75; i++) {
        for (let n = 1.5 + Math.sin(i / 9) + Math.random(); n > 0; n--)
            clients[i % 4].say('client-move', { x: (i * 37) % 640, y: (i * 91) % 480 }, 'presence-lobby');
        await new Promise((resolve) => setTimeout(resolve, 200));
    }
}

const debug = (page, text) => page.locator('#debug li').filter({ hasText: text }).first();

look('a wrong secret is told of, the right one opens and lasts as long as the tab', async (s) => {
    const page = await s.page();
    assert.equal(await page.locator('#console').isVisible(), false);
    await sign_in(page, 'something else, wrong');
    await page.getByRole('alert').filter({ hasText: 'This is not the secret' }).waitFor();
    assert.equal(await page.locator('#console').isVisible(), false);
    await sign_in(page);
    await page.locator('#console').waitFor();
    await page.reload();
    await page.locator('#console').waitFor();
    assert.deepEqual(await page.context().cookies(), []);
    assert.equal(await page.evaluate(() => localStorage.length), 0);
    assert.doesNotMatch(page.url(), /correct/);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Admin secret').waitFor();
    await page.reload();
    assert.equal(await page.locator('#console').isVisible(), false);
});

look('it begins where somebody is', async (s) => {
    const member = new WsClient(`${s.weft.ws}/rooms/lobby`);
    await soon(member.opened, 'the handshake');
    const rooms = await s.signed_in();
    await eventually(async () => await rooms.locator('#app option:checked').textContent() === 'Plain rooms');
    await rooms.close();
    const other = s.client({ id: 'ann' });
    await subscribed(other.subscribe('news'));
    const apps = await s.signed_in();
    await eventually(async () => await apps.locator('#app').inputValue() === '3');
    member.socket.terminate();
});

look('figures, channels and connections are of now', async (s) => {
    const page = await s.signed_in();
    const figure = async (name) => Number.parseFloat((await page.getByTestId(name).textContent()).replaceAll(',', ''));
    await page.locator('#app').selectOption('3');
    const before = await figure('connections');
    const ann = s.client(), bob = s.client({ id: 'bob' });
    for (const each of [ann, bob]) await subscribed(each.subscribe('presence-room'));
    const row = page.locator('#channels tr').filter({ hasText: 'presence-room' });
    await eventually(async () => (await row.count()) === 1 && (await row.locator('td').nth(2).textContent()) === '2');
    await eventually(async () => (await figure('connections')) === before + 2);
    const timer = setInterval(() => ann.channel('presence-room').trigger('client-move', { x: 1 }), 200);
    s.clients.push({ end: () => clearInterval(timer) });
    await eventually(async () => (await figure('messages-in')) >= 2);
    const who = page.locator('#connections tr').filter({ hasText: ann.connection.socket_id });
    await eventually(async () => /^[\d.]+ (µs|ms)$/.test(await who.locator('td').nth(3).textContent()));
    assert.equal(await who.locator('td').nth(2).textContent(), '0 B');
    assert.match(await page.locator('#app-facts').textContent(), /^2 connections, 1 channels; key/);
    ann.disconnect();
    await eventually(async () => (await who.count()) === 0 && (await row.locator('td').nth(1).textContent()) === '1');
});

look('what happens is shown: of an app, a channel, a connection', async (s) => {
    const page = await s.signed_in();
    await page.locator('#app').selectOption('3');
    await page.getByText('Nothing yet.').waitFor();
    const ann = await s.raw();
    await ann.join('private-a');
    await ann.join('private-b');
    for (const what of ['connected', 'subscribed', 'occupied']) await debug(page, what).waitFor();
    await debug(page, 'private-b').getByRole('button', { name: 'private-b' }).click();
    await page.getByText('Nothing yet.').waitFor();
    ann.say('client-to-a', {}, 'private-a');
    ann.say('client-to-b', { some: 'thing' }, 'private-b');
    await debug(page, 'client-to-b').waitFor();
    await debug(page, '{"some":"thing"}').waitFor();
    assert.equal(await debug(page, 'client-to-a').count(), 0);
    await page.locator('#connections').getByRole('button', { name: ann.id }).click();
    await page.getByText('Nothing yet.').waitFor();
    const bob = await s.raw();
    await bob.join('private-a');
    ann.say('client-again', {}, 'private-a');
    await debug(page, 'client-again').waitFor();
    assert.equal(await debug(page, 'subscribed').count(), 0);
    await page.getByRole('button', { name: 'Pause' }).click();
    ann.say('client-paused', {}, 'private-a');
    await page.getByText(/Paused; 1 passed by/).waitFor();
    assert.equal(await debug(page, 'client-paused').count(), 0);
});

look('publishing by hand reaches a pusher-js client, and JSON is looked at', async (s) => {
    const page = await s.signed_in();
    const client = s.client();
    const channel = client.subscribe('news');
    await subscribed(channel);
    await page.locator('#app').selectOption('3');
    await page.locator('#channels').getByRole('button', { name: 'news' }).click();
    assert.equal(await page.getByLabel('Channel', { exact: true }).inputValue(), 'news');
    await page.getByLabel('Event').fill('breaking');
    const data = page.getByLabel('Data');
    await data.fill('{"n": 12345678901234567890, ');
    await page.getByText(/^Not JSON/).waitFor();
    await data.fill('{"n": 1.50, "t": "<b>"}');
    await page.getByText('Valid JSON').waitFor();
    const hears = told(channel, 'breaking');
    await page.locator('#publish').getByRole('button', { name: 'Publish' }).click();
    assert.deepEqual(await hears, { n: 1.5, t: '<b>' });
    await page.getByText(/^Published at/).waitFor();
    await debug(page, 'api event').waitFor();
    await page.getByLabel('Channel', { exact: true }).fill('no channel');
    await page.locator('#publish').getByRole('button', { name: 'Publish' }).click();
    await page.locator('#publish-note.bad').filter({ hasText: 'channel' }).waitFor();
    const member = await soon(new WsClient(`${s.weft.ws}/rooms/lobby`).opened);
    s.clients.push({ end: () => member.socket.terminate() });
    await page.locator('#app').selectOption(':rooms');
    await page.locator('#channels').getByRole('button', { name: 'lobby' }).click();
    await data.fill('plain words');
    await page.locator('#publish').getByRole('button', { name: 'Publish' }).click();
    assert.equal(await member.take(), 'plain words');
    await debug(page, 'plain words').waitFor();
});

look('a connection is closed only when asked twice', async (s) => {
    const page = await s.signed_in();
    const ann = await s.raw();
    const row = page.locator('#connections tr').filter({ hasText: ann.id });
    await row.getByRole('button', { name: 'Disconnect' }).click();
    await row.getByRole('button', { name: 'Really?' }).waitFor();
    await ann.nothing();
    await row.getByRole('button', { name: 'Really?' }).click();
    assert.deepEqual(await soon(ann.closed), [4009, 'closed by the administrator']);
    await row.waitFor({ state: 'detached' });
});

look('who polls is found in what happens, and disconnected there', async (s) => {
    const page = await s.signed_in();
    await page.locator('#app').selectOption('3');
    await page.getByText('Nothing yet.').waitFor();
    const poll = async () => (await s.weft.fetch(`/pusher/app/${KEY}/1/aaaaaaaa/xhr?protocol=7`, { method: 'POST' })).text();
    const [, id] = /socket_id\\*":\\*"([\d.]+)/.exec(await poll());
    const [filter, waits] = [page.locator('#filter'), poll()];
    assert.equal(await filter.getByRole('button', { name: 'Disconnect' }).count(), 0);
    await debug(page, 'connected').getByRole('button', { name: id }).click();
    await filter.getByRole('button', { name: 'Disconnect' }).click();
    await filter.getByRole('button', { name: 'Really?' }).click();
    assert.equal(await soon(waits), 'c[4009,"closed by the administrator"]\n');
    await debug(page, 'disconnected').waitFor();
});

look('what peers send is text, whatever it looks like', async (s) => {
    const page = await s.signed_in();
    await page.locator('#app').selectOption('3');
    await page.getByText('Nothing yet.').waitFor();
    const ann = await s.raw();
    await ann.join('presence-x', { user_id: EVIL, user_info: { name: EVIL } });
    ann.say(`client-${EVIL}`, { html: EVIL }, 'presence-x');
    ann.say('pusher:subscribe', { channel: EVIL });
    await debug(page, `client-${EVIL}`).waitFor();
    await debug(page, 'member added').filter({ hasText: EVIL }).waitFor();
    await debug(page, 'refused').filter({ hasText: EVIL }).waitFor();
    await debug(page, 'refused').getByRole('button', { name: EVIL }).click();
    assert.equal(await page.locator('img').count(), 0);
});

look('it goes on by itself when the server has been away', async (s) => {
    const page = await s.signed_in();
    await page.evaluate(() => { window.old = document.getElementById('state').textContent; });
    const port = String(s.weft.port);
    await s.weft.stop();
    await page.locator('#state[data-state=closed]').filter({ hasText: 'reconnecting' }).waitFor();
    s.weft = await (await import('./weft.mjs')).Weft.start('--config', s.file, '--admin-secret', SECRET, '--listen', `127.0.0.1:${port}`);
    await page.locator('#state[data-state=open]').waitFor();
});

look('on a phone nothing is wider than the screen; by keyboard all can be reached; dark where it is wanted', async (s) => {
    const users = ['ann', 'bob', 'cleo', 'dan'];
    const clients = [];
    for (const id of users) {
        const client = await s.raw();
        await client.join('presence-lobby', { user_id: id });
        await client.join(`private-orders-${id}`);
        clients.push(client);
    }
    for (const [name, options] of [['light', {}], ['dark', { colorScheme: 'dark' }],
        ['phone', { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme: 'dark' }]]) {
        const page = await s.signed_in(options);
        await page.locator('#app').selectOption('3');
        await page.getByText('Nothing yet.').waitFor();
        for (const [i, client] of clients.entries()) client.say('client-typing', { user: users[i], place: { line: i, column: 3 } }, 'presence-lobby');
        await s.server.trigger('presence-lobby', 'order-shipped', { order: 4711, items: ['linen', 'thread'] });
        await debug(page, 'order-shipped').waitFor();
        await page.locator('#connections tr').nth(3).waitFor();
        await eventually(async () => /\d (µs|ms)/.test(await page.locator('#connections').textContent()));
        const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(wide <= screen, `${name}: ${wide} > ${screen}`);
        const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
        assert.equal(ground[0] < 60, name !== 'light', `${name}: ${ground}`);
        if (process.env.PICTURES) {
            await traffic(clients);
            await picture(page, name, { fullPage: name === 'phone' });
        }
        if (name !== 'light' || process.env.PICTURES) continue;
        const reached = new Set();
        await page.locator('#leave').focus();
        for (let i = 0; i < 60; i++) {
            await page.keyboard.press('Tab');
            reached.add(await page.evaluate(() => document.activeElement.id || document.activeElement.textContent));
        }
        for (const each of ['app', 'prefix', 'presence-lobby', 'pause', 'filter-channel', 'debug', 'Disconnect', 'publish-data', 'Publish'])
            assert.ok(reached.has(each), `${each} in ${[...reached].join(' | ')}`);
        const unnamed = await page.evaluate(() => [...document.querySelectorAll('input, select, textarea')]
            .filter((each) => !each.labels?.length && !each.ariaLabel).map((each) => each.id));
        assert.deepEqual(unnamed, []);
    }
});

describe('the console', { concurrency: process.env.PICTURES ? 1 : 4 }, () => looks.forEach(look_at));

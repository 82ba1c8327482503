// The examples that take a browser, as they stand there but for ports. README.md: a page in a room, opened from the disk.
// docs/PUSHER.md: config file, server and page, with the SDK and pusher-js as npm has them; and what it says to laravel-echo.
//
//   WEFT_BIN=/path/to/weft node --test docs_pages.mjs

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { eventually, freePort, soon, Weft } from './weft.mjs';

const here = import.meta.dirname ?? new URL('.', import.meta.url).pathname;
const block = (language, part, path = 'docs/PUSHER.md') => {
    const blocks = readFileSync(join(here, '../..', path), 'utf8').matchAll(/^```(\w+)\n(.*?)^```$/gms);
    const found = [...blocks].filter((each) => each[1] === language && each[2].includes(part));
    assert.equal(found.length, 1, `${path} has one block of ${language} with ${part}`);
    return found[0][2];
};

let folder, weft, browser;

before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'weft-docs-'));
    symlinkSync(join(here, 'node_modules'), join(folder, 'node_modules'));
    writeFileSync(join(folder, 'weft.ini'), block('ini', 'client_events = true'));
    weft = await Weft.start('--config', join(folder, 'weft.ini'), '--origin', 'null');
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
        args: ['--headless', '--no-sandbox', '--disable-gpu'] });
});

after(async () => {
    await browser?.close();
    await weft.stop();
    rmSync(folder, { recursive: true });
});

test('a page in a room', { timeout: 30000 }, async () => {
    const file = join(folder, 'room.html');
    writeFileSync(file, block('html', 'weft.js', 'README.md').replaceAll('127.0.0.1:9001', `127.0.0.1:${weft.port}`));
    const [one, other] = await Promise.all([1, 2].map(() => browser.newPage()));
    await Promise.all([one, other].map((each) => each.goto(pathToFileURL(file).href)));
    await eventually(async () => (await weft.rooms()).lobby?.[0] === 2);
    await one.locator('#text').fill('hello');
    await one.locator('button').click();
    await Promise.all([one, other].map((each) => each.locator('#log li', { hasText: 'hello' }).waitFor()));
    await eventually(async () => (await one.locator('#text').inputValue()) === '');
    await Promise.all([one, other].map((each) => each.close()));
});

test('in five minutes', { timeout: 30000 }, async () => {
    const port = await freePort();
    writeFileSync(join(folder, 'server.mjs'),
        block('js', 'authorizeChannel').replace('9001', weft.port).replace('listen(3000)', `listen(${port})`));
    writeFileSync(join(folder, 'page.html'), block('html', 'subscribe').replace('9001', weft.port));
    const server = spawn('node', ['server.mjs'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
    try {
        await eventually(() => fetch(`http://127.0.0.1:${port}/`).then(({ ok }) => ok, () => false));
        const pages = await Promise.all([1, 2].map(() => browser.newPage()));
        const faults = [];
        for (const each of pages) each.on('pageerror', (error) => faults.push(error.message));
        await Promise.all(pages.map((each) => each.goto(`http://127.0.0.1:${port}`)));
        await Promise.all(pages.map((each) => each.locator('#here', { hasText: /^2$/ }).waitFor()));
        await pages[0].locator('#order').click();
        await Promise.all(pages.map((each) => each.locator('#log li', { hasText: 'an order, 20' }).waitFor()));
        await pages[0].locator('#wave').click();
        await pages[1].locator('#log li', { hasText: 'somebody waves' }).waitFor();
        await pages[1].close();
        await pages[0].locator('#here', { hasText: /^1$/ }).waitFor();
        assert.deepEqual(faults, []);
    } finally {
        server.kill();
        await once(server, 'exit');
    }
});

for (const broadcaster of ['pusher', 'reverb']) {
    test(`laravel-echo, with the words of .env, as ${broadcaster}`, { timeout: 30000 }, async () => {
        const lines = block('sh', 'BROADCAST_CONNECTION').split('\n').filter((line) => line.includes('='));
        const env = { ...Object.fromEntries(lines.map((line) => line.split('='))), PUSHER_PORT: `${weft.port}` };
        for (const [name, value] of Object.entries(env))
            env[name] = value.replace(/^"\$\{(\w+)\}"$/, (_, other) => env[other]);
        globalThis.window = globalThis;
        globalThis.env = env;
        const file = join(folder, `${broadcaster}.mjs`);
        writeFileSync(file, block('js', 'window.Echo').replaceAll('import.meta.env', 'env')
            .replace("broadcaster: 'pusher'", `broadcaster: '${broadcaster}'`));
        await import(pathToFileURL(file));
        const heard = [];
        globalThis.Echo.channel('orders').listen('.shipped', (event) => heard.push(event));
        try {
            const { default: Server } = await import('pusher');
            const server = new Server({ appId: env.PUSHER_APP_ID, key: env.PUSHER_APP_KEY, secret: env.PUSHER_APP_SECRET,
                host: env.PUSHER_HOST, port: env.PUSHER_PORT, useTLS: env.PUSHER_SCHEME === 'https' });
            await eventually(async () => {
                const answer = await server.get({ path: '/channels/orders' });
                return (await answer.json()).occupied;
            });
            await soon(server.trigger('orders', 'shipped', { id: 4 }), 'the answer');
            await eventually(() => heard.length === 1);
            assert.deepEqual(heard, [{ id: 4 }]);
        } finally {
            globalThis.Echo.disconnect();
        }
    });
}

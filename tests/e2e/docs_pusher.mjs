// The example of docs/PUSHER.md: its config file, server and page as they stand there, with the SDK and pusher-js as npm has
// them, in a browser; and what it says to laravel-echo. Only ports are others.
//
//   WEFT_BIN=/path/to/weft node --test docs_pusher.mjs

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { eventually, soon, Weft } from './weft.mjs';

const here = import.meta.dirname ?? new URL('.', import.meta.url).pathname;
const page = readFileSync(join(here, '../../docs/PUSHER.md'), 'utf8');
const blocks = [...page.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, text]) => ({ language, text }));
const block = (language, part) => {
    const found = blocks.filter((each) => each.language === language && each.text.includes(part));
    assert.equal(found.length, 1, `docs/PUSHER.md has one block of ${language} with ${part}`);
    return found[0].text;
};

async function freePort() {
    const holder = net.createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address();
    holder.close();
    await once(holder, 'close');
    return port;
}

let folder, weft;

before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'weft-docs-'));
    symlinkSync(join(here, 'node_modules'), join(folder, 'node_modules'));
    writeFileSync(join(folder, 'weft.ini'), block('ini', 'client_events = true'));
    weft = await Weft.start('--config', join(folder, 'weft.ini'));
});

after(async () => {
    await weft.stop();
    rmSync(folder, { recursive: true });
});

test('in five minutes', { timeout: 30000 }, async () => {
    const port = await freePort();
    writeFileSync(join(folder, 'server.mjs'),
        block('js', 'authorizeChannel').replace('9001', weft.port).replace('listen(3000)', `listen(${port})`));
    writeFileSync(join(folder, 'page.html'), block('html', 'subscribe').replace('9001', weft.port));
    const server = spawn('node', ['server.mjs'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
        args: ['--headless', '--no-sandbox', '--disable-gpu'] });
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
        await browser.close();
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

// What the tests of the page share: a browser, a server of its own for each test on loopback, a relay between the two, and
// people. A test fails at the end if any page of it broke the content security policy or threw an error.
//
// WEFT_BIN names the program, CHROMIUM the browser (default /usr/bin/chromium).

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import readline from 'node:readline';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import WebSocket from 'ws';
import { freePort } from './weft.mjs';

const WEFT_BIN = process.env.WEFT_BIN;
export const PATIENCE_MS = 20000;
const TEST_MS = 90000;
const BROWSER_ARGS = [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

let browser;

before(async () => {
    assert.ok(WEFT_BIN, 'WEFT_BIN must name the program weft');
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: BROWSER_ARGS });
});

after(() => browser?.close());

export class Server {
    static async start(port) {
        const server = new Server();
        const limits = ['--message-max', '16M', '--queue-max', '64M', '--history', '1000'];
        server.child = spawn(WEFT_BIN, ['serve', '--listen', `127.0.0.1:${port}`, '--ready-fd', '3', ...limits], {
            stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
        });
        server.ended = once(server.child, 'exit');
        const lines = readline.createInterface({ input: server.child.stdio[3] });
        const gone = server.ended.then(() => assert.fail('the server ended before it was ready'));
        [server.url] = await Promise.race([once(lines, 'line'), gone]);
        server.url = server.url.trim();
        return server;
    }

    async stop() {
        this.child.kill('SIGTERM');
        const hard = setTimeout(() => this.child.kill('SIGKILL'), 10000);
        await this.ended;
        clearTimeout(hard);
    }
}

/** Stands between a page and the server, to do what networks do: `line.deaf` loses what the server says. */
export class Relay {
    lines = new Set();

    static async start(port) {
        const relay = new Relay();
        relay.listener = net.createServer((line) => relay.carry(line, net.connect(port, '127.0.0.1')));
        relay.listener.listen(0, '127.0.0.1');
        await once(relay.listener, 'listening');
        relay.url = `http://127.0.0.1:${relay.listener.address().port}`;
        return relay;
    }

    carry(line, server) {
        line.on('data', (data) => server.write(data));
        server.on('data', (data) => line.deaf || line.write(data));
        for (const [one, other] of [[line, server], [server, line]]) {
            one.on('error', () => {});
            one.on('close', () => other.destroy());
        }
        line.on('close', () => this.lines.delete(line));
        this.lines.add(line);
    }

    each(act) {
        for (const line of this.lines) act(line);
    }

    stop() {
        this.each((line) => line.destroy());
        this.listener.close();
    }
}

/** What one test has: a server, people with pages on it, and the faults those pages reported. */
export class Stage {
    contexts = [];
    relays = [];
    faults = [];

    async relay() {
        this.relays.push(await Relay.start(this.port));
        return this.relays.at(-1);
    }

    async person(name, { url = this.server.url, hash = '#room=lobby', worker = false, before, ...options } = {}) {
        const context = await browser.newContext(options);
        context.setDefaultTimeout(PATIENCE_MS);
        this.contexts.push(context);
        await context.addInitScript(({ name, worker }) => {
            localStorage.setItem('weft.name', name);
            localStorage.setItem('weft.worker', worker ? 'yes' : 'no');
        }, { name, worker });
        if (before) await context.addInitScript(before);
        const page = await context.newPage();
        page.on('pageerror', (error) => this.faults.push(`${name}: ${error.message}`));
        page.on('dialog', (dialog) => {
            this.faults.push(`${name}: a dialog, ${dialog.message()}`);
            dialog.dismiss();
        });
        page.on('console', (line) => {
            if (/Content Security Policy|Refused to/i.test(line.text())) this.faults.push(`${name}: ${line.text()}`);
        });
        await page.goto(`${url}/${hash}`);
        await state(page, 'open');
        return page;
    }
}

export function scene(name, play) {
    test(name, { timeout: TEST_MS }, async () => {
        const stage = new Stage();
        stage.port = await freePort();
        stage.server = await Server.start(stage.port);
        try {
            await play(stage);
            assert.deepEqual(stage.faults, []);
        } finally {
            for (const context of stage.contexts) await context.close();
            for (const relay of stage.relays) relay.stop();
            await stage.server.stop();
        }
    });
}

// Between two tries to come back there may be 19 s, after a server's end that took its time.
export const state = (page, wanted) => page.waitForFunction(
    (each) => document.documentElement.dataset.state === each, wanted, { polling: 20, timeout: 2 * PATIENCE_MS });

export async function say(page, text) {
    await page.getByTestId('input').fill(text);
    await page.getByTestId('send').click();
}

export const message = (page, text) => page.locator('[data-testid=messages] [data-kind=text]').filter({ hasText: text });
export const hears = (page, text) => message(page, text).first().waitFor();
export const delivered = (page, text) => message(page, text).and(page.locator('[data-state=delivered]')).waitFor();
export const texts = (page) => page.locator('[data-testid=messages] [data-kind=text] .text').allTextContents();

/** Drops a file of so many MiB on the page. */
export const drop = (page, mebibytes) =>
    page.evaluate((size) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([new Uint8Array(size * 1048576)], 'dropped.bin'));
        dispatchEvent(new DragEvent('drop', { dataTransfer, cancelable: true }));
    }, mebibytes);

/** Joins a room as a plain client. Its `got` fills with what arrives. */
export async function plainClient(server, room, query = '') {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/rooms/${room}${query}`);
    socket.got = [];
    socket.on('message', (data, isBinary) => socket.got.push(isBinary ? data : data.toString()));
    await once(socket, 'open');
    return socket;
}

export async function until(what, check) {
    const end = Date.now() + PATIENCE_MS;
    while (!(await check())) {
        assert.ok(Date.now() < end, `in vain: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 25));
    }
}

// The pictures of the chat page in docs/: chat.png and chat-phone.png. (Those of the console: PICTURES=folder console.mjs.)
//
//   WEFT_BIN=/path/to/weft node pictures.mjs FOLDER

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { Weft } from './weft.mjs';

const folder = process.argv[2] ?? '.';
const weft = await Weft.start();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu'] });

async function person(name, options) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    await context.addInitScript((it) => localStorage.setItem('weft.name', it), name);
    const page = await context.newPage();
    await page.goto(`${weft.url}/#room=lobby`);
    await page.waitForFunction(() => document.documentElement.dataset.state === 'open');
    return page;
}

async function say(page, text) {
    await page.getByTestId('input').fill(text);
    await page.getByTestId('send').click();
    await sleep(400);
}

const phone = { viewport: { width: 390, height: 780 }, deviceScaleFactor: 1.5, isMobile: true, hasTouch: true };
const ann = await person('Ann');
const bob = await person('Bob');
const eve = await person('Eve', { ...phone, colorScheme: 'dark' });
for (const room of ['alerts', 'release', 'standup']) await weft.publish(room, 'hello');
await say(ann, 'Morning! Is the new build on staging?');
await say(bob, 'Since ten minutes. The dashboards look calm.');
await weft.publish('lobby', 'deploy 4711: 12 of 12 checks passed');
await say(eve, 'I am on the train, and in a tunnel now and then.\nNothing is missing so far.');
await say(bob, 'That is the idea. It comes back with its place, and gets what it missed.');
await say(ann, 'Here is the plot of last night:');
await ann.getByTestId('file').setInputFiles({ name: 'latency.svg', mimeType: 'image/svg+xml', buffer: Buffer.alloc(48213) });
await sleep(500);
await say(eve, 'Got it.');
await ann.getByTestId('room-input').fill('release');
await ann.getByTestId('join').click();
await ann.getByTestId('rooms').locator('[data-room=lobby]').click();
await ann.getByTestId('input').fill('Then let us ship it');
await sleep(1200);
await ann.screenshot({ path: join(folder, 'chat.png') });
await eve.screenshot({ path: join(folder, 'chat-phone.png') });
await browser.close();
await weft.stop();

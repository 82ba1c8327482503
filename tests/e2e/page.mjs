// The chat page in a real browser against the real program, as two people would use it.
//
//   WEFT_BIN=/path/to/weft node --test page.mjs

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import { PATIENCE_MS, Server, delivered, drop, hears, message, plainClient, say, scene, state, texts, until }
    from './stage.mjs';

for (const worker of [false, true]) {
    const where = worker ? 'a Web Worker' : 'the page';

    scene(`two tabs chat both ways, the socket in ${where}`, async (stage) => {
        const ann = await stage.person('Ann', { worker });
        const bob = await stage.person('Bob', { worker });
        assert.equal(await ann.evaluate(() => document.documentElement.dataset.transport), worker ? 'worker' : 'page');
        assert.equal(ann.workers().length, worker ? 1 : 0);
        await say(ann, 'hello Bob');
        await hears(bob, 'hello Bob');
        await say(bob, 'hello Ann\nhow are you?');
        await hears(ann, 'how are you?');
        await delivered(ann, 'hello Bob');
        await delivered(bob, 'hello Ann');
        assert.match(await message(ann, 'hello Bob').locator('.fate').textContent(), /^✓ [\d.]+ ms$/);
        assert.equal(await message(bob, 'hello Bob').locator('.who').textContent(), 'Ann');
        assert.deepEqual(await texts(ann), await texts(bob));
        await until('a round trip', async () => /ms$/.test(await ann.getByTestId('rtt').textContent()));
    });

    scene(`a file of 10 MB arrives whole, the socket in ${where}`, async (stage) => {
        const ann = await stage.person('Ann', { worker });
        const bob = await stage.person('Bob', { worker });
        const file = Buffer.alloc(10 * 1048576);
        for (let at = 0; at < file.length; at += 4) file.writeUInt32LE((at * 2654435761) >>> 0, at);
        await ann.getByTestId('file').setInputFiles({ name: 'big.bin', mimeType: 'text/html', buffer: file });
        const arrived = bob.locator('[data-kind=binary]');
        await arrived.waitFor();
        assert.match(await arrived.textContent(), /binary, 10\.5 MB/);
        await ann.locator('[data-kind=binary][data-state=delivered]').waitFor();
        assert.equal(await ann.locator('[data-kind=binary]').count(), 1);
        const download = bob.waitForEvent('download');
        await arrived.getByRole('link').click();
        const bytes = await fs.readFile(await (await download).path());
        const sha = (data) => createHash('sha256').update(data).digest('hex');
        assert.equal(sha(bytes), sha(file));
    });

    scene(`a restart of the server loses no message, the socket in ${where}`, async (stage) => {
        const ann = await stage.person('Ann', { worker });
        const bob = await stage.person('Bob', { worker });
        await say(ann, 'before');
        await hears(bob, 'before');
        await delivered(ann, 'before');
        await stage.server.stop();
        await state(ann, 'reconnecting');
        await say(ann, 'while you were away, one');
        await say(ann, 'while you were away, two');
        assert.equal(await ann.locator('[data-state=pending]').count(), 2);
        await ann.getByTestId('reconnect').waitFor();
        stage.server = await Server.start(stage.port);
        await state(ann, 'open');
        await state(bob, 'open');
        await delivered(ann, 'away, one');
        await delivered(ann, 'away, two');
        await hears(bob, 'away, one');
        await hears(bob, 'away, two');
        await say(bob, 'after');
        await hears(ann, 'after');
        const all = ['before', 'while you were away, one', 'while you were away, two', 'after'];
        assert.deepEqual(await texts(ann), all);
        assert.deepEqual(await texts(bob), all);
    });
}

scene('the switch moves the socket while people talk', async (stage) => {
    const ann = await stage.person('Ann');
    const bob = await stage.person('Bob');
    await say(ann, 'from the page');
    await hears(bob, 'from the page');
    for (const [where, text] of [['worker', 'from the worker'], ['page', 'from the page again']]) {
        await ann.getByTestId('worker-switch').click();
        await ann.waitForFunction((each) => document.documentElement.dataset.transport === each, where);
        await say(ann, text);
        await delivered(ann, text);
        await hears(bob, text);
    }
    assert.equal(await ann.evaluate(() => localStorage.getItem('weft.worker')), 'no');
    assert.deepEqual(await texts(ann), ['from the page', 'from the worker', 'from the page again']);
    assert.deepEqual(await texts(bob), await texts(ann));
});

scene('everybody sees who is here, through a reload, a rename and an end', async (stage) => {
    const here = async (page, ...names) => {
        await page.waitForFunction((wanted) => [...document.querySelectorAll('#here .label')]
            .map((each) => each.textContent).sort().join() === wanted, names.sort().join());
        assert.equal(await page.locator('#hereCount').textContent(), `${names.length} here`);
    };
    const ann = await stage.person('Ann B');
    await here(ann, 'Ann B');
    assert.deepEqual(await ann.locator('#here .own').allTextContents(), ['Ann B']);
    const bob = await stage.person('bob', { worker: true });
    for (const page of [ann, bob]) await here(page, 'Ann B', 'bob');
    const told = ann.evaluate(() => new Promise((resolve) => { // how often the list changes in 4 s
        let changes = 0;
        const was = () => [...document.querySelectorAll('#here .label')].map((each) => each.textContent).join();
        const before = was();
        new MutationObserver(() => (changes += was() !== before)).observe(document.getElementById('here'), { childList: true });
        setTimeout(() => resolve(changes), 4000);
    }));
    await bob.reload();
    await state(bob, 'open');
    assert.equal(await told, 0);
    await bob.locator('#name').fill('Robert');
    await bob.locator('#name').blur();
    for (const page of [ann, bob]) await here(page, 'Ann B', 'Robert');
    await bob.context().close();
    await here(ann, 'Ann B');
});

scene('several rooms at once, each with its own talk and unread count', async (stage) => {
    const ann = await stage.person('Ann');
    const bob = await stage.person('Bob', { hash: '#room=ops' });
    await ann.getByTestId('room-input').fill('not a room');
    await ann.getByTestId('join').click();
    assert.equal(await ann.getByRole('alert').isVisible(), true);
    await ann.getByTestId('rooms').getByRole('button', { name: 'ops' }).waitFor({ timeout: PATIENCE_MS });
    await ann.getByTestId('room-input').fill('ops');
    await ann.getByTestId('join').click();
    await state(ann, 'open');
    assert.equal(new URL(ann.url()).hash, '#room=ops');
    await say(ann, 'in ops');
    await hears(bob, 'in ops');
    const tab = (name) => ann.locator(`[data-testid=tabs] [data-room=${name}]`);
    await tab('lobby').getByRole('button', { name: 'lobby', exact: true }).click();
    assert.deepEqual(await texts(ann), []);
    await say(bob, 'one');
    await say(bob, 'two');
    await until('two unread', async () => (await tab('ops').getAttribute('data-unread')) === '2');
    assert.deepEqual(await texts(ann), []);
    await tab('ops').getByRole('button').first().click();
    assert.deepEqual(await texts(ann), ['in ops', 'one', 'two']);
    assert.equal(await tab('ops').getAttribute('data-unread'), '0');
    await tab('ops').getByRole('button', { name: 'Leave ops' }).click();
    assert.equal(await tab('ops').count(), 0);
    assert.equal(await message(bob, 'in ops').count(), 1);
});

scene('a reload shows the history once, and a dropped line repeats nothing', async (stage) => {
    const ann = await stage.person('Ann');
    const other = await plainClient(stage.server, 'lobby');
    await say(ann, 'first');
    await delivered(ann, 'first');
    other.send('plain');
    await hears(ann, 'plain');
    other.send('plain');
    other.send(Buffer.from('some bytes'));
    await ann.locator('[data-kind=binary]').waitFor();
    await say(ann, 'last');
    await delivered(ann, 'last');
    const all = ['first', 'plain', 'plain', 'last'];
    assert.deepEqual(await texts(ann), all);
    await ann.reload();
    await state(ann, 'open');
    await hears(ann, 'last');
    await ann.getByText('earlier messages are above').waitFor();
    assert.deepEqual(await texts(ann), all);
    assert.equal(await ann.locator('[data-kind=binary]').count(), 1);
    await ann.getByTestId('worker-switch').click(); // a new line, and the same history again
    await ann.waitForFunction(() => document.documentElement.dataset.transport === 'worker');
    await state(ann, 'open');
    other.send('afterwards');
    await hears(ann, 'afterwards');
    assert.deepEqual(await texts(ann), [...all, 'afterwards']);
    assert.equal(await ann.locator('[data-kind=binary]').count(), 1);
    other.close();
});

scene('an echo lost with the line is found in the history, and not sent twice', async (stage) => {
    const relay = await stage.relay();
    const ann = await stage.person('Ann', { url: relay.url });
    const other = await plainClient(stage.server, 'lobby');
    relay.each((line) => (line.deaf = true));
    await say(ann, 'heard but not confirmed');
    await until('the message at the other client', () => other.got.length === 1);
    assert.equal(await message(ann, 'heard').getAttribute('data-state'), 'pending');
    relay.each((line) => line.destroy());
    await delivered(ann, 'heard');
    await say(ann, 'next');
    await delivered(ann, 'next');
    assert.deepEqual(await texts(ann), ['heard but not confirmed', 'next']);
    await until('both messages at the other client', () => other.got.length >= 2);
    assert.deepEqual(other.got.map((each) => JSON.parse(each).text), ['heard but not confirmed', 'next']);
    other.close();
});

scene('a line gone silent is noticed and replaced', async (stage) => {
    const relay = await stage.relay();
    const ann = await stage.person('Ann', { url: relay.url });
    const other = await plainClient(stage.server, 'lobby');
    await until('a round trip', async () => /ms$/.test(await ann.getByTestId('rtt').textContent()));
    relay.each((line) => (line.deaf = true));
    other.send('said into the silence');
    await hears(ann, 'said into the silence');
    await ann.getByText('said while the connection was down').waitFor();
    assert.deepEqual(await texts(ann), ['said into the silence']);
    other.close();
});

scene('what is still to be sent of a big file is shown', async (stage) => {
    const relay = await stage.relay();
    const ann = await stage.person('Ann', { url: relay.url });
    relay.each((line) => line.pause());
    await drop(ann, 12);
    await ann.getByText(/MB still to send/).waitFor();
    relay.each((line) => line.resume());
    await ann.locator('[data-kind=binary][data-state=delivered]').waitFor();
    await ann.getByText(/still to send/).waitFor({ state: 'hidden' });
});

scene('a file too big for the server is given up, and the talk goes on', async (stage) => {
    const ann = await stage.person('Ann');
    await drop(ann, 17);
    await ann.getByText(/not sent|too big to send/).waitFor();
    await say(ann, 'still here');
    await delivered(ann, 'still here');
    assert.equal(await ann.locator('[data-state=pending]').count(), 0);
});

scene('text of others stays text, and only web addresses become links', async (stage) => {
    const ann = await stage.person('Ann');
    const evil = await plainClient(stage.server, 'lobby');
    const code = '<img src=x onerror="alert(1)"><script>alert(2)</script><b>bold</b>';
    const chat = (fields) => JSON.stringify({ type: 'chat', id: 'e1', name: code, text: code, ts: 1, ...fields });
    evil.send(chat({}));
    evil.send(chat({ text: 'the same id again is a repetition' }));
    evil.send(code);
    evil.send(chat({ id: 'e2', text: 'javascript:alert(3) http://127.0.0.1:9/"onclick="alert(4) https://example.org/a.' }));
    evil.send(chat({ id: 7 }));
    evil.send(chat({ id: 'e3', ts: 1e300, text: 'odd time' }));
    evil.send('null');
    await hears(ann, 'null');
    const seen = await texts(ann);
    assert.equal(seen.length, 6);
    assert.equal(seen[0], code);
    assert.equal(seen[1], code);
    const messages = ann.getByTestId('messages');
    assert.equal(await messages.locator('img, script, b').count(), 0);
    const links = await messages.locator('a').evaluateAll((all) => all.map((each) => each.getAttribute('href')));
    assert.deepEqual(links, ['http://127.0.0.1:9/', 'https://example.org/a']);
    evil.close();
});

scene('images are shown, other bytes are only offered', async (stage) => {
    const ann = await stage.person('Ann');
    const other = await plainClient(stage.server, 'lobby');
    const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
    other.send(Buffer.from(png, 'base64'));
    other.send(Buffer.from('<script>alert(5)</script>'));
    await ann.locator('[data-kind=binary]').nth(1).waitFor();
    const picture = ann.locator('[data-kind=binary] img');
    assert.equal(await picture.count(), 1);
    await until('the picture', () => picture.evaluate((each) => each.complete && each.naturalWidth === 1));
    const link = ann.locator('[data-kind=binary] a').nth(1);
    assert.match(await link.getAttribute('download'), /\.bin$/);
    const download = ann.waitForEvent('download'); // even opened as a page, it is not run as one
    await link.evaluate((each) => location.assign(each.href));
    await download;
    other.close();
});

scene('on a phone nothing sticks out, and the panel opens and closes', async (stage) => {
    const ann = await stage.person('Ann', { viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true });
    await say(ann, `${'long'.repeat(100)} https://example.org/${'x'.repeat(300)}`);
    await delivered(ann, 'long');
    const overhang = () =>
        ann.evaluate(() => Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - innerWidth);
    const inside = () => ann.getByTestId('messages').evaluate((each) => each.scrollWidth <= each.clientWidth);
    assert.ok((await overhang()) <= 0);
    assert.ok(await inside());
    assert.equal(await ann.getByTestId('name').isVisible(), false);
    await ann.getByRole('button', { name: 'Rooms and settings' }).tap();
    await ann.getByTestId('room-input').fill('a-room-with-a-very-long-name-that-does-not-fit-into-the-width-of-a-phone');
    await ann.getByTestId('join').tap();
    await state(ann, 'open');
    await ann.getByTestId('name').waitFor({ state: 'hidden' });
    assert.ok((await overhang()) <= 0);
});

scene('the length is bounded, and the keyboard is enough', async (stage) => {
    const ann = await stage.person('Ann');
    const input = ann.getByTestId('input');
    await input.fill('€'.repeat(22000));
    assert.equal(await ann.getByTestId('send').isDisabled(), true);
    assert.equal(await ann.getByTestId('counter').isVisible(), true);
    await input.fill('one');
    await input.press('Shift+Enter');
    await ann.keyboard.type('two');
    await input.press('Enter');
    await delivered(ann, 'two');
    assert.deepEqual(await texts(ann), ['one\ntwo']);
    assert.equal(await input.inputValue(), '');
});

scene('the list follows the talk only when the reader is at its end', async (stage) => {
    const ann = await stage.person('Ann');
    const other = await plainClient(stage.server, 'lobby');
    for (let count = 0; count < 1100; count++) other.send(`line ${count}`);
    await hears(ann, 'line 1099');
    assert.equal(await ann.locator('[data-testid=messages] li').count(), 1000);
    const messages = ann.getByTestId('messages');
    const gap = () => messages.evaluate((each) => each.scrollHeight - each.scrollTop - each.clientHeight);
    await until('the end', async () => (await gap()) < 2);
    await messages.evaluate((each) => each.scrollTo(0, 0));
    const pill = ann.getByRole('button', { name: /new message/ });
    assert.equal(await pill.isVisible(), false);
    await ann.waitForTimeout(100);
    other.send('unseen');
    await pill.waitFor();
    assert.ok((await gap()) > 100);
    await pill.click();
    await until('the end again', async () => (await gap()) < 2);
    assert.equal(await pill.isVisible(), false);
    other.close();
});

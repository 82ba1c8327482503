// Our client against a server nobody here wrote: the library `ws` for node.
//
//   TALKER=/path/to/talker node --test client_node.mjs

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { WebSocketServer } from 'ws';

const run = promisify(execFile);

/** What the talker says, line by line, with a server of these options; `play` sees each connection. */
async function talk(options, args = [], { path = '/', play = (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
} } = {}) {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, ...options });
    await once(server, 'listening');
    const ended = new Promise((resolve) => {
        server.on('connection', (socket) => {
            socket.on('close', (code, reason) => resolve([code, String(reason)]));
            play(socket);
        });
    });
    try {
        const url = `ws://127.0.0.1:${server.address().port}${path}`;
        const { stdout } = await run(process.env.TALKER, [url, ...args], { timeout: 20000 });
        return { lines: stdout.trim().split('\n').map((line) => line.trimEnd()), ended };
    } finally {
        server.close();
    }
}

const ALL = ['pong measured', 'all came back', "closed 4321 'thank you' clean"];

test('plain', async () => {
    const { lines, ended } = await talk({ perMessageDeflate: false });
    assert.deepEqual(lines, ['open plain', ...ALL]);
    assert.deepEqual(await ended, [4321, 'thank you']);
});

const servers = {
    'as it comes': { threshold: 0 },
    'without contexts': { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true },
    'with small windows': { threshold: 0, serverMaxWindowBits: 9, clientMaxWindowBits: 10 },
};
for (const [name, perMessageDeflate] of Object.entries(servers))
    for (const mode of ['no-takeover', 'shared', 'dedicated'])
        test(`permessage-deflate, server ${name}, client ${mode}`, async () => {
            const { lines, ended } = await talk({ perMessageDeflate, maxPayload: 1 << 20 }, [mode]);
            assert.deepEqual(lines, ['open deflate', ...ALL]);
            assert.deepEqual(await ended, [4321, 'thank you']);
        });

test('a server that does not compress', async () => {
    const { lines } = await talk({ perMessageDeflate: false }, ['dedicated']);
    assert.deepEqual(lines, ['open plain', ...ALL]);
});

test('the subprotocol that both speak', async () => {
    const handleProtocols = (offered) => offered.has('second') && 'second';
    const { lines } = await talk({ handleProtocols }, ['off', 'first', 'second']);
    assert.equal(lines[0], 'open plain second');
});

test('fragments, pings and a close by the server', async () => {
    const { lines, ended } = await talk({}, [], {
        path: '/quiet',
        play: (socket) => {
            socket.on('ping', () => {
                socket.send('', { fin: false }); // together the empty text that the talker waits for
                socket.ping('are you there');
                socket.send('', { fin: true });
            });
            socket.on('pong', (data) => socket.close(4001, String(data)));
        },
    });
    assert.deepEqual(lines.slice(0, 2), ['open plain', 'pong measured']);
    assert.equal(lines.at(-1), "closed 4001 'are you there' clean by peer");
    assert.deepEqual(await ended, [4001, '']); // a close is answered with its code alone
});

test('a refusal', async () => {
    const { lines } = await talk({ verifyClient: (_, answer) => answer(false, 401, 'who are you?') });
    assert.deepEqual(lines, ['failed answered 401 Unauthorized']);
});

test('a server that just goes', async () => {
    const { lines } = await talk({}, [], { play: (socket) => socket.terminate() });
    assert.match(lines.at(-1), /^(closed 1006 |failed)/);
});

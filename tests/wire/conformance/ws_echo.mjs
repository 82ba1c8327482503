// An echo service on the npm package `ws`, to point the suite at:
//
//   node ws_echo.mjs [PORT] [LIMIT]      prints its URL
//
// The package is the one of ../../e2e (npm ci --prefix tests/e2e).

import { createRequire } from 'node:module';

const { WebSocketServer } = createRequire(new URL('../../e2e/package.json', import.meta.url))('ws');

const server = new WebSocketServer({
    host: '127.0.0.1',
    port: Number(process.argv[2] ?? 0),
    maxPayload: Number(process.argv[3] ?? 16 << 20),
    perMessageDeflate: { threshold: 0, concurrencyLimit: 16 },
});
server.on('listening', () => console.log(`ws://127.0.0.1:${server.address().port}/`));
server.on('connection', (socket) => {
    socket.on('error', () => {}); // a violation: ws closes by itself
    socket.on('message', (data, binary) => socket.send(data, { binary }));
});

// Servers of the package `ws` for servers.py: with and without TLS and compression. What each says: see there.
//
//   echo_ws.mjs CERTIFICATE KEY     prints the ports as JSON

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { WebSocketServer } from 'ws';

const [cert, key] = process.argv.slice(2, 4).map((file) => readFileSync(file));
const ports = {};
const closes = new Set();

function meet(socket) {
    socket.on('message', (data, isBinary) => {
        const [word, code, reason] = isBinary || data.length > 100 ? [] : String(data).split(' ');
        if (word === 'close') socket.close(Number(code), reason);
        else if (word === 'heard?') socket.send(`${closes.has(`${code} ${reason}`)}`);
        else socket.send(data, { binary: isBinary });
    });
    socket.on('close', (code, reason) => closes.add(`${code} ${reason}`));
    socket.on('error', () => {});
}

for (const secure of [false, true]) {
    for (const deflate of [false, true]) {
        const server = secure ? https.createServer({ cert, key }) : http.createServer();
        const handleProtocols = (offered) => offered.has('chat') && 'chat';
        const perMessageDeflate = deflate && { threshold: 0 };
        new WebSocketServer({ server, perMessageDeflate, maxPayload: 1 << 24, handleProtocols }).on('connection', meet);
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        ports[`${secure ? 'TLS' : 'plain'}${deflate ? ', compressed' : ''}`] = server.address().port;
    }
}
console.log(JSON.stringify(ports));
process.stdin.resume().on('end', () => process.exit());

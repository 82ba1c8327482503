// What HTTP/2 costs in memory: idle WebSockets on streams, and the server's private bytes for each.
//
//   node bench/http2.mjs http://127.0.0.1:9001 PID CONNECTIONS STREAMS
//
// The server is a fresh `weft serve --h2c` (or with TLS, and https). STREAMS are those of each connection.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';

const [url, pid, connections, streams] = process.argv.slice(2);
const WARM_UP = 3, SETTLE_MS = 1500;

const privateBytes = () =>
    1024 * Number(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').match(/^Private_Dirty:\s+(\d+)/m)[1]);

async function open(count) {
    for (let i = 0; i < count; i++) {
        const connection = http2.connect(url, { rejectUnauthorized: false });
        await once(connection, 'remoteSettings');
        await Promise.all(Array.from({ length: Number(streams) }, () => once(connection.request(
            { ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/echo', 'sec-websocket-version': '13' }), 'response')));
    }
    await sleep(SETTLE_MS);
}

await open(WARM_UP);
const before = privateBytes();
await open(Number(connections));
const each = (privateBytes() - before) / connections;
console.log(`${Math.round(each)} bytes a connection, ${Math.round(each / streams)} a stream`);
process.exit(0);

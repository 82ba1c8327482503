// ws.mjs URL CONNECTIONS INFLIGHT SECONDS - an echo client with node's `ws`: how many messages, and for how much CPU.
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(path.join(import.meta.dirname, '../../tests/e2e/'));
const { WebSocket } = require('ws');
const [url, connections, inflight, seconds] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const payload = 'x'.repeat(64);
let count = 0, open = 0, ending = false;

function begin() {
    const from = process.cpuUsage(), at = process.hrtime.bigint(), before = count;
    setTimeout(() => {
        const used = process.cpuUsage(from);
        ending = true;
        console.log(JSON.stringify({
            messages: count - before,
            seconds: Number(process.hrtime.bigint() - at) / 1e9,
            cpu_s: (used.user + used.system) / 1e6,
        }));
        process.exit(0);
    }, seconds * 1000);
}

const sockets = Array.from({ length: connections }, () => new WebSocket(url, { perMessageDeflate: false }));
for (const socket of sockets) {
    socket.on('open', () => {
        open += 1;
        if (open < connections) return;
        for (const each of sockets) for (let i = 0; i < inflight; i += 1) each.send(payload);
        setTimeout(begin, 500);
    });
    socket.on('message', (data) => {
        if (data.length !== 64) throw new Error('not what was sent');
        count += 1;
        if (!ending) socket.send(payload);
    });
}

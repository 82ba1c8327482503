// How a message's cost grows with the number of rooms: each has one member, who is sent back what he says (?echo=1).
//
//   node bench/rooms.mjs ws://127.0.0.1:9001 PID [ROOMS...]      a fresh `weft serve --threads 1`; after `make test`
//
// The server's CPU in microseconds per message, with 100 messages under way, all members in turn.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { WebSocket } = createRequire(new URL('../tests/e2e/package.json', import.meta.url))('ws');
const [url, pid, ...counts] = process.argv.slice(2);
const MESSAGES = 30000, UNDER_WAY = 100, TICK_US = 10000;

const cpuUs = () => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK_US;
};

const members = [];
async function grow(count) {
    while (members.length < count) {
        const some = Array.from({ length: Math.min(200, count - members.length) }, (_, i) => new Promise((resolve, reject) => {
            const socket = new WebSocket(`${url}/rooms/room-${members.length + i}?echo=1`, { perMessageDeflate: false });
            socket.on('open', () => resolve(socket)).on('error', reject);
        }));
        members.push(...await Promise.all(some));
    }
}

function play() {
    return new Promise((resolve) => {
        let sent = 0, came = 0;
        const say = () => { if (sent < MESSAGES) members[sent++ % members.length].send('x'.repeat(64)); };
        for (const member of members)
            member.removeAllListeners('message').on('message', () => {
                say();
                if (++came === MESSAGES) resolve();
            });
        for (let i = 0; i < UNDER_WAY; i++) say();
    });
}

for (const count of counts.length ? counts.map(Number) : [1, 100, 1000, 10000]) {
    await grow(count);
    await play(); // warm
    const before = cpuUs();
    await play();
    console.log(`${count} rooms: ${((cpuUs() - before) / MESSAGES).toFixed(2)} us`);
}
process.exit(0);

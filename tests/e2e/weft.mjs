// What the tests in JavaScript share: the program under test, started on a free port and stopped by its process id.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export const PATIENCE_MS = 10000;

/** Settles as `promise` does, or fails in time. */
export function soon(promise, what = 'it') {
    const late = new AbortController();
    const fail = () => assert.fail(`${what} did not come in time`);
    const timer = sleep(PATIENCE_MS, null, { signal: late.signal }).then(fail);
    return Promise.race([promise, timer]).finally(() => late.abort());
}

/** Asks until the answer is true. */
export async function eventually(ask) {
    for (const giveUp = Date.now() + PATIENCE_MS; !(await ask()); await sleep(10))
        assert.ok(Date.now() < giveUp, 'it did not come to pass in time');
}

/** A port that is free now, so that a server can come back on the same one. */
export async function freePort() {
    const holder = net.createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address();
    holder.close();
    await once(holder, 'close');
    return port;
}

/** A running `weft serve`. */
export class Weft {
    stderr = '';

    static async start(...flags) {
        const weft = new Weft();
        const listen = flags.includes('--listen') ? [] : ['--listen', '127.0.0.1:0'];
        assert.ok(process.env.WEFT_BIN, 'WEFT_BIN must name the program weft');
        const secure = process.env.WEFT_SECURE ? ['--tls-self-signed'] : [];
        weft.child = spawn(process.env.WEFT_BIN, ['serve', ...listen, ...secure, '--ready-fd', '3', ...flags],
            { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] });
        weft.exit = once(weft.child, 'exit').then(([code]) => code);
        weft.child.stderr.setEncoding('utf8').on('data', (text) => { weft.stderr += text; });
        weft.url = (await soon(firstLine(weft.child.stdio[3]), 'the address')).trim();
        weft.ws = weft.url.replace(/^http/, 'ws');
        weft.port = Number(new URL(weft.url).port);
        return weft;
    }

    /** Asks it to drain; resolves with the exit code. */
    drain() {
        this.child.kill('SIGTERM');
        return soon(this.exit, 'the end of the drain');
    }

    /** Stops it now, whatever it is at. */
    async stop() {
        const alive = () => this.child.exitCode === null && this.child.signalCode === null;
        for (let i = 0; i < 50 && alive(); i++) {
            this.child.kill('SIGTERM');
            await Promise.race([this.exit, sleep(100)]);
        }
        if (alive()) {
            this.child.kill('SIGKILL');
            await this.exit;
        }
        const { exitCode, signalCode } = this.child;
        assert.equal(exitCode, 0, `exit code ${exitCode}, signal ${signalCode}: ${this.stderr}`);
    }

    fetch(path, options = {}) {
        return fetch(this.url + path, { signal: AbortSignal.timeout(PATIENCE_MS), ...options });
    }

    async publish(room, body, headers = {}) {
        const answer = await this.fetch(`/rooms/${room}`, { method: 'POST', body, headers });
        assert.equal(answer.status, 204, await answer.text());
    }

    /** The rooms as an object of name: [members, messages]. */
    async rooms() {
        const { rooms } = await (await this.fetch('/rooms')).json();
        return Object.fromEntries(rooms.map((room) => [room.name, [room.members, room.messages]]));
    }

    /** A bare TCP connection. */
    async raw() {
        const socket = net.connect(this.port, '127.0.0.1');
        await soon(once(socket, 'connect'), 'the connection');
        return socket;
    }
}

async function firstLine(stream) {
    let text = '';
    for await (const some of stream.setEncoding('utf8')) {
        text += some;
        if (text.includes('\n')) return text.split('\n')[0];
    }
    return assert.fail('the server ended before it was ready');
}

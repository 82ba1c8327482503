// What the scenes with clients for node share: the package `ws` as a client that can be awaited, and a server for each scene.

import { test } from 'node:test';
import Ws from 'ws';
import { soon, Weft } from './weft.mjs';

export const TEST_MS = 30000;

/** What a client hears, in order: messages, pings and pongs, each to be awaited. */
export class Inbox {
    items = [];
    waiting = [];

    put(item) {
        if (this.waiting.length) this.waiting.shift()(item);
        else this.items.push(item);
    }

    take() {
        return this.items.length ? Promise.resolve(this.items.shift())
            : soon(new Promise((resolve) => this.waiting.push(resolve)), 'a message');
    }

    async takeAll(count) {
        const all = [];
        while (all.length < count) all.push(await this.take());
        return all;
    }
}

/** The package `ws`. Text is heard as a string, binary as a Buffer. */
export class WsClient extends Inbox {
    pings = new Inbox();
    pongs = new Inbox();

    constructor(url, { protocols, ...options } = {}) {
        super();
        this.socket = new Ws(url, protocols, { perMessageDeflate: false, maxPayload: 1 << 28, ...options });
        this.socket.on('message', (data, binary) => this.put(binary ? data : data.toString()));
        this.socket.on('ping', (data) => this.pings.put(data));
        this.socket.on('pong', (data) => this.pongs.put(data.toString()));
        this.closed = new Promise((resolve) => {
            this.socket.on('close', (code, reason) => resolve([code, reason.toString()]));
        });
        this.opened = new Promise((resolve, reject) => {
            this.socket.on('open', () => resolve(this));
            this.socket.on('error', reject); // once it is open, `closed` says all
            this.socket.on('unexpected-response', (request, response) => {
                this.refusal = response.headers;
                request.destroy();
                reject(new Error(`refused: ${response.statusCode}`));
            });
        });
        this.opened.catch(() => {});
    }

    send(data) { this.socket.send(data); }
    close(...why) { this.socket.close(...why); return soon(this.closed, 'the close'); }
}

/** A test with a server of its own. `play` gets it and a way to open clients, which are gone when the test is over. */
export function scene(name, flags, play, Client = WsClient) {
    test(name, { timeout: TEST_MS }, async () => {
        const weft = await Weft.start(...flags);
        const clients = [];
        const connect = (path = '/echo', options = {}) => {
            clients.push(new Client(weft.ws + path, options));
            return clients.at(-1);
        };
        const open = (path, options) => soon(connect(path, options).opened, 'the handshake');
        try {
            await play({ weft, connect, open });
        } finally {
            for (const { socket } of clients) if (socket.terminate) socket.terminate(); else socket.close();
            await weft.stop();
        }
    });
}

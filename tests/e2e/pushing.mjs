// What the tests of the Pusher Channels server share: a server with apps in a config file, the clients of others, and one
// that says exactly what it is told to.

import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { TEST_MS, WsClient } from './clients.mjs';
import { soon, Weft } from './weft.mjs';

const require = createRequire(import.meta.url);
export const Pusher = require('pusher-js');
export const Server = require('pusher');

export const KEY = '278d425bdf160c739803';
export const SECRET = '7ad3773142a6692b25b8';
export const MASTER_KEY = Buffer.alloc(32, 7).toString('base64');

/** The lines of an app. */
export const app = (settings = {}, name = 'shop') => `[app ${name}]\n` + Object.entries({
    id: 3, key: KEY, secret: SECRET, client_events: true, subscription_count: false, ...settings,
}).map(([key, value]) => `${key} = ${value}\n`).join('');

export const hmac = (text, secret = SECRET) => createHmac('sha256', secret).update(text).digest('hex');

/** Says exactly what it is told to, and hears JSON; `data` of what it hears is parsed where it is a string. */
export class Raw extends WsClient {
    put(text) {
        const message = JSON.parse(text);
        super.put(typeof message.data === 'string' ? { ...message, data: JSON.parse(message.data) } : message);
    }

    say(event, data, channel) { this.send(JSON.stringify({ event, data, channel })); }

    /** Waits for its socket id. */
    async greeted() {
        const { event, data } = await this.take();
        assert.equal(event, 'pusher:connection_established');
        this.id = data.socket_id;
        return this;
    }

    /** Subscribes, signed as its app would. */
    ask(channel, member) {
        const channel_data = member && JSON.stringify(member);
        const signed = [this.id, channel, ...(member ? [channel_data] : [])].join(':');
        this.say('pusher:subscribe', { channel, auth: `${KEY}:${hmac(signed)}`, channel_data });
    }

    async join(channel, member) {
        this.ask(channel, member);
        const answer = await this.take();
        assert.deepEqual([answer.event, answer.channel], ['pusher_internal:subscription_succeeded', channel]);
        return answer.data;
    }

    /** It has been told nothing since: a pong is the next. */
    async nothing() {
        this.say('pusher:ping', {});
        assert.deepEqual(await this.take(), { event: 'pusher:pong', data: {} });
    }
}

/** A server with these lines in its config file, and who talks to it. */
export class Scene {
    clients = [];

    static async start(config, ...flags) {
        const scene = new Scene();
        scene.folder = mkdtempSync(join(tmpdir(), 'weft-pusher-'));
        scene.file = join(scene.folder, 'apps.ini');
        scene.write(config);
        scene.weft = await Weft.start('--config', scene.file, '--threads', '2', ...flags);
        scene.server = scene.sdk();
        return scene;
    }

    write(config) { writeFileSync(this.file, config); }

    sdk(settings = {}) {
        return new Server({ appId: '3', key: KEY, secret: SECRET, host: '127.0.0.1', port: String(this.weft.port),
            useTLS: false, encryptionMasterKeyBase64: MASTER_KEY, ...settings });
    }

    /** A pusher-js client; `user` is who it is in presence channels and when it signs in. */
    client(user = { id: 'anna' }, settings = {}) {
        const { id, info, watchlist } = user;
        const authorize = ({ socketId, channelName }, done) => done(null, this.server.authorizeChannel(socketId,
            channelName, channelName.startsWith('presence-') ? { user_id: id, user_info: info } : undefined));
        const authenticate = ({ socketId }, done) => done(null,
            this.server.authenticateUser(socketId, { id, user_info: info, watchlist }));
        const client = new Pusher(KEY, { wsHost: '127.0.0.1', wsPort: this.weft.port, forceTLS: false, cluster: 'none',
            enabledTransports: ['ws'], enableStats: false, channelAuthorization: { customHandler: authorize },
            userAuthentication: { customHandler: authenticate }, ...settings });
        this.clients.push({ end: () => client.disconnect() });
        return client;
    }

    open(path = `/app/${KEY}?protocol=7&client=js&version=8.6.0`, options = {}) {
        const raw = new Raw(this.weft.ws + path, options);
        this.clients.push({ end: () => raw.socket.terminate() });
        return soon(raw.opened, 'the handshake');
    }

    async raw() { return (await this.open()).greeted(); }

    /** A signed request, as exact as can be: [status, text]. */
    async call(method, path, { body = '', params = {}, secret = SECRET } = {}) {
        const query = { auth_key: KEY, auth_timestamp: Math.floor(Date.now() / 1000), auth_version: '1.0', ...params };
        if (body && !('body_md5' in params)) query.body_md5 = createHash('md5').update(body).digest('hex');
        const text = Object.keys(query).sort().map((key) => `${key}=${query[key]}`).join('&');
        const signature = hmac(`${method}\n${path}\n${text}`, secret);
        const answer = await this.weft.fetch(`${path}?${new URLSearchParams(query)}&auth_signature=${signature}`,
            { method, body: body || undefined });
        return [answer.status, await answer.text()];
    }

    post(path, body, options) { return this.call('POST', path, { body: JSON.stringify(body), ...options }); }

    async stop() {
        for (const { end } of this.clients) end();
        await this.weft.stop();
        rmSync(this.folder, { recursive: true });
    }
}

// A pusher-js client that was sent away keeps a timer of 30 s, which would keep the process.
after(() => setTimeout(() => process.exit(), 200).unref());

/** A test with a server of its own. */
export function scene(name, config, play, ...flags) {
    test(name, { timeout: TEST_MS }, async () => {
        const s = await Scene.start(config, ...flags);
        try {
            await play(s);
        } finally {
            await s.stop();
        }
    });
}

/** The next time that this is told to a pusher-js client, channel or user. */
export const told = (target, event) => soon(new Promise((resolve) => {
    const hear = (...data) => { target.unbind(event, hear); resolve(data[0]); };
    target.bind(event, hear);
}), event);

export const subscribed = (channel) => told(channel, 'pusher:subscription_succeeded');

// The connection side of the chat page: rooms (weft.js, which comes back by itself), and a probe that measures
// the round trip and notices a dead line.
//
// Everything here is driven by plain command objects and answers with plain report objects, so the same
// `Hub` runs inside the page (called directly) or inside a Web Worker (called through postMessage, see
// worker.js). It knows nothing of the document, and nothing of what a message means.
//
//   commands  { do: 'join', room, url, token, as } { do: 'leave', room } { do: 'send', room, data }
//             { do: 'name', as } { do: 'retry', room } { do: 'probe', url } { do: 'visible', value } { do: 'online', value }
//             { do: 'stop' }
//   reports   { kind: 'here', room, names, more }                    who is there, and how many more
//             { kind: 'state', room, state, transport, gap, waitMs, code, reason }     a room changed its state
//             { kind: 'message', room, data, digest }                  string, or ArrayBuffer with its digest
//             { kind: 'settled', room }                                the replayed history has ended
//             { kind: 'buffered', room, bytes }                        bytes the browser has yet to send
//             { kind: 'rtt', ms }                                      null: unknown
//   Every report also carries `where`: 'worker' or 'page', the place this code really runs in.

import { connect } from './weft.js';

/** Messages the server is asked to replay on joining; also the most that can count as history. */
export const REPLAY_COUNT = 50;

const REPLAY_QUIET_MS = 250; // no message for this long after opening: the replay is over
const PROBE_INTERVAL_MS = 5000;
const PROBE_TIMEOUT_MS = 10000;
const PROBE_HURRY_MS = 3000; // the timeout after an event that makes a dead line likely
const BUFFERED_POLL_MS = 100;

const WHERE = typeof document === 'undefined' ? 'worker' : 'page';

/**
 * A short name for some bytes, for telling a replayed message from a new one. Not for security: the
 * browser offers real digests only to pages from https, and this page must work on a bare address.
 */
export function digest(buffer) {
    const words = new Uint32Array(buffer, 0, buffer.byteLength >> 2);
    const tail = new Uint8Array(buffer, words.length * 4);
    let a = 0x9e3779b9;
    let b = 0x85ebca6b;
    for (const part of [words, tail]) {
        for (let index = 0; index < part.length; index++) {
            a = Math.imul(a ^ part[index], 0x01000193);
            b = Math.imul(b ^ part[index] ^ (a >>> 15), 0x27d4eb2f);
        }
    }
    return `${buffer.byteLength}:${(a >>> 0).toString(16)}${(b >>> 0).toString(16)}`;
}

/** One room. States: connecting, open, reconnecting, offline. */
class RoomSocket {
    constructor(hub, room, { url, token, as }) {
        Object.assign(this, { hub, room });
        this.replayed = -1; // messages of the replay so far; -1: it is over
        this.timers = {}; // settle, buffered
        const onState = (report) => this.changed(report);
        const onMessage = (data) => this.received(typeof data === 'string' ? data : data.buffer);
        const onHere = (names, more) => this.report('here', { names, more });
        this.line = connect(room, { url, token, as, last: REPLAY_COUNT, onState, onMessage, onHere });
    }

    changed({ state, code = 0, waitMs = 0, gap = false, ...more }) {
        this.cancel('settle');
        this.cancel('buffered');
        this.replayed = -1;
        if (state === 'closed') return;
        if (state === 'open') {
            this.replayed = 0;
            this.after('settle', REPLAY_QUIET_MS, () => this.settle());
        } else {
            this.report('buffered', { bytes: 0 });
        }
        const lost = state === 'reconnecting';
        const shown = lost && !this.hub.online ? 'offline' : state;
        this.report('state', { ...more, waitMs, gap, state: shown, code: lost ? code || 1006 : code });
        if (state === 'open') this.hub.roomOpened();
    }

    received(data) {
        const binary = typeof data !== 'string';
        this.report('message', { data, digest: binary ? digest(data) : null }, binary ? [data] : []);
        if (this.replayed < 0) return;
        this.replayed += 1;
        if (this.replayed >= REPLAY_COUNT) this.settle();
        else this.after('settle', REPLAY_QUIET_MS, () => this.settle());
    }

    settle() {
        this.cancel('settle');
        this.replayed = -1;
        this.report('settled', {});
    }

    send(data) {
        if (!this.line.isOpen) return; // the page keeps what is not acknowledged and sends it again
        this.line.send(data).catch(() => {});
        if (this.line.bufferedAmount > 0 && !this.timers.buffered) this.watchBuffered();
    }

    watchBuffered() {
        const bytes = this.line.bufferedAmount;
        this.report('buffered', { bytes });
        if (bytes > 0) this.after('buffered', BUFFERED_POLL_MS, () => this.watchBuffered());
    }

    after(name, ms, run) {
        this.cancel(name);
        this.timers[name] = setTimeout(() => {
            delete this.timers[name];
            run();
        }, ms);
    }

    cancel(name) {
        clearTimeout(this.timers[name]);
        delete this.timers[name];
    }

    report(kind, fields, transfer = []) {
        this.hub.report(kind, { room: this.room, ...fields }, transfer);
    }
}

/** Lets go of a WebSocket at once: no event of it is heard any more, however long its closing takes. */
function abandon(ws) {
    if (!ws) return;
    ws.onopen = ws.onmessage = ws.onclose = ws.onerror = null;
    ws.close();
}

/**
 * A socket to the server's echo, since a browser cannot send ping frames. Only a probe that was sent and
 * not answered speaks of a dead line: a server without an echo merely leaves the round trip unknown.
 */
class Probe {
    constructor(url, onRtt, onDead) {
        Object.assign(this, { url, onRtt, onDead });
        this.ws = null;
        this.sentAt = 0; // 0: no probe is under way
        this.failures = 0;
    }

    /** Begins, or looks at once whether the line lives. */
    check(timeoutMs) {
        clearTimeout(this.timer);
        if (this.ws === null) this.open();
        else if (this.ws.readyState === WebSocket.OPEN) this.ask(timeoutMs);
    }

    open() {
        if (typeof WebSocket !== 'function') return;
        const ws = new WebSocket(this.url);
        ws.onopen = () => this.ask(PROBE_TIMEOUT_MS);
        ws.onmessage = () => this.answered();
        ws.onclose = () => {
            this.stop();
            this.failures += 1;
            this.next(Math.min(60000, PROBE_INTERVAL_MS * 2 ** this.failures));
        };
        this.ws = ws;
    }

    ask(timeoutMs) {
        if (this.sentAt === 0) {
            this.sentAt = performance.now();
            this.ws.send('probe');
        }
        clearTimeout(this.deadline);
        this.deadline = setTimeout(() => {
            this.stop();
            this.onDead();
        }, timeoutMs);
    }

    answered() {
        clearTimeout(this.deadline);
        this.failures = 0;
        this.onRtt(performance.now() - this.sentAt);
        this.sentAt = 0;
        this.next(PROBE_INTERVAL_MS);
    }

    next(ms) {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.check(PROBE_TIMEOUT_MS), ms);
    }

    stop() {
        clearTimeout(this.timer);
        clearTimeout(this.deadline);
        abandon(this.ws);
        this.ws = null;
        this.sentAt = 0;
        this.onRtt(null);
    }
}

/** All sockets of a page. `listener(report, transfer)` is called for each report. */
export class Hub {
    constructor(listener) {
        this.listener = listener;
        this.rooms = new Map();
        this.probe = null;
        this.visible = true;
        this.online = true;
    }

    handle(command) {
        const socket = this.rooms.get(command.room);
        switch (command.do) {
            case 'join':
                if (!socket) this.rooms.set(command.room, new RoomSocket(this, command.room, command));
                break;
            case 'leave':
                socket?.line.close();
                this.rooms.delete(command.room);
                break;
            case 'send':
                socket?.send(command.data);
                break;
            case 'name':
                this.rooms.forEach((each) => each.line.rename(command.as));
                break;
            case 'retry':
                socket?.line.retry();
                break;
            case 'probe':
                this.probe = new Probe(
                    command.url,
                    (ms) => this.report('rtt', { ms }),
                    () => this.lineIsDead(),
                );
                break;
            case 'visible':
                this.visible = command.value;
                if (this.visible) this.wakeUp();
                else this.probe?.stop();
                break;
            case 'online':
                this.online = command.value;
                if (this.online) this.wakeUp();
                else this.doubt();
                break;
            case 'stop':
                this.probe?.stop();
                this.rooms.forEach((each) => each.line.close());
                this.rooms.clear();
                break;
        }
    }

    roomOpened() {
        if (this.visible && this.probe?.ws === null) this.probe.check(PROBE_TIMEOUT_MS);
    }

    /** The page is looked at again, or the network is back: no timer set before is worth waiting for. */
    wakeUp() {
        this.rooms.forEach((each) => each.line.retry());
        this.hurry();
    }

    /** The browser says that the network is gone. Lines that are open may still live: a server can be local. */
    doubt() {
        this.rooms.forEach(({ line }) => line.isOpen || line.lost(line.line, { reason: 'offline' }));
        this.hurry();
    }

    /** Something happened that often breaks a line: find out soon, instead of believing either way. */
    hurry() {
        if (this.visible && this.anyOpen()) this.probe?.check(PROBE_HURRY_MS);
    }

    lineIsDead() {
        this.rooms.forEach(({ line }) => {
            if (!line.isOpen) return;
            if (this.online) line.dial();
            else line.lost(line.line, { reason: 'no answer' });
        });
    }

    anyOpen() {
        return [...this.rooms.values()].some(({ line }) => line.isOpen);
    }

    report(kind, fields, transfer = []) {
        this.listener({ kind, where: WHERE, ...fields }, transfer);
    }
}

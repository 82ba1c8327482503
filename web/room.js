// A joined room of the chat page: what a frame means, how a message becomes an element (never through
// innerHTML), and the list of one room with what is not yet acknowledged in it.
//
// The list has two parts: settled messages in the order of the server, then this page's own pending ones. An
// echo moves a pending message to the end of the settled part, so every page of a room shows one order.
//
//   settled                        | pending
//   [ann: hi] [bob: hello] [me: a] | [me: b] [me: c]
//                                  ^ echoes of b and c, and messages of others, are inserted here
//
// After a reconnect the server replays its last messages. They are compared in order with the last ones
// settled here: a repetition is dropped, the echo of a lost acknowledgement settles a pending message, and only
// what is still pending after that is sent again. What comes from this page has an id; other messages are
// recognised by a digest of their bytes.

import { REPLAY_COUNT, digest } from './socket.js';

const SHOWN_CHARS_MAX = 65536; // of a message from elsewhere
const KEPT_MESSAGES_MAX = 1000; // per room; the oldest leave the page
const KEPT_BLOB_BYTES_MAX = 256 * 1048576; // per room
const SENDS_MAX = 5; // a message that never comes back is not sent for ever
const JOINED_MS = 5 * 60000; // messages of one speaker closer than this share one thread
const DYES = 7;

const encoder = new TextEncoder();

export function make(tag, className = '', text = '') {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = text;
    return element;
}

export function bytesText(bytes) {
    if (bytes < 1000) return `${bytes} bytes`;
    if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
    return `${(bytes / 1e6).toFixed(1)} MB`;
}

export const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;
export const msText = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);

// --- messages ------------------------------------------------------------------------------------------------

export const randomId = () =>
    [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

export const cleanName = (name) => [...name.replace(/[\p{Cc}\p{Cf}]/gu, '').trim()].slice(0, 40).join('');

/** What a frame means: a chat message of this page's shape, or whatever else arrived, from someone. */
export function decode(data, dataDigest) {
    const plain = { id: null, name: 'someone', ts: Date.now() };
    if (typeof data !== 'string') return { ...plain, kind: 'binary', key: `b:${dataDigest}`, data };
    try {
        const { type, id, name, text, ts } = JSON.parse(data);
        const ours = type === 'chat' && typeof name === 'string' && typeof text === 'string';
        if (ours && typeof id === 'string' && id.length > 0 && id.length <= 64) {
            const when = Number.isFinite(ts) && Math.abs(ts) < 8e15 ? ts : plain.ts;
            return { kind: 'text', key: `i:${id}`, id, name: cleanName(name) || plain.name, text, ts: when };
        }
    } catch {
        // not JSON: plain text
    }
    return { ...plain, kind: 'text', key: `t:${digest(encoder.encode(data).buffer)}`, text: data };
}

const LINK = /\bhttps?:\/\/[^\s<>"'`]+/gi;

/** Text with its web addresses made into links. Only text nodes and `href`s of http(s) come out of it. */
function appendText(parent, text) {
    const shown = text.slice(0, SHOWN_CHARS_MAX);
    let at = 0;
    for (const match of shown.matchAll(LINK)) {
        const address = match[0].replace(match[0].includes('(') ? /[.,;:!?]+$/ : /[.,;:!?)\]}]+$/, '');
        if (!URL.canParse(address)) continue;
        const link = make('a', '', address);
        link.href = address;
        link.target = '_blank';
        link.rel = 'noopener noreferrer';
        parent.append(shown.slice(at, match.index), link);
        at = match.index + address.length;
    }
    parent.append(shown.slice(at));
    const hidden = text.length - shown.length;
    if (hidden > 0) parent.append(` … and ${plural(hidden, 'more character')}`);
}

/** The image type that the first bytes speak of, or null. A name or a declared type is not believed. */
function imageType(buffer) {
    const head = String.fromCharCode(...new Uint8Array(buffer, 0, Math.min(12, buffer.byteLength)));
    if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'png';
    if (head.startsWith('\xff\xd8\xff')) return 'jpeg';
    if (head.startsWith('GIF87a') || head.startsWith('GIF89a')) return 'gif';
    if (head.startsWith('RIFF') && head.slice(8) === 'WEBP') return 'webp';
    return null;
}

/** A download link, and a preview of an image. The blob is never of a type that a browser would run. */
function appendBinary(parent, message, element) {
    const image = imageType(message.data);
    const blob = new Blob([message.data], { type: image ? `image/${image}` : 'application/octet-stream' });
    element.blobUrl = URL.createObjectURL(blob);
    element.blobBytes = blob.size;
    const link = make('a', '', 'download');
    link.href = element.blobUrl;
    const when = new Date(message.ts).toISOString().replace(/\W/g, '-');
    link.download = message.fileName ?? `weft-${when}.${image ?? 'bin'}`;
    if (image) {
        const picture = make('img', 'picture');
        picture.alt = `${image} image`;
        picture.decoding = 'async';
        picture.src = element.blobUrl;
        parent.append(picture);
    }
    const what = message.fileName ? `${message.fileName}, binary` : 'binary';
    parent.append(`${what}, ${bytesText(blob.size)} `, link);
}

function timeText(ts) {
    const when = new Date(ts);
    const time = when.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    return when.toDateString() === new Date().toDateString() ? time : `${when.toLocaleDateString()} ${time}`;
}

const dyes = new Map(); // name -> dye

/** A dye for a speaker: from the name, so that it mostly stays; another while that one is taken. */
export function dyeOf(name) {
    if (dyes.size > 500) dyes.clear();
    if (!dyes.has(name)) {
        let dye = [...name].reduce((sum, char) => (sum * 31 + char.codePointAt(0)) % 65521, 7) % DYES;
        const taken = new Set(dyes.values());
        while (taken.size < DYES && taken.has(dye)) dye = (dye + 1) % DYES;
        dyes.set(name, dye);
    }
    return dyes.get(name);
}

let localIds = 0;

function messageElement(message, own, state) {
    const element = make('li', own ? 'message own' : 'message');
    Object.assign(element.dataset, { id: message.id ?? `local-${++localIds}`, kind: message.kind, state });
    if (!own && message.name !== 'someone') element.dataset.dye = dyeOf(message.name);
    element.speaker = `${own} ${message.name}`;
    element.ts = message.ts;
    const head = make('div', 'head');
    const time = make('time', '', timeText(message.ts));
    time.dateTime = new Date(message.ts).toISOString();
    head.append(make('span', 'who', message.name), time);
    const body = make('div', 'body');
    const text = make('span', 'text');
    text.dir = 'auto';
    if (message.kind === 'binary') appendBinary(text, message, element);
    else appendText(text, message.text);
    body.append(text, make('span', 'fate'));
    element.append(head, body);
    return element;
}

export function noteElement(text) {
    const element = make('li', 'note', text);
    Object.assign(element.dataset, { id: `note-${++localIds}`, kind: 'system', state: 'delivered' });
    return element;
}

// --- a joined room -------------------------------------------------------------------------------------------

/**
 * `host` is the page: `send(room, data)` gives a frame to the socket, `arrived(room, quiet)` is told of each
 * listed message (`quiet`: nothing new to the reader), `isOwn(id)` knows this tab's earlier messages.
 */
export class Room {
    constructor(name, host) {
        this.name = name;
        this.host = host;
        this.list = make('ol', 'log');
        this.line = { state: 'connecting', code: 0, transport: 'websocket', retryAt: 0 };
        this.known = new Map(); // id -> element, of all that is listed
        this.unacked = []; // { key, data, element, sentAt, sends }, oldest first; sentAt 0: not on this line
        this.order = []; // keys of the last REPLAY_COUNT settled messages, in the server's order
        this.replay = null; // { before, cursor, first, gap, added, note } while history may arrive
        this.opened = false; // has been open once
        this.here = { names: [], more: 0 }; // who is there, as the server says
        this.unread = 0;
        this.fresh = 0; // arrived while the reader was further up
        this.blobBytes = 0;
        this.bufferedBytes = 0;
        this.bufferedPeak = 0;
        this.stick = true;
        this.scrollTop = 0;
        this.empty = null; // the note of a room without messages
    }

    // -- from the engine

    lineChanged({ state, waitMs, code, transport, gap }) {
        this.line = { state, code, transport, retryAt: performance.now() + waitMs };
        if (code === 1009) this.failBiggest();
        if (code === 4403) for (const out of [...this.unacked]) this.fail(out, 'the token does not allow it');
        for (const out of this.unacked) out.sentAt = 0;
        this.replay = null;
        if (state === 'open') {
            this.replay = { before: this.order.slice(), cursor: 0, first: !this.opened, gap, added: 0, note: null };
            this.opened = true;
        }
        this.flush();
    }

    settled() {
        if (!this.replay) return;
        const { first, gap, added, note } = this.replay;
        this.replay = null;
        if (note && gap) note.textContent = 'the last of what was said meanwhile';
        if (first && added > 0) this.insert(noteElement('earlier messages are above'));
        if (first && this.list.childElementCount === 0) {
            this.empty = noteElement('nothing has been said here yet');
            this.insert(this.empty);
        }
        this.flush();
    }

    received(message) {
        if (this.isRepetition(message)) return;
        const out = this.unacked.find((each) => each.key === message.key);
        if (out) {
            this.acknowledge(out);
            return;
        }
        if (message.id !== null && this.known.has(message.id)) return;
        if (this.replay && !this.replay.first && this.replay.added === 0) {
            this.replay.note = noteElement('said while the connection was down');
            this.insert(this.replay.note);
        }
        if (this.replay) this.replay.added += 1;
        this.remember(message.key);
        const own = message.id !== null && this.host.isOwn(message.id);
        this.add(messageElement(message, own, 'delivered'), message.id);
        this.host.arrived(this, own || Boolean(this.replay?.first));
    }

    /** Whether a replayed message is one that was settled before the line was lost. */
    isRepetition(message) {
        if (!this.replay) return false;
        const index = this.replay.before.indexOf(message.key, this.replay.cursor);
        if (index < 0) return false;
        this.replay.cursor = index + 1;
        return true;
    }

    remember(key) {
        this.order.push(key);
        if (this.order.length > REPLAY_COUNT) this.order.shift();
    }

    // -- own messages

    /** Shows a message of one's own as pending, and sends it as soon as there is a line. */
    say(message, data) {
        const element = messageElement(message, true, 'pending');
        this.empty?.remove();
        this.list.append(element);
        this.joinThreads(element);
        if (message.id !== null) this.known.set(message.id, element);
        this.blobBytes += element.blobBytes ?? 0;
        this.unacked.push({ key: message.key, data, element, sentAt: 0, sends: 0 });
        this.stick = true;
        this.trim();
        this.flush();
    }

    flush() {
        const mustWait = this.replay && this.unacked.some((out) => out.sends > 0 && out.sentAt === 0);
        if (this.line.state === 'open' && !mustWait) {
            for (const out of [...this.unacked]) if (out.sentAt === 0) this.transmit(out);
        }
        for (const out of this.unacked) this.showFate(out);
    }

    transmit(out) {
        if (out.sends >= SENDS_MAX) {
            this.fail(out, 'no echo after several attempts');
            return;
        }
        out.sends += 1;
        out.sentAt = performance.now();
        this.host.send(this, out.data);
    }

    acknowledge(out) {
        const ms = out.sentAt > 0 ? performance.now() - out.sentAt : null;
        if (ms !== null) this.settled(); // the echo of something sent on this line ends the history
        this.unacked.splice(this.unacked.indexOf(out), 1);
        this.remember(out.key);
        out.element.dataset.state = 'delivered';
        out.element.querySelector('.fate').textContent = ms === null ? '✓' : `✓ ${msText(ms)}`;
        this.insert(out.element);
    }

    /** The server refused a message as too big, without saying which: the biggest under way is the one. */
    failBiggest() {
        const size = (out) => out.data.size ?? encoder.encode(out.data).length;
        const sent = this.unacked.filter((out) => out.sentAt > 0);
        if (sent.length === 0) return;
        this.fail(sent.reduce((a, b) => (size(b) > size(a) ? b : a)), 'too big for this server');
    }

    fail(out, why) {
        this.unacked.splice(this.unacked.indexOf(out), 1);
        out.element.dataset.state = 'failed';
        const again = make('button', '', 'try again');
        again.type = 'button';
        again.onclick = () => {
            Object.assign(out, { sends: 0, sentAt: 0 });
            out.element.dataset.state = 'pending';
            this.unacked.push(out);
            this.list.append(out.element);
            this.joinThreads(out.element);
            this.flush();
        };
        out.element.querySelector('.fate').replaceChildren(`not sent: ${why} · `, again);
        this.insert(out.element);
    }

    showFate(out) {
        const text = out.sentAt > 0 ? 'sending …' : 'waiting for the connection';
        out.element.querySelector('.fate').textContent = text;
    }

    // -- the list

    add(element, id) {
        if (id !== null) this.known.set(id, element);
        this.blobBytes += element.blobBytes ?? 0;
        this.empty?.remove();
        this.insert(element);
        this.trim();
    }

    /** Puts an element at the end of the settled part, before what is pending. */
    insert(element) {
        const from = element.parentNode ? element.nextElementSibling : null;
        this.list.insertBefore(element, this.unacked[0]?.element ?? null);
        if (from) this.joinThreads(from);
        this.joinThreads(element);
    }

    /** Lets an element, and the one after it, continue the thread of the same speaker. */
    joinThreads(element) {
        for (const each of [element, element.nextElementSibling]) {
            const above = each?.previousElementSibling;
            const same = above?.speaker && above.speaker === each.speaker;
            each?.classList.toggle('joined', Boolean(same && each.ts - above.ts < JOINED_MS));
        }
    }

    trim() {
        while (this.list.childElementCount > KEPT_MESSAGES_MAX || this.blobBytes > KEPT_BLOB_BYTES_MAX) {
            const oldest = this.list.firstElementChild;
            if (!oldest || oldest.dataset.state === 'pending' || oldest === this.list.lastElementChild) return;
            this.forget(oldest);
            this.joinThreads(this.list.firstElementChild);
        }
    }

    forget(element) {
        if (element.blobUrl) URL.revokeObjectURL(element.blobUrl);
        this.blobBytes -= element.blobBytes ?? 0;
        this.known.delete(element.dataset.id);
        element.remove();
    }

    left() {
        for (const element of [...this.list.children]) this.forget(element);
    }
}

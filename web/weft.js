// A room of a weft server, from a browser, whatever lies in between: by WebSocket; by server-sent events and POST where
// WebSockets do not get through; by long polling where not even those do. It comes back by itself, with the place
// where it was, so that nothing is missed or heard twice; what cannot be had any more is told (`gap`).
//
//   const room = connect('lobby', {
//       last: 50,                                      // of the past, for who is new
//       onMessage: (data, { offset, epoch }) => ...,   // string or Uint8Array; own messages too
//       onState: ({ state, transport, gap, waitMs, code, status, reason }) => ...,   // as far as there is one
//       as: 'ann',                                     // one's own name, if the token does not say it
//       onHere: (names, more) => ...,                  // who is here, and how many besides; when it changes
//   });
//   await room.send(data);   // the server has it; rejected: the line broke first, and onMessage tells if it had
//   room.rename(name);
//   room.close();
//
// States: connecting, open, reconnecting (in waitMs), closed. Options: `url` of the server (where this module is from), `token`
// (text, or a function that is asked for one before each line, and may be async: so a token may expire), `place` to
// return to (as room.place told it), `transports` to choose from, `betterMs` between two looks whether WebSockets get
// through by now. Code 4401 (or status 401): the token is missing, has expired or is not good; 4403 (403): it does not
// allow that. Without dependencies; works in workers.

export const TRANSPORTS = ['websocket', 'events', 'polling'];

const HOME = import.meta.url.startsWith('http') ? import.meta.url : globalThis.location?.origin; // bundled: the page's

const DIAL_MS = 8000; // to be in the room
const SILENCE_MS = 45000; // a stream says something every 16 s, a poll is answered within 25 s
const RENAME_MS = 5000; // what was sent before is acknowledged by then
const STEADY_MS = 10000; // open for so long: the next loss starts from the floor again
const DENIED = { 401: 4401, 403: 4403, 413: 1009 }; // with what a WebSocket is closed for the same

// Full jitter, under a ceiling that doubles with each attempt.
const backoffMs = (attempt) => Math.random() * Math.min(30000, 300 * 2 ** attempt);

const refusal = (status) => ({ status, code: DENIED[status] ?? 0 });

function payload({ data, base64 }) {
    if (data !== undefined) return data;
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
    return bytes;
}

// Each line has stop() and tells its room: said(line, json), lost(line, why).
class SocketLine {
    constructor(room) {
        const ws = new WebSocket(room.address('ws', { recover: room.place, acks: 1 }));
        ws.onmessage = ({ data }) => room.said(this, JSON.parse(data));
        ws.onclose = ({ code, reason }) => room.lost(this, { code, reason });
        this.ws = ws;
    }

    stop() {
        this.ws.onmessage = this.ws.onclose = null;
        this.ws.close();
    }
}

class RequestLine {
    constructor(room) {
        this.room = room;
        this.aborter = new AbortController();
        this.run().catch(({ status = 0, message }) => room.lost(this, { ...refusal(status), reason: message }));
    }

    async get(path, query, headers = {}) {
        const { signal } = this.aborter;
        const answer = await fetch(this.room.address('http', query, path), { headers, signal, cache: 'no-store' });
        if (answer.ok) return answer;
        throw Object.assign(new Error((await answer.text()).trim()), { status: answer.status });
    }

    watch() {
        clearTimeout(this.silence);
        this.silence = setTimeout(() => this.room.lost(this, { reason: 'silence' }), SILENCE_MS);
    }

    stop() {
        clearTimeout(this.silence);
        this.aborter.abort();
    }
}

class EventsLine extends RequestLine {
    async run() {
        const { body } = await this.get('', { last_event_id: this.room.place }, { Accept: 'text/event-stream' });
        const reader = body.pipeThrough(new TextDecoderStream()).getReader();
        for (let text = ''; ; ) {
            this.watch();
            const { value, done } = await reader.read();
            if (done) throw new Error('the stream ended');
            text += value;
            const events = value.includes('\n') ? text.split('\n\n') : [text];
            text = events.pop();
            for (const event of events) {
                const data = event.split('\n').find((line) => line.startsWith('data: '));
                if (data) this.room.said(this, JSON.parse(data.slice(6)));
            }
        }
    }
}

class PollingLine extends RequestLine {
    async run() {
        const since = this.room.place;
        let asks = since ? ['/history', { since, limit: 1000 }] : ['', { poll: '' }]; // answered at once
        for (let first = true; ; first = false) {
            this.watch();
            const { next, recovered, messages, presence } = await (await this.get(...asks)).json();
            const [epoch, offset] = next.split(':');
            if (first || !recovered) this.room.said(this, { epoch, offset: offset - messages.length, recovered });
            for (const message of messages) this.room.said(this, message);
            if (presence) this.room.said(this, presence);
            asks = ['', { poll: next }];
        }
    }
}

const STANDARD = {
    onMessage() {}, onState() {}, onHere: null,
    transports: TRANSPORTS, token: '', as: '', last: 0, place: '', betterMs: 6e4,
};
const LINES = { websocket: SocketLine, events: EventsLine, polling: PollingLine };

class Room {
    constructor(name, options) {
        Object.assign(this, STANDARD, { url: HOME }, options, { name });
        this.choice = 0; // of the transports
        this.attempt = 0;
        this.given = ''; // the last token
        this.sends = []; // { number, resolve, reject }: by WebSocket, and not acknowledged; the number is the line's
        this.posting = Promise.resolve();
        this.here = new Set();
        this.version = 0; // of it; the server's, and never the same again for another list
        this.timers = {};
        this.online = () => this.retry();
        globalThis.addEventListener?.('online', this.online);
        this.dial();
    }

    get transport() {
        return this.transports[this.choice];
    }

    get bufferedAmount() { // that the browser has yet to send
        return this.line?.ws?.bufferedAmount ?? 0;
    }

    address(scheme, query, path = '') {
        const url = new URL(`/rooms/${encodeURIComponent(this.name)}${path}`, this.url);
        if (scheme === 'ws') url.protocol = url.protocol.replace('http', 'ws');
        if (this.last > 0 && path === '') query.last = this.last;
        if (this.as && path === '') query.as = this.as;
        if (this.onHere && path === '') query.here = this.version;
        if (this.given) query.token = this.given;
        url.search = String(new URLSearchParams(query)).replaceAll('+', '%20'); // a plus is a plus to the server
        return url;
    }

    dial() {
        this.drop('the line is taken anew');
        this.tell('connecting');
        if (typeof this.token !== 'function') return this.open(this.token);
        const waiting = (this.line = { waits: true, stop() {} });
        this.after('dial', DIAL_MS, () => this.lost(waiting, { reason: 'no token' }));
        new Promise((resolve) => resolve(this.token())).then(
            (token) => waiting === this.line && this.open(token),
            (error) => this.lost(waiting, { reason: String(error?.message ?? error) }),
        );
    }

    open(token) {
        this.given = token || '';
        try {
            this.line = new LINES[this.transport](this);
        } catch (error) { // there are no WebSockets at all
            this.line = { stop() {} };
            return this.lost(this.line, { reason: error.message });
        }
        this.after('dial', DIAL_MS, () => this.lost(this.line, { reason: 'no answer' }));
    }

    /** Does not wait any longer; a line that is there or on its way is left alone. */
    retry() {
        if (this.timers.retry) this.dial();
    }

    said(line, { ack, epoch, offset, recovered, ...message }) {
        if (line !== this.line) return;
        if (message.version !== undefined) return this.told(line, message); // 0: of a room without anybody
        if (ack) return this.acknowledged(ack);
        if (epoch) return this.began(line, { epoch, offset, recovered });
        if (offset !== this.offset + 1) return this.lost(line, { reason: 'messages are missing' }); // and come again
        this.offset = offset;
        this.place = `${this.epoch}:${offset}`;
        this.onMessage(payload(message), { offset, epoch: this.epoch });
    }

    /** So many of what this line sent are in the room. */
    acknowledged(count) {
        while (this.sends.length > 0 && this.sends[0].number <= count) this.sends.shift().resolve();
        if (this.sends.length === 0 && this.timers.rename) this.dial();
    }

    told(line, { here, came = [], went = [], more, version }) {
        if (!here && version !== this.version + 1) return this.lost(line, { reason: 'who is here was missed' }); // come again
        if (here) this.here = new Set(here);
        for (const name of came) this.here.add(name);
        for (const name of went) this.here.delete(name);
        this.version = version;
        this.onHere?.([...this.here].sort(), more);
    }

    /** Takes the line anew, under this name; soon, when something that was sent is yet to be acknowledged. */
    rename(name) {
        if (name === this.as) return;
        this.as = name;
        const { line } = this;
        if (this.sends.length > 0) this.after('rename', RENAME_MS, () => this.dial());
        else this.posting.catch(() => {}).then(() => line && line === this.line && this.dial());
    }

    began(line, { epoch, offset, recovered }) {
        const gap = this.place !== '' && !recovered;
        Object.assign(this, { epoch, offset, place: `${epoch}:${offset}`, isOpen: true });
        clearTimeout(this.timers.dial);
        this.after('steady', STEADY_MS, () => (this.attempt = 0));
        this.trusted = this.choice;
        this.fails = 0;
        if (this.choice > 0 && this.transports[0] === 'websocket' && globalThis.WebSocket)
            this.after('better', this.betterMs, () => this.lookForBetter(line));
        this.tell('open', { gap });
    }

    /** Whether WebSockets get through by now, beside the line that is there. */
    lookForBetter(line) {
        const probe = new WebSocket(this.address('ws', { recover: this.place }));
        probe.onclose = () => line === this.line && this.after('better', this.betterMs, () => this.lookForBetter(line));
        probe.onopen = () => {
            probe.onclose = null;
            probe.close();
            if (line !== this.line) return;
            this.choice = 0;
            this.dial();
        };
    }

    /** The line is gone. One that never was leads to the next choice, but where the server itself says no or there is
     * no token; one that once worked is tried some more. */
    lost(line, why) {
        if (line !== this.line) return;
        const denied = line.waits || why.code === 4401 || why.code === 4403;
        const patient = this.isOpen || denied || (this.choice === this.trusted && this.fails++ < 3);
        if (denied) this.choice = this.trusted ?? 0;
        this.drop(why.reason || 'the line broke');
        if (!patient) this.choice = (this.choice + 1) % this.transports.length;
        if (!patient && this.choice > 0) return this.dial();
        const waitMs = backoffMs(this.attempt++);
        this.after('retry', waitMs, () => this.dial());
        this.tell('reconnecting', { waitMs, ...why });
    }

    drop(reason) {
        Object.values(this.timers).forEach(clearTimeout);
        this.timers = {};
        this.line?.stop();
        this.line = null;
        this.isOpen = false;
        for (const each of this.sends.splice(0)) each.reject(new Error(reason));
    }

    send(data) {
        if (!this.isOpen) return Promise.reject(new Error('there is no line'));
        const { line } = this;
        if (!line.ws) return (this.posting = this.posting.catch(() => {}).then(() => this.post(line, data)));
        line.ws.send(data);
        const number = (line.sent = (line.sent ?? 0) + 1);
        return new Promise((resolve, reject) => this.sends.push({ number, resolve, reject }));
    }

    async post(line, data) {
        const type = typeof data === 'string' ? 'text/plain; charset=utf-8' : 'application/octet-stream';
        const options = { method: 'POST', body: data, headers: { 'Content-Type': type } };
        const { ok, status } = await fetch(this.address('http', {}), options).catch(() => ({ ok: false, status: 0 }));
        if (ok) return;
        const reason = status === 0 ? 'the line broke' : `not taken: ${status}`;
        this.lost(line, { ...refusal(status), reason });
        throw Object.assign(new Error(reason), { status });
    }

    close() {
        globalThis.removeEventListener?.('online', this.online);
        this.drop('closed');
        this.tell('closed');
    }

    after(name, ms, run) {
        clearTimeout(this.timers[name]);
        this.timers[name] = setTimeout(run, ms);
    }

    tell(state, more = {}) {
        this.onState({ ...more, state, transport: this.transport });
    }
}

export const connect = (name, options = {}) => new Room(name, options);

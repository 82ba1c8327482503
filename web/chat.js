// The chat page: the tabs, the room list, the composer and the state of the connection, all of the active
// room; and the engine that runs the sockets, in this page or in a worker. What a room is stands in room.js,
// how a connection comes back in socket.js.

import { Hub, digest } from './socket.js';
import { Room, bytesText, cleanName, decode, dyeOf, make, msText, noteElement, plural, randomId } from './room.js';

const TEXT_BYTES_MAX = 65536; // a whole text message as sent, envelope included
const FILE_BYTES_MAX = 256 * 1048576;
const LISTED_ROOMS_MAX = 200;
const ROOMS_REFRESH_MS = 10000;
const HUSH_MS = 600;
const END_PX = 40; // this near to the end of the list counts as being there

const encoder = new TextEncoder();
const ui = Object.fromEntries([...document.querySelectorAll('[id]')].map((each) => [each.id, each]));

/** Storage that a browser may deny: then settings last as long as the page. */
function stored(storage, key, value) {
    try {
        if (value === undefined) return window[storage].getItem(`weft.${key}`);
        window[storage].setItem(`weft.${key}`, value);
    } catch {
        // denied or full
    }
    return null;
}

// --- the engine: the sockets, in this page or in a worker -----------------------------------------------------

const address = new URL(location.href);
const hashOf = () => new URLSearchParams(location.hash.slice(1));
const linkedToken = address.searchParams.get('token') ?? hashOf().get('token');
const token = linkedToken ?? stored('sessionStorage', 'token') ?? '';
const socketOrigin = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}`;

function withToken(path) {
    return token ? `${path}${path.includes('?') ? '&' : '?'}token=${encodeURIComponent(token)}` : path;
}

const joining = (room) => ({ do: 'join', room, url: location.origin, token, as: ui.name.value });

let engine = null;

function startEngine(inWorker) {
    engine?.post({ do: 'stop' });
    const mine = {};
    const listener = (report) => engine === mine && page.report(report);
    if (inWorker) {
        const worker = new Worker('/worker.js', { type: 'module' });
        worker.onmessage = (event) => listener(event.data);
        worker.onerror = () => engine === mine && page.workerFailed();
        mine.post = (command) => worker.postMessage(command);
    } else {
        const hub = new Hub(listener);
        mine.post = (command) => hub.handle(command);
    }
    engine = mine;
    engine.post({ do: 'online', value: navigator.onLine });
    engine.post({ do: 'visible', value: !document.hidden });
    engine.post({ do: 'probe', url: withToken(`${socketOrigin}/echo`) });
    for (const name of page.rooms.keys()) engine.post(joining(name));
}

// --- the page ------------------------------------------------------------------------------------------------

const ROOM_NAME = /^[A-Za-z0-9_=@,.;-]{1,200}$/;
const isRoomName = (name) => ROOM_NAME.test(name) && name !== '.' && name !== '..'; // dots would leave the path

/** Ids of this tab's own messages, so that a reload still knows them; the last few hundred. */
const ownIds = {
    ids: new Set((stored('sessionStorage', 'own') ?? '').split(' ')),
    has: (id) => ownIds.ids.has(id),
    add(id) {
        this.ids.add(id);
        this.ids = new Set([...this.ids].slice(-300));
        stored('sessionStorage', 'own', [...this.ids].join(' '));
    },
};

const WHY = {
    1001: 'the server is going away',
    1008: 'the server closed the connection: reading too slowly, or not allowed',
    1009: 'a message was too big for this server',
    1012: 'the server is restarting',
    4401: 'the token is missing, has expired or is not good here',
    4403: 'the token does not allow that',
};

const BY = { events: 'by server-sent events', polling: 'by long polling' };

const page = {
    rooms: new Map(), // name -> Room
    active: null,
    serverAnswers: false, // the last request for the room list
    messageBytesMax: Infinity, // if the server tells
    endTop: 0, // scroll position of the last automatic move to the end

    // -- reports of the engine

    report(report) {
        document.documentElement.dataset.transport = report.where;
        ui.where.textContent = report.where === 'worker' ? 'Web Worker' : 'this page';
        if (report.kind === 'rtt') {
            ui.rtt.textContent = report.ms === null ? '–' : msText(report.ms);
            return;
        }
        const room = this.rooms.get(report.room);
        if (!room) return;
        if (report.kind === 'message') {
            room.received(decode(report.data, report.digest));
            return;
        }
        if (report.kind === 'here') {
            room.here = report;
            if (room === this.active) this.showHere();
            return;
        }
        if (report.kind === 'settled') room.settled();
        else if (report.kind === 'buffered') this.buffered(room, report.bytes);
        else {
            room.lineChanged(report);
            if (room === this.active) this.hush();
            if (report.state === 'open' || (report.code !== 0 && !room.opened)) this.refreshRooms();
            this.showTabs();
        }
        if (room === this.active) this.showState();
    },

    buffered(room, bytes) {
        room.bufferedBytes = bytes;
        room.bufferedPeak = bytes === 0 ? 0 : Math.max(room.bufferedPeak, bytes);
    },

    workerFailed() {
        ui.workerSwitch.checked = false;
        this.active.insert(noteElement('the Web Worker could not start: the socket runs in this page'));
        startEngine(false);
    },

    send(room, data) {
        engine.post({ do: 'send', room: room.name, data });
    },

    isOwn: (id) => ownIds.has(id),

    /** A message was listed. `quiet` ones (own, history) are nothing new to the reader. */
    arrived(room, quiet) {
        const seen = room === this.active && !document.hidden;
        if (!quiet && !seen) {
            room.unread += 1;
            this.showTabs();
        }
        if (!quiet && room === this.active && !room.stick) room.fresh += 1;
        if (room === this.active) this.showPill();
    },

    // -- rooms

    join(name) {
        if (!this.rooms.has(name)) {
            this.rooms.set(name, new Room(name, page));
            engine.post(joining(name));
        }
        this.show(name);
    },

    leave(name) {
        engine.post({ do: 'leave', room: name });
        this.rooms.get(name).left();
        this.rooms.delete(name);
        if (this.active.name === name) this.show([...this.rooms.keys()].at(-1));
        else this.showTabs();
        this.refreshRooms();
    },

    show(name) {
        const room = this.rooms.get(name);
        if (this.active) this.active.scrollTop = ui.messages.scrollTop;
        this.active = room;
        room.unread = 0;
        this.hush();
        ui.messages.replaceChildren(room.list);
        sizes.disconnect();
        sizes.observe(room.list);
        sizes.observe(ui.messages);
        ui.input.placeholder = `Say something in ${name}`;
        history.replaceState(null, '', `${location.pathname}#room=${encodeURIComponent(name)}`); // a token goes
        stored('sessionStorage', 'rooms', [...this.rooms.keys()].join(' '));
        this.showPanel(false);
        this.showTabs();
        this.showState();
        this.showRooms();
        this.showHere();
        if (room.stick) this.toBottom();
        else ui.messages.scrollTop = room.scrollTop;
        this.showPill();
    },

    async refreshRooms() {
        clearTimeout(this.roomsTimer);
        if (!document.hidden) {
            try {
                const options = { signal: AbortSignal.timeout(5000), cache: 'no-store' };
                const answer = await (await fetch(withToken('/rooms'), options)).json();
                this.serverAnswers = true;
                const named = answer.rooms.filter((each) => isRoomName(String(each.name)));
                this.listed = named.slice(0, LISTED_ROOMS_MAX);
                this.messageBytesMax = answer.message_bytes_max ?? Infinity;
                this.showRooms();
            } catch {
                this.serverAnswers = false;
            }
            this.showState();
        }
        clearTimeout(this.roomsTimer);
        this.roomsTimer = setTimeout(() => this.refreshRooms(), ROOMS_REFRESH_MS);
    },

    showRooms() {
        const items = (this.listed ?? []).map(({ name, members, messages }) => {
            const item = make('li');
            const button = make('button');
            button.type = 'button';
            button.dataset.room = name;
            button.title = `${plural(Number(messages) || 0, 'message')} so far`;
            if (name === this.active.name) button.setAttribute('aria-current', 'true');
            button.append(make('span', 'label', name), make('span', 'count', `${Number(members) || 0} here`));
            button.onclick = () => this.join(name);
            item.append(button);
            return item;
        });
        if (items.length === 0) items.push(make('li', 'none', 'no rooms yet'));
        const focused = ui.rooms.contains(document.activeElement) ? document.activeElement.dataset.room : null;
        ui.rooms.replaceChildren(...items);
        items.map((each) => each.firstElementChild).find((each) => focused && each?.dataset.room === focused)?.focus();
    },

    showHere() {
        const { names, more } = this.active.here;
        const item = (name) => {
            const own = name === ui.name.value;
            const each = make('li', own ? 'own' : '');
            each.append(make('span', 'label', name));
            each.title = name;
            if (!own) each.dataset.dye = dyeOf(name);
            return each;
        };
        const items = names.map(item).sort((a, b) => b.classList.contains('own') - a.classList.contains('own'));
        if (more > 0) items.push(make('li', 'none', `and ${more.toLocaleString()} more`));
        if (items.length === 0) items.push(make('li', 'none', 'nobody yet'));
        ui.here.replaceChildren(...items);
        ui.hereRoom.textContent = this.active.name;
        ui.hereCount.textContent = `${(names.length + more).toLocaleString()} here`;
    },

    showTabs() {
        const focused = ui.tabs.contains(document.activeElement) ? document.activeElement.dataset.key : null;
        ui.tabs.replaceChildren(...[...this.rooms.values()].map((room) => this.tabElement(room)));
        const buttons = [...ui.tabs.querySelectorAll('button')];
        buttons.find((each) => focused && each.dataset.key === focused)?.focus();
        const unread = [...this.rooms.values()].reduce((sum, room) => sum + room.unread, 0);
        document.title = `${unread > 0 ? `(${unread}) ` : ''}${this.active.name} · weft`;
        ui.menuBadge.hidden = unread === 0;
        ui.menuBadge.textContent = unread;
    },

    tabElement(room) {
        const item = make('li', room === this.active ? 'active' : '');
        Object.assign(item.dataset, { room: room.name, state: room.line.state, unread: room.unread });
        const open = make('button', 'open-tab');
        open.type = 'button';
        open.dataset.key = `open ${room.name}`;
        open.onclick = () => this.show(room.name);
        open.append(make('span', 'label', room.name));
        if (room === this.active) open.setAttribute('aria-current', 'page');
        if (room.unread > 0) {
            const badge = make('span', 'badge', room.unread);
            badge.setAttribute('aria-label', plural(room.unread, 'unread message'));
            open.append(badge);
        }
        item.append(open);
        if (this.rooms.size > 1) {
            const leave = make('button', 'leave', '×');
            leave.type = 'button';
            leave.dataset.key = `leave ${room.name}`;
            leave.setAttribute('aria-label', `Leave ${room.name}`);
            leave.onclick = () => this.leave(room.name);
            item.append(leave);
        }
        return item;
    },

    // -- what is shown of the active room

    showState() {
        const { state, code, retryAt, transport } = this.active.line;
        const seconds = Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
        const waiting = state === 'reconnecting' || state === 'offline';
        const refused = code === 1006 && !this.active.opened && this.serverAnswers;
        const why = refused ? 'the server refuses this room; is a token missing?' : (WHY[code] ?? '');
        const how = state === 'open' && transport in BY ? `${BY[transport]}: WebSockets do not get through` : '';
        const parts = [state === 'reconnecting' ? `in ${seconds} s` : '', waiting ? why : '', how];
        document.documentElement.dataset.state = state;
        document.documentElement.dataset.line = transport;
        if (ui.state.textContent !== state) ui.state.textContent = state;
        ui.detail.textContent = parts.filter(Boolean).join(' · ');
        ui.reconnect.hidden = !waiting;
        const { bufferedBytes, bufferedPeak } = this.active;
        ui.upload.hidden = bufferedBytes === 0;
        ui.uploadBar.max = bufferedPeak || 1;
        ui.uploadBar.value = bufferedPeak - bufferedBytes;
        ui.uploadText.textContent = `${bytesText(bufferedBytes)} still to send`;
    },

    /** A whole room or its history, coming at once, is not to be read out as news. */
    hush() {
        clearTimeout(this.hushTimer);
        ui.messages.setAttribute('aria-live', 'off');
        this.hushTimer = setTimeout(() => ui.messages.setAttribute('aria-live', 'polite'), HUSH_MS);
    },

    showPill() {
        if (this.active.stick) this.active.fresh = 0;
        ui.messages.classList.toggle('stuck', this.active.stick);
        ui.pill.hidden = this.active.fresh === 0;
        ui.pill.textContent = `${plural(this.active.fresh, 'new message')} ↓`;
    },

    toBottom() {
        this.active.stick = true;
        ui.messages.scrollTop = ui.messages.scrollHeight;
        this.endTop = ui.messages.scrollTop;
        this.showPill();
    },

    showPanel(shown) {
        ui.panel.classList.toggle('shown', shown);
        ui.menu.setAttribute('aria-expanded', String(shown));
        if (shown) ui.panelClose.focus();
        else if (ui.panel.contains(document.activeElement) && narrow.matches) ui.menu.focus();
    },
};

const narrow = matchMedia('(max-width: 44rem)');
const sizes = new ResizeObserver(() => page.active.stick && page.toBottom());

// --- writing -------------------------------------------------------------------------------------------------

/** The frame of a text, or null when there is nothing to send or too much. */
function composed() {
    const text = ui.input.value;
    const limit = Math.min(TEXT_BYTES_MAX, page.messageBytesMax);
    const name = cleanName(ui.name.value) || 'someone';
    const message = { type: 'chat', id: randomId(), name, text, ts: Date.now() };
    const data = text.length > limit ? '' : JSON.stringify(message);
    const bytes = text.length > limit ? text.length : encoder.encode(data).length;
    ui.counter.hidden = bytes < limit / 2;
    ui.counter.textContent = `${bytes.toLocaleString()} of ${limit.toLocaleString()} bytes`;
    ui.counter.classList.toggle('over', bytes > limit);
    const ready = text.trim() !== '' && bytes <= limit;
    ui.send.disabled = !ready;
    ui.input.style.height = 'auto';
    ui.input.style.height = `${ui.input.scrollHeight}px`;
    return ready ? { message, data } : null;
}

function sendText() {
    const ready = composed();
    if (!ready) return;
    const { message, data } = ready;
    ownIds.add(message.id);
    page.active.say({ ...message, kind: 'text', key: `i:${message.id}` }, data);
    page.toBottom();
    ui.input.value = '';
    composed();
}

/** Each file is one binary message, and nothing more. */
async function sendFiles(files) {
    const room = page.active;
    for (const file of files) {
        if (file.size > Math.min(FILE_BYTES_MAX, page.messageBytesMax)) {
            room.insert(noteElement(`${file.name} is too big to send: ${bytesText(file.size)}`));
            continue;
        }
        try {
            const data = await file.arrayBuffer();
            const name = cleanName(ui.name.value) || 'someone';
            const message = { kind: 'binary', id: null, key: `b:${digest(data)}`, name, ts: Date.now(), data };
            room.say({ ...message, fileName: file.name }, new Blob([data]));
        } catch {
            room.insert(noteElement(`${file.name} could not be read`));
        }
    }
    page.toBottom();
}

function randomName() {
    const pick = (words) => words.split(' ')[crypto.getRandomValues(new Uint8Array(1))[0] % 8];
    const dye = pick('Linen Indigo Madder Saffron Walnut Velvet Copper Amber');
    return `${dye} ${pick('Heron Otter Wren Hare Lynx Finch Moth Badger')}`;
}

// --- events --------------------------------------------------------------------------------------------------

ui.composer.onsubmit = (event) => {
    event.preventDefault();
    sendText();
};
ui.input.oninput = composed;
ui.input.onkeydown = (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    sendText();
};
ui.input.onpaste = (event) => {
    if (event.clipboardData.files.length === 0) return;
    event.preventDefault();
    sendFiles([...event.clipboardData.files]);
};
ui.attach.onclick = () => ui.file.click();
ui.file.onchange = () => {
    sendFiles([...ui.file.files]);
    ui.file.value = '';
};

const hasFiles = (event) => event.dataTransfer?.types.includes('Files');
addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    ui.drop.hidden = false;
});
addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) ui.drop.hidden = true;
});
addEventListener('drop', (event) => {
    ui.drop.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    sendFiles([...event.dataTransfer.files]);
});

ui.name.onchange = () => {
    ui.name.value = cleanName(ui.name.value) || randomName();
    stored('localStorage', 'name', ui.name.value);
    engine.post({ do: 'name', as: ui.name.value });
    page.showHere();
};
ui.joinForm.onsubmit = (event) => {
    event.preventDefault();
    const name = ui.roomInput.value.trim();
    const valid = isRoomName(name);
    ui.roomError.hidden = valid;
    ui.roomError.textContent = valid ? '' : 'Letters, digits and _ = @ , . ; - only, no spaces.';
    ui.roomInput.setAttribute('aria-invalid', String(!valid));
    if (!valid) return;
    ui.roomInput.value = '';
    page.join(name);
    ui.input.focus();
};
ui.workerSwitch.onchange = () => {
    stored('localStorage', 'worker', ui.workerSwitch.checked ? 'yes' : 'no');
    startEngine(ui.workerSwitch.checked);
};
ui.reconnect.onclick = () => engine.post({ do: 'retry', room: page.active.name });
ui.pill.onclick = () => page.toBottom();
ui.menu.onclick = () => page.showPanel(true);
ui.hereCount.onclick = () => {
    page.showPanel(true);
    ui.here.focus();
};
ui.panelClose.onclick = () => page.showPanel(false);
ui.messages.onscroll = () => {
    // Messages may have come since the page scrolled to the end: only a move upwards is the reader's.
    const { scrollTop, scrollHeight, clientHeight } = ui.messages;
    const atEnd = scrollHeight - scrollTop - clientHeight < END_PX;
    page.active.stick = atEnd || (page.active.stick && scrollTop > page.endTop - END_PX);
    page.showPill();
};
ui.copyLink.hidden = !navigator.clipboard;
ui.copyLink.onclick = async () => {
    await navigator.clipboard.writeText(location.href);
    ui.copyLink.textContent = 'Copied';
    setTimeout(() => (ui.copyLink.textContent = 'Copy link'), 1500);
};
document.onkeydown = (event) => {
    if (event.key === 'Escape') page.showPanel(false);
};
document.onpointerdown = (event) => {
    const inPanel = ui.panel.contains(event.target) || ui.menu.contains(event.target);
    if (narrow.matches && !inPanel) page.showPanel(false);
};
document.onvisibilitychange = () => {
    engine.post({ do: 'visible', value: !document.hidden });
    if (document.hidden) return;
    page.active.unread = 0;
    page.showTabs();
    page.refreshRooms();
};
addEventListener('online', () => engine.post({ do: 'online', value: true }));
addEventListener('offline', () => engine.post({ do: 'online', value: false }));
addEventListener('hashchange', () => {
    const name = hashOf().get('room') ?? '';
    if (isRoomName(name)) page.join(name);
});
setInterval(() => page.active.line.state === 'reconnecting' && page.showState(), 250);

// --- start ---------------------------------------------------------------------------------------------------

stored('sessionStorage', 'token', token);
ui.name.value = stored('localStorage', 'name') || randomName();
stored('localStorage', 'name', ui.name.value);
ui.workerSwitch.checked = stored('localStorage', 'worker') === 'yes';
const linked = hashOf().get('room') ?? '';
const first = isRoomName(linked) ? linked : 'lobby';
const before = (stored('sessionStorage', 'rooms') ?? '').split(' ').filter(isRoomName);
for (const name of new Set([...before, first])) page.rooms.set(name, new Room(name, page));
page.show(first);
startEngine(ui.workerSwitch.checked);
page.refreshRooms();
ui.input.focus({ preventScroll: true });

// The console. Figures, lists and the debug stream come over one WebSocket; what is done goes by the admin API. The
// secret stays in this tab's session storage. Whatever comes from peers is put into the page as text, never as markup.

const KEPT = 'weft.console.secret';
const ROOMS = ':rooms';
const LINES = 500;
const POINTS = 60;

const $ = (id) => document.getElementById(id);
let secret = sessionStorage.getItem(KEPT) ?? '';
let socket = null;
let retry_ms = 500;
let app = '';
let page = '0';
let paused = false;
let missed = 0;
let skipped = 0;
let asked = 0; // for another stream of events: what comes before the answer is of the last one

/** An element with properties and children; strings become text. */
function el(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    const { data, ...others } = properties;
    Object.assign(node, others);
    Object.assign(node.dataset, data ?? {});
    node.append(...children.filter((each) => each !== null && each !== undefined && each !== ''));
    return node;
}

const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const number = (value) => value.toLocaleString('en');

function bytes(value) {
    for (const unit of ['B', 'KB', 'MB', 'GB']) {
        if (value < 1000 || unit === 'GB') return `${value < 10 && unit !== 'B' ? value.toFixed(1) : Math.round(value)} ${unit}`;
        value /= 1000;
    }
    return '';
}

const time_us = (us) => us === 0 ? '–' : us < 1000 ? `${us} µs` : us < 1e6 ? `${(us / 1000).toFixed(us < 1e4 ? 1 : 0)} ms` : `${(us / 1e6).toFixed(1)} s`;

// ---- the line to the server ----

function state(word, text) {
    $('state').dataset.state = word;
    put($('state'), text);
}

function connect() {
    const url = new URL('admin/stream', location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    url.search = url.hash = '';
    const line = socket = new WebSocket(url);
    line.onopen = () => line.send(JSON.stringify({ secret }));
    line.onmessage = ({ data }) => line === socket && heard(JSON.parse(data));
    line.onclose = ({ code }) => {
        if (line !== socket) return;
        socket = null;
        if (code === 4401) return sign_out('This is not the secret.');
        if (code === 4429) return sign_out('Too many wrong secrets: wait a second.');
        state('closed', 'reconnecting');
        setTimeout(() => secret && !socket && connect(), retry_ms);
        retry_ms = Math.min(retry_ms * 2, 8000);
    };
}

const say = (what) => socket?.readyState === 1 && socket.send(JSON.stringify(what));

function heard(message) {
    if (message.welcome) {
        retry_ms = 500;
        sessionStorage.setItem(KEPT, secret);
        $('login').hidden = true;
        $('console').hidden = $('leave').hidden = false;
        state('open', `weft ${message.welcome}`);
        look();
        asked = 0;
        watch();
    } else if (message.live) {
        show_live(message.live);
    } else if (message.connections) {
        show_connections(message);
    } else if (message.watching) {
        asked--;
        note();
    } else if (message.debug) {
        say({ got: 1 });
        if (!asked) show_debug(message);
    }
}

function sign_out(problem = '') {
    sessionStorage.removeItem(KEPT);
    secret = '';
    const line = socket;
    socket = null;
    line?.close();
    for (const each of ['debug', 'connections', 'channels']) $(each).replaceChildren();
    $('console').hidden = $('leave').hidden = true;
    $('login').hidden = false;
    put($('login-problem'), problem);
    state('closed', 'not signed in');
    $('secret').focus();
}

async function api(method, path, body) {
    const answer = await fetch(new URL(`admin/${path}`, location.href), {
        method, body, headers: { Authorization: `Bearer ${secret}` }, cache: 'no-store',
    });
    if (answer.ok) return;
    const text = await answer.text();
    let problem = text;
    try { problem = JSON.parse(text).error; } catch { /* it is words */ }
    throw new Error(problem);
}

// ---- figures ----

const tiles = [
    { title: 'Connections', of: (s) => s.websockets + s.streams, note: (s) => `${number(s.connections)} sockets` },
    { title: 'Messages in', rate: (s) => s.messages_in, unit: '/s' },
    { title: 'Messages out', rate: (s) => s.messages_out, unit: '/s' },
    { title: 'Sent', rate: (s) => s.bytes_out, show: bytes, unit: '/s' },
    { title: 'Memory', of: (s) => s.memory_bytes, show: bytes },
    { title: 'Longest turn', of: (s) => s.loop_lag_us, show: time_us },
    { title: 'Dropped', of: (s) => s.queue_drops + s.shed_connections, alarm: true },
];

function svg(tag, attributes, ...children) {
    const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
}

for (const tile of tiles) {
    tile.past = [];
    tile.value = el('p', { data: { testid: tile.title.toLowerCase().replaceAll(' ', '-') } });
    tile.line = svg('polyline', {});
    tile.area = svg('polygon', {});
    const chart = svg('svg', { viewBox: `0 0 ${POINTS - 1} 20`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, tile.area, tile.line);
    tile.node = el('div', { className: 'tile' }, el('h3', {}, tile.title), tile.value, chart);
    $('tiles').append(tile.node);
}

let before = null;

function show_stats(stats) {
    const now = performance.now();
    const seconds = before ? (now - before.now) / 1000 : 0;
    for (const tile of tiles) {
        const change = before && tile.rate ? (tile.rate(stats) - tile.rate(before.stats)) / seconds : 0;
        const value = tile.rate ? Math.max(0, change) : tile.of(stats);
        tile.past = [...tile.past, value].slice(-POINTS);
        const note = tile.unit ?? tile.note?.(stats) ?? '';
        tile.value.replaceChildren((tile.show ?? ((each) => number(Math.round(each))))(value), ' ', el('small', {}, note));
        tile.node.classList.toggle('alarm', Boolean(tile.alarm && value > 0));
        const most = Math.max(...tile.past, 1);
        const from = POINTS - tile.past.length;
        const points = tile.past.map((each, i) => `${from + i},${(19 - 16 * each / most).toFixed(2)}`);
        tile.line.setAttribute('points', points.join(' '));
        tile.area.setAttribute('points', [`${from},20`, ...points, `${POINTS - 1},20`].join(' '));
    }
    before = { now, stats };
}

// ---- lists ----

/** Makes the children of `parent` those of `items`, and keeps the elements, and so the focus, of those that stay. */
function sync(parent, items, key, make, update) {
    const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
    let at = parent.firstElementChild;
    for (const item of items) {
        const name = key(item);
        let node = old.get(name);
        if (!node) {
            node = make(item);
            node.dataset.key = name;
        }
        old.delete(name);
        update(node, item);
        if (node === at) at = at.nextElementSibling;
        else parent.insertBefore(node, at);
    }
    for (const node of old.values()) node.remove();
}

function look() {
    say({ view: { app, prefix: $('prefix').value.trim(), connections: true, after: page } });
}

function choose(id) {
    app = id;
    const rooms = id === ROOMS;
    put($('channels-title'), rooms ? 'Rooms' : 'Channels');
    put($('channels-third'), rooms ? 'Messages' : 'Users');
    $('publish-event-field').hidden = rooms;
    $('filter-channel').value = $('filter-who').value = $('publish-channel').value = '';
    check();
    look();
    watch();
}

/** Where somebody is; one of the WebSockets is this page's own. */
function first_app(apps, stats) {
    const busy = apps.find((each) => each.connections > 0);
    return busy?.id ?? (stats.websockets > 1 || apps.length === 0 ? ROOMS : apps[0].id);
}

function show_apps(apps, stats) {
    const items = [...apps.map(({ id, name }) => ({ id, text: `${name} (${id})` })), { id: ROOMS, text: 'Plain rooms' }];
    sync($('app'), items, (each) => each.id, () => el('option'), (node, each) => {
        node.value = each.id;
        put(node, each.text);
    });
    if (!items.some((each) => each.id === app)) {
        $('app').value = first_app(apps, stats);
        choose($('app').value);
    }
    const now = apps.find((each) => each.id === app);
    put($('app-facts'), now ? `${number(now.connections)} connections, ${number(now.channels)} channels${now.enabled ? '' : ', disabled'}; key ${now.keys.join(', ')}`
        : 'Rooms of the chat page and of plain WebSockets');
}

function show_live(live) {
    show_stats(live.stats);
    show_apps(live.apps, live.stats);
    const rows = live.channels ?? live.rooms ?? [];
    if (live.app !== app) return;
    const make = ({ name }) => el('tr', {},
        el('td', {}, el('button', { type: 'button', className: 'link', onclick: () => pick(name), title: 'Watch this one' }, name)),
        el('td', { className: 'number' }), el('td', { className: 'number' }));
    sync($('channels'), rows, (each) => each.name, make, (node, each) => {
        put(node.cells[1], number(each.subscriptions ?? each.members));
        put(node.cells[2], each.users === undefined && each.messages === undefined ? '' : number(each.users ?? each.messages));
        node.setAttribute('aria-current', String($('filter-channel').value === each.name));
    });
    put($('channels-note'), live.more ? 'These are the fullest 100; there are more.' : rows.length === 0 ? 'Nobody is in any.' : '');
}

function pick(channel) {
    $('filter-channel').value = $('publish-channel').value = channel;
    watch();
}

/** Asks once more before it does it; what goes wrong is told in `place`. */
function careful(text, act, place) {
    const button = el('button', { type: 'button' }, text);
    let timer = 0;
    const calm = () => { button.classList.remove('sure'); put(button, text); timer = 0; };
    button.onclick = () => {
        if (!timer) {
            button.classList.add('sure');
            put(button, 'Really?');
            timer = setTimeout(calm, 3000);
            return;
        }
        clearTimeout(timer);
        calm();
        act().catch((problem) => put($(place), problem.message));
    };
    return button;
}

/** A client is closed by its socket id: behind it may be a session that outlives its stream. */
function send_away({ app: its, who, id }) {
    return api('DELETE', its && its !== ROOMS ? `apps/${encodeURIComponent(its)}/clients/${encodeURIComponent(who)}` : `connections/${id}`);
}

function show_connections({ connections, next }) {
    const make = (each) => el('tr', {},
        el('td', {}, each.who ? el('button', { type: 'button', className: 'link mono', title: 'Watch this one', onclick: () => follow(each) }, each.who) : each.peer,
            el('small', {}, [each.who === each.peer ? '' : each.who ? each.peer : '', each.user ? `user ${each.user}` : ''].filter(Boolean).join(', '))),
        el('td'), el('td', { className: 'number', data: { label: 'Queue' } }), el('td', { className: 'number', data: { label: 'Round trip' } }),
        el('td', { className: 'acts' }, careful('Disconnect', () => send_away(each), 'connections-note')));
    sync($('connections'), connections, (each) => each.id, make, (node, each) => {
        put(node.cells[1], each.room ? `room ${each.room}` : each.app ? `app ${each.app}, ${each.channels} channels` : each.route);
        put(node.cells[2], bytes(each.queue_bytes));
        put(node.cells[3], each.stream ? 'stream' : time_us(each.rtt_us));
    });
    $('next-page').hidden = !next;
    $('first-page').hidden = page === '0';
    $('next-page').onclick = () => { page = next; look(); };
}

function follow({ app: its, who }) {
    if (its !== app) {
        $('app').value = its;
        choose(its);
    }
    $('filter-channel').value = '';
    $('filter-who').value = who;
    watch();
}

// ---- what happens ----

/** Of one that is watched: those who poll are in no list. */
const away = careful('Disconnect', () => send_away({ app, who: $('filter-who').value.trim() }), 'debug-note');
away.hidden = true;
$('filter').append(away);

function watch() {
    missed = skipped = 0;
    $('debug').replaceChildren();
    const [channel, who] = [$('filter-channel').value.trim(), $('filter-who').value.trim()];
    say({ debug: app ? { app, channel, who } : null });
    away.hidden = app === ROOMS || !/^\d+\.\d+$/.test(who);
    asked++;
    note();
}

function note() {
    const lost = missed ? `${number(missed)} events came too fast and are not here. ` : '';
    put($('debug-note'), paused ? `${lost}Paused; ${number(skipped)} passed by.` : lost || (asked || $('debug').children.length ? '' : 'Nothing yet.'));
}

/** JSON within JSON is shown once, indented where it is long. */
function readable(text) {
    try {
        let value = JSON.parse(text);
        if (typeof value === 'string') {
            try { value = JSON.parse(value); } catch { return value; }
        }
        const short = JSON.stringify(value);
        return short.length > 100 ? JSON.stringify(value, null, 2) : short;
    } catch {
        return text;
    }
}

function show_line(line) {
    const at = new Date(line.at);
    const data = line.binary === undefined ? line.data && readable(line.data) : `${number(line.binary)} bytes`;
    return el('li', { className: 'new' },
        el('time', { dateTime: at.toISOString() }, at.toTimeString().slice(0, 8)),
        el('span', { className: 'what', data: { what: line.what } }, line.what.replaceAll('_', ' ')),
        el('p', {},
            line.channel && el('button', { type: 'button', className: 'link', onclick: () => pick(line.channel) }, line.channel),
            line.name && el('b', {}, line.name),
            line.who && el('button', { type: 'button', className: 'link', onclick: () => follow(line) }, line.who)),
        data && el('code', {}, data + (line.cut ? ` … (${bytes(line.cut)})` : '')));
}

function show_debug({ debug, missed: lost }) {
    missed += lost;
    if (paused) skipped += debug.length;
    else $('debug').prepend(...debug.slice(-LINES).reverse().map(show_line));
    while ($('debug').children.length > LINES) $('debug').lastElementChild.remove();
    note();
}

// ---- publishing ----

/** What is wrong with the data as JSON; '' when nothing is. */
function json_problem(text) {
    try {
        JSON.parse(text);
        return '';
    } catch (problem) {
        return problem.message;
    }
}

function check() {
    const problem = app === ROOMS ? '' : json_problem($('publish-data').value);
    $('publish-check').className = `hint ${problem ? 'bad' : 'good'}`;
    put($('publish-check'), app === ROOMS ? '' : problem ? `Not JSON, goes as plain text: ${problem}` : 'Valid JSON');
}

async function publish() {
    const [channel, name, data] = [$('publish-channel').value.trim(), $('publish-event').value.trim(), $('publish-data').value];
    if (app === ROOMS) return api('POST', `rooms/${encodeURIComponent(channel)}`, data);
    const raw = json_problem(data) ? JSON.stringify(data) : data.trim(); // as it stands, to the last digit
    return api('POST', `apps/${encodeURIComponent(app)}/events`, `${JSON.stringify({ channel, name }).slice(0, -1)},"data":${raw}}`);
}

$('publish').onsubmit = (event) => {
    event.preventDefault();
    const tell = (word, text) => { $('publish-note').className = word; put($('publish-note'), text); };
    publish().then(() => tell('good', `Published at ${new Date().toTimeString().slice(0, 8)}`), (problem) => tell('bad', problem.message));
};

// ---- the rest of the controls ----

$('login').querySelector('form').onsubmit = (event) => {
    event.preventDefault();
    secret = $('secret').value;
    $('secret').value = '';
    put($('login-problem'), '');
    connect();
};

$('leave').onclick = () => sign_out();
$('app').onchange = () => choose($('app').value);
$('prefix').oninput = look;
$('publish-data').oninput = check;
$('first-page').onclick = () => { page = '0'; look(); };
$('filter').onsubmit = (event) => { event.preventDefault(); watch(); };
$('clear').onclick = () => { $('debug').replaceChildren(); missed = skipped = 0; note(); };

$('pause').onclick = () => {
    paused = !paused;
    skipped = 0;
    $('pause').setAttribute('aria-pressed', String(paused));
    put($('pause'), paused ? 'Go on' : 'Pause');
    note();
};

check();
if (secret) connect();
else $('secret').focus();

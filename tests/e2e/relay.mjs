// Carries plain connections to a server by TLS, or by streams of HTTP/2, so that clients that know neither can be used
// on both: the conformance suite. Node's own tls and http2, so what is tested is judged by somebody else's.
//
//   relay.mjs tls|h2|h2tls PORT     prints the port that it listens on

import { createHash } from 'node:crypto';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';

const [mode, port] = [process.argv[2], Number(process.argv[3])];
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const OURS = ['host', 'upgrade', 'connection', 'sec-websocket-key'];
const STREAMS = 60; // of one connection, before another is made

/** Both directions; an end is passed on, and so is a break. */
function join(a, b) {
    for (const [from, to] of [[a, b], [b, a]]) {
        from.on('error', () => to.destroy());
        from.on('close', () => { if (!from.readableEnded) to.destroy(); });
        from.pipe(to);
    }
}

let connection, streams = 0;

function connect() {
    if (connection && !connection.destroyed && !connection.closed && streams < STREAMS) return connection;
    streams = 0;
    connection = http2.connect(`${mode === 'h2' ? 'http' : 'https'}://127.0.0.1:${port}`, { rejectUnauthorized: false });
    connection.on('error', () => {}).setMaxListeners(0);
    return connection;
}

/** A request of HTTP/1.1 becomes an extended CONNECT, and its answer a 101. */
function byStream(peer) {
    let text = Buffer.alloc(0);
    peer.on('error', () => {});
    peer.on('data', function read(data) {
        text = Buffer.concat([text, data]);
        const end = text.indexOf('\r\n\r\n');
        if (end < 0) return;
        peer.off('data', read);
        peer.pause();
        const [request, ...lines] = text.subarray(0, end).toString('latin1').split('\r\n');
        const fields = lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(),
            line.slice(line.indexOf(':') + 1).trim()]);
        const key = fields.find(([name]) => name === 'sec-websocket-key')?.[1] ?? '';
        const headers = { ':method': 'CONNECT', ':protocol': 'websocket', ':path': request.split(' ')[1] };
        for (const [name, value] of fields)
            if (!OURS.includes(name)) headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
        const to = connect();
        streams++;
        const start = () => {
            const stream = to.request(headers);
            stream.on('error', () => peer.destroy());
            stream.on('response', (answer) => {
                const accept = createHash('sha1').update(key + GUID).digest('base64');
                const more = Object.entries(answer).filter(([name]) => !name.startsWith(':'));
                peer.write(`HTTP/1.1 ${answer[':status'] === 200 ? 101 : answer[':status']} x\r\n`
                    + `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n`
                    + more.map(([name, value]) => `${name}: ${value}\r\n`).join('') + '\r\n');
                peer.unshift(text.subarray(end + 4));
                join(peer, stream);
            });
        };
        if (to.remoteSettings?.enableConnectProtocol) start();
        else to.once('remoteSettings', start);
    });
}

const byTls = (peer) => join(peer, tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, allowHalfOpen: true }));

const server = net.createServer({ allowHalfOpen: true, noDelay: true }, mode === 'tls' ? byTls : byStream);
server.listen(0, '127.0.0.1', 1000, () => console.log(server.address().port));

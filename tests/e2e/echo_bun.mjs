// Servers of Bun for servers.py: with and without TLS and compression. What each says: see there.
//
//   bun echo_bun.mjs CERTIFICATE KEY     prints the ports as JSON

/* global Bun */
const [cert, key] = process.argv.slice(2, 4).map((file) => Bun.file(file));
const ports = {};
const closes = new Set();

for (const secure of [false, true]) {
    for (const deflate of [false, true]) {
        const server = Bun.serve({
            hostname: '127.0.0.1',
            port: 0,
            tls: secure ? { cert, key } : undefined,
            fetch(request, server) {
                const offered = (request.headers.get('sec-websocket-protocol') ?? '').split(/, */);
                const headers = offered.includes('chat') ? { 'Sec-WebSocket-Protocol': 'chat' } : {};
                if (server.upgrade(request, { headers })) return undefined;
                return new Response('only WebSocket', { status: 426 });
            },
            websocket: {
                perMessageDeflate: deflate,
                maxPayloadLength: 1 << 24,
                message(socket, data) {
                    const [word, code, reason] = typeof data !== 'string' || data.length > 100 ? [] : data.split(' ');
                    if (word === 'close') socket.close(Number(code), reason);
                    else if (word === 'heard?') socket.send(`${closes.has(`${code} ${reason}`)}`);
                    else socket.send(data, deflate);
                },
                close(_, code, reason) { closes.add(`${code} ${reason}`); },
            },
        });
        ports[`${secure ? 'TLS' : 'plain'}${deflate ? ', compressed' : ''}`] = server.port;
    }
}
console.log(JSON.stringify(ports));
process.stdin.resume().on('end', () => process.exit());

// Bun's own server. server.js PORT off|takeover|no-takeover
const [port, deflate] = process.argv.slice(2);
const ROOM = "room";

// A dedicated compressor keeps its context, a shared one cannot.
const kind = {takeover: "dedicated", "no-takeover": "shared"}[deflate];
const compressed = kind !== undefined;

Bun.serve({
    hostname: "127.0.0.1",
    port: Number(port),
    fetch(request, server) {
        if (server.upgrade(request, {data: {inRoom: request.url.endsWith("/room")}})) return undefined;
        return new Response("WebSocket only", {status: 426});
    },
    websocket: {
        perMessageDeflate: compressed ? {compress: kind, decompress: kind} : false,
        maxPayloadLength: 16 * 1024 * 1024,
        backpressureLimit: 1024 * 1024 * 1024,
        closeOnBackpressureLimit: false,
        idleTimeout: 960,
        sendPings: false,
        open(ws) {
            if (ws.data.inRoom) ws.subscribe(ROOM);
        },
        message(ws, message) {
            if (ws.data.inRoom) ws.publish(ROOM, message, compressed);
            else ws.send(message, compressed);
        },
    },
});

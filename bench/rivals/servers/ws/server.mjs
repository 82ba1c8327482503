// ws on Node.js, with bufferutil and utf-8-validate as its documentation advises.
// server.mjs PORT off|takeover|no-takeover
import {WebSocket, WebSocketServer} from "ws";

const [port, deflate] = process.argv.slice(2);
const room = new Set();

const perMessageDeflate = deflate !== "off" && {
    threshold: 0,
    zlibDeflateOptions: {level: 1},
    serverNoContextTakeover: deflate === "no-takeover",
    clientNoContextTakeover: deflate === "no-takeover",
};

const server = new WebSocketServer({
    host: "127.0.0.1",
    port: Number(port),
    backlog: 4096,
    clientTracking: false,
    maxPayload: 16 * 1024 * 1024,
    perMessageDeflate,
});

server.on("connection", (ws, request) => {
    ws.on("error", () => {});
    if (request.url === "/room") {
        room.add(ws);
        ws.on("close", () => room.delete(ws));
        ws.on("message", (data, isBinary) => {
            for (const member of room)
                if (member !== ws && member.readyState === WebSocket.OPEN) member.send(data, {binary: isBinary});
        });
    } else {
        ws.on("message", (data, isBinary) => ws.send(data, {binary: isBinary}));
    }
});

// Runs the sockets of the chat page off its main thread: a page busy drawing never delays a read, and
// received bytes are handed over without being copied. All the work is done by socket.js.

import { Hub } from './socket.js';

const CLOSING_MS = 1000; // time for the closing handshakes before the worker ends

const hub = new Hub((report, transfer) => self.postMessage(report, transfer));

self.onmessage = (event) => {
    hub.handle(event.data);
    if (event.data.do === 'stop') setTimeout(() => self.close(), CLOSING_MS);
};

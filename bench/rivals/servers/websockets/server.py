#!/usr/bin/python3
"""Python's websockets. server.py PORT off|takeover|no-takeover"""

import asyncio
import sys

import websockets
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

room = set()


async def serve(ws):
    if ws.path != "/room":
        async for message in ws:
            await ws.send(message)
        return
    room.add(ws)
    try:
        async for message in ws:
            websockets.broadcast(room - {ws}, message)
    finally:
        room.discard(ws)


async def main(port, deflate):
    without = deflate == "no-takeover"
    extension = ServerPerMessageDeflateFactory(server_no_context_takeover=without, client_no_context_takeover=without,
                                               compress_settings={"level": 1})
    async with websockets.serve(serve, "127.0.0.1", int(port), backlog=4096, compression=None,
                                extensions=[] if deflate == "off" else [extension], max_size=1 << 24,
                                ping_interval=None):
        await asyncio.Future()


asyncio.run(main(*sys.argv[1:]))

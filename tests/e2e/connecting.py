"""What the tests of weft connect share: weft serve to talk to, and servers of the library websockets for Python."""

import asyncio
import contextlib
import subprocess
import threading
import unittest

import websockets

from weft import PATIENCE_S, Weft, program


@contextlib.contextmanager
def serving(handler, **options):
    """A server nobody here wrote, on a thread; gives its URL."""
    loop, ready, url = asyncio.new_event_loop(), threading.Event(), []

    async def serve():
        done = asyncio.Event()
        async with websockets.serve(handler, '127.0.0.1', 0, **options) as server:
            url.append(f'ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/')
            ready.stop = lambda: loop.call_soon_threadsafe(done.set)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()], daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield url[0]
    finally:
        ready.stop()
        thread.join(PATIENCE_S)
        loop.close()


def says(*messages, code=1000, reason=''):
    async def handler(socket, path=None):
        for message in messages:
            await socket.send(message)
        await socket.close(code, reason)
    return handler


async def silent(socket, path=None):
    await socket.wait_closed()


def start_server():
    """For setUpModule: one server for all tests of a file."""
    Case.server = unittest.enterModuleContext(Weft())
    Case.echo = Case.server.ws + '/echo'


class Case(unittest.TestCase):
    def connect(self, url, *flags, feed=b'', **how):
        done = subprocess.run([program(), 'connect', url, *flags], input=feed, capture_output=True, timeout=PATIENCE_S, **how)
        return done.returncode, done.stdout, done.stderr.decode()

    def start(self, url, *flags, **how):
        return self.enterContext(subprocess.Popen([program(), 'connect', url, *flags], stdin=subprocess.PIPE,
                                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how))

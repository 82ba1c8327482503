#!/usr/bin/python3
"""How much load a processor's second of the load generator makes: weft bench, node's ws and python's websockets,
against the same weft serve. Each round runs them in turn; the median is printed.

    compare.py [--weft build/weft] [--rounds 3] [--seconds 3] [--backend epoll]

Exit code 1 when weft bench does not make as many times the load of node's ws as --least says, in any shape.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SHAPES = ((10, 1), (100, 1), (10, 16))


def with_weft(options, url, connections, inflight):
    told = subprocess.run([options.weft, 'bench', url, '-c', str(connections), '-r', '0', '-i', str(inflight), '-t',
                           '1',
                           '-d', f'{options.seconds}s', '--warmup', '500ms', '--json'],
                          capture_output=True, timeout=options.seconds + 20).stdout
    told = json.loads(told)
    if told['errors']['total']:
        sys.exit(f'compare: errors: {told["errors"]}')
    return told['totals']['done'], told['totals']['seconds'], told['client']['cpu_s']


def with_script(*command):
    def run(options, url, connections, inflight):
        told = json.loads(subprocess.run([*command, url, str(connections), str(inflight), str(options.seconds)],
                                         capture_output=True, timeout=options.seconds + 20).stdout)
        return told['messages'], told['seconds'], told['cpu_s']
    return run


async def python_client(url, connections, inflight, seconds):
    """This file as a client of its own: compare.py --client URL CONNECTIONS INFLIGHT SECONDS."""
    import websockets
    count, payload = [0], 'x' * 64

    async def talk(socket):
        for _ in range(inflight):
            await socket.send(payload)
        while True:
            if len(await socket.recv()) != 64:
                sys.exit('not what was sent')
            count[0] += 1
            await socket.send(payload)

    sockets = [await websockets.connect(url, compression=None) for _ in range(connections)]
    tasks = [asyncio.create_task(talk(socket)) for socket in sockets]
    await asyncio.sleep(0.5)
    cpu, at, before = time.process_time(), time.monotonic(), count[0]
    await asyncio.sleep(seconds)
    print(json.dumps({'messages': count[0] - before, 'seconds': time.monotonic() - at,
                      'cpu_s': time.process_time() - cpu}),
          flush=True)
    del tasks
    os._exit(0)


CLIENTS = {'weft bench': with_weft,
           'node ws': with_script('node', os.path.join(HERE, 'ws.mjs')),
           'python websockets': with_script('/usr/bin/python3', os.path.abspath(__file__), '--client')}


def main():
    if sys.argv[1:2] == ['--client']:
        asyncio.run(python_client(sys.argv[2], *map(int, sys.argv[3:6])))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--weft', default=os.path.join(ROOT, 'build', 'weft'))
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=int, default=3)
    parser.add_argument('--backend', choices=('epoll', 'io_uring'), help="server's and weft bench's [any]")
    parser.add_argument('--least', type=float, default=0, metavar='TIMES', help='[0]')
    options = parser.parse_args()
    if options.backend:
        os.environ['WEFT_BACKEND'] = options.backend
    too_few = []
    ready, told = os.pipe()
    server = subprocess.Popen([options.weft, 'serve', '-q', '--threads', '1', '--listen', '127.0.0.1:0', '--ready-fd',
                               str(told)],
                              pass_fds=[told])
    try:
        url = os.read(ready, 256).decode().strip().replace('http://', 'ws://') + '/echo'
        print(f'{"connections x in flight, 64 B":<30} {"client":<18} {"per CPU-second":>15} {"per second":>12} '
              f'{"weft is":>8}')
        for connections, inflight in SHAPES:
            found = {name: [] for name in CLIENTS}
            for _ in range(options.rounds):
                for name, client in CLIENTS.items():
                    found[name].append(client(options, url, connections, inflight))
            per_cpu = {name: statistics.median(n / cpu for n, _, cpu in runs) for name, runs in found.items()}
            ratio = per_cpu['weft bench'] / per_cpu['node ws']
            if ratio < options.least:
                too_few.append(f'{connections} x {inflight}: {ratio:.1f}')
            for name, runs in found.items():
                rate = statistics.median(n / s for n, s, _ in runs)
                print(f'{f"{connections} x {inflight}":<30} {name:<18} {per_cpu[name]:>15,.0f} {rate:>12,.0f} '
                      f'{per_cpu["weft bench"] / per_cpu[name]:>7.1f}x')
    finally:
        server.terminate()
        server.wait(20)
    if too_few:
        sys.exit(f'compare: under {options.least:g} times node ws: {", ".join(too_few)}')


if __name__ == '__main__':
    main()

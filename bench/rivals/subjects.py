"""What is measured: the floors, weft, and its rivals. Each is a Subject; adding one is an entry in subjects()."""

import json
import os
import platform
import re
import shutil
import subprocess
import tempfile

from process import BenchError

HERE = os.path.dirname(os.path.abspath(__file__))
MODES = ("off", "takeover", "no-takeover")  # of permessage-deflate
ALL = {"echo", "paced", "sessions", "fan", "takeover", "no-takeover", "memory"}


class Subject:
    """A server: how it is built, started and called, and which kinds of load it can take.

    `build` and `command` are lists of words in which {here}, {out}, {port}, {deflate} and {dir} are filled in. A floor
    prints its own port instead, and takes the same load without a handshake. `user`: bench/user.py can take it, which
    asks for one thread, one epoll and the C library's calls.
    """

    def __init__(self, name, command, version, build=None, kinds=ALL, raw=False, paths=("/echo", "/room"), user=False):
        self.name, self.command, self.version, self.build = name, command, version, build
        self.kinds, self.raw, self.paths, self.user = kinds, raw, paths, user

    def variant(self, kind):
        """Which of its processes a kind of load goes to."""
        if self.raw:
            return "broadcast" if kind == "fan" else "off"
        return kind if kind in MODES else "off"


def first_line(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    lines = (done.stdout or done.stderr).strip().splitlines()
    if done.returncode != 0 or not lines:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip() or 'says nothing'}")
    return lines[0]


def debian(*packages):
    """The versions of packages as dpkg knows them."""
    return lambda: first_line("dpkg-query", "-W", "-f", "${Package} ${Version}, ", *packages).rstrip(", ")


def npm_version(name):
    with open(os.path.join(HERE, "node_modules", name, "package.json"), encoding="utf-8") as file:
        return json.load(file)["version"]


def weft_subjects(build):
    """weft, once for each of the backends that it offers."""
    program = os.path.join(build, "weft")
    done = subprocess.run([program, "serve", "--help"], capture_output=True, text=True, timeout=10)
    line = re.search(r"--backend\b.*", done.stdout)
    backends = [b for b in ("epoll", "io_uring") if line and re.search(rf"\b{b}\b", line.group())] or [None]
    modes = {"off": "off", "takeover": "dedicated", "no-takeover": "no-takeover"}
    for backend in backends:
        command = [program, "serve", "--listen", "127.0.0.1:{port}", "--threads", "1", "--message-max", "2M",
                   "--queue-max", "1G", "--ping-interval", "never", "--history", "0", "--quiet",
                   "--send-timeout", "600s", "--deflate", "{deflate}"]
        command += ["--backend", backend] if backend else []
        subject = Subject(f"weft {backend}" if backend else "weft", command, lambda: first_line(program, "version"),
                          paths=("/echo", "/rooms/bench"), user=backend != "io_uring")
        subject.deflate_names = modes
        yield subject


def floor(name, program, kinds):
    return Subject(name, [program], lambda: f"Linux {platform.release().split('-')[0]}", raw=True, kinds=kinds)


def subjects(build):
    """All of them, the floor that everything is compared with first."""
    tools = os.path.join(build, "bench")
    found = [floor("raw epoll", os.path.join(tools, "bench_raw_echo"), ALL - {"memory"}),
             floor("raw io_uring", os.path.join(tools, "bench_raw_echo_uring"), ALL - {"memory", "fan"})]
    found += weft_subjects(build)
    found += [
        Subject("Bun", ["{here}/node_modules/.bin/bun", "{here}/servers/bun/server.js", "{port}", "{deflate}"],
                lambda: f"bun {npm_version('bun')}"),
        Subject("Beast", ["{out}/beast", "{port}", "{deflate}"], debian("libboost-dev", "g++"),
                ["g++", "-O3", "-DNDEBUG", "-std=c++17", "{here}/servers/beast/server.cpp", "-o", "{out}/beast",
                 "-pthread"], user=True),
        Subject("libwebsockets", ["{out}/libwebsockets", "{port}", "{deflate}"],
                debian("libwebsockets-dev", "libwebsockets-evlib-ev", "gcc"),
                ["gcc", "-O3", "-DNDEBUG", "-std=gnu17", "{here}/servers/libwebsockets/server.c", "-o",
                 "{out}/libwebsockets", "-lwebsockets"], user=True),
        Subject("gorilla", ["{out}/gorilla", "{port}", "{deflate}"],
                debian("golang-github-gorilla-websocket-dev", "golang-go"),
                ["env", "GO111MODULE=off", "GOPATH=/usr/share/gocode", "GOCACHE={out}/go", "go", "build", "-o",
                 "{out}/gorilla", "{here}/servers/gorilla/server.go"], kinds=ALL - {"takeover"}),
        Subject("ws", ["node", "{here}/servers/ws/server.mjs", "{port}", "{deflate}"],
                lambda: f"ws {npm_version('ws')}, bufferutil {npm_version('bufferutil')}, "
                        f"Node.js {first_line('node', '--version')}", user=True),
        Subject("websockets", ["/usr/bin/python3", "{here}/servers/websockets/server.py", "{port}", "{deflate}"],
                debian("python3-websockets", "python3")),
        Subject("nchan", ["/usr/sbin/nginx", "-p", "{dir}", "-c", "{dir}/nginx.conf"],
                debian("libnginx-mod-nchan", "nginx-common"), kinds={"fan"}, paths=(None, "/room")),
    ]
    return found


def build_subject(subject, out):
    """Compiles a rival when its source is newer than what was built."""
    if not subject.build:
        return
    words = [word.format(here=HERE, out=out) for word in subject.build]
    source = next(word for word in words if word.startswith(HERE))
    target = words[words.index("-o") + 1]
    if os.path.exists(target) and os.path.getmtime(target) > os.path.getmtime(source):
        return
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise BenchError(f"{subject.name} cannot be built: {done.stderr.strip()[-1500:]}")


def command_of(subject, variant, port, out, scratch):
    """The words that start one process of a subject; what it writes lies in a folder of its own in `scratch`."""
    if subject.raw:
        return subject.command + (["--broadcast", "1"] if variant == "broadcast" else [])
    names = getattr(subject, "deflate_names", {})
    folder = tempfile.mkdtemp(dir=scratch)
    if subject.name == "nchan":
        with open(os.path.join(HERE, "servers", "nchan", "nginx.conf.in"), encoding="utf-8") as file:
            text = file.read().replace("{port}", str(port)).replace("{dir}", folder)
        with open(os.path.join(folder, "nginx.conf"), "w", encoding="utf-8") as file:
            file.write(text)
    if not shutil.which(subject.command[0].format(here=HERE, out=out)):
        raise BenchError(f"{subject.command[0].format(here=HERE, out=out)} is missing: run make bench-rivals")
    return [word.format(here=HERE, out=out, port=port, deflate=names.get(variant, variant), dir=folder)
            for word in subject.command]

#!/bin/sh
# deps.sh GROUP... - installs what is missing to build (build), to test as well (test), to measure as well (bench), and
# to measure other servers beside weft (rivals).
#
# On Debian and its children missing packages come from apt. Elsewhere the list is printed and the exit code is 1.
# A tool that is in PATH is taken as it is, wherever it came from. With nothing missing no package manager is called.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C

missing=

on_debian() {
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null
}

has_package() {
    dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

has_command() {
    for name; do
        if command -v "$name" >/dev/null; then return 0; fi
    done
    return 1
}

has_header() {
    echo "#include <$1>" | cc -E - >/dev/null 2>&1
}

# need PACKAGE CHECK...: the package is missing when the check fails.
need() {
    package=$1
    shift
    "$@" || missing="$missing $package"
}

# On Debian the package is asked for, elsewhere the header.
has_library() {
    if on_debian; then has_package "$1"; else has_header "$2"; fi
}

has_llhttp() {
    has_header llhttp.h || test -f /usr/share/llhttp/llhttp.c || test -f /usr/local/share/llhttp/llhttp.c
}

# ISA-L exists for these processors; elsewhere zlib does all.
has_isal_machine() {
    case $(uname -m) in
    x86_64 | aarch64) true ;;
    *) false ;;
    esac
}

has_python_module() {
    if on_debian; then has_package "python3-$1"; else python3 -c "import $1" 2>/dev/null; fi
}

# libwebsockets loads its loops at run time.
has_evlib() {
    for file in /usr/lib/*/libwebsockets-evlib_ev.so; do test -f "$file" && return 0; done
    return 1
}

has_clang_runtime() {
    echo 'int main(void) { return 0; }' | clang -fsanitize=address -x c - -o /dev/null 2>/dev/null
}

# The first of the given packages that apt knows.
first_known() {
    for name; do
        if apt-cache show "$name" >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    echo "$1"
}

group_build() {
    need cmake has_command cmake
    need ninja-build has_command ninja
    need pkg-config has_command pkg-config
    need gcc has_command cc
    need libc6-dev has_header stdio.h
    need libssl-dev has_library libssl-dev openssl/evp.h
    need zlib1g-dev has_library zlib1g-dev zlib.h
    if has_isal_machine; then need libisal-dev has_library libisal-dev isa-l.h; fi
    need liburing-dev has_library liburing-dev liburing.h
    need libnghttp2-dev has_library libnghttp2-dev nghttp2/nghttp2.h
    need libedit-dev has_library libedit-dev editline/readline.h
    need libinih-dev has_library libinih-dev ini.h
    need libjansson-dev has_library libjansson-dev jansson.h
    need libjose-dev has_library libjose-dev jose/jws.h
    need libcurl4-openssl-dev has_library libcurl4-openssl-dev curl/curl.h
    need libsqlite3-dev has_library libsqlite3-dev sqlite3.h
    need llhttp has_llhttp
}

group_bench() {
    need python3 has_command python3
}

group_test() {
    need gcc has_command gcc
    need clang has_command clang
    need clang-runtime has_clang_runtime
    need curl has_command curl
    need nghttp2-client has_command h2load
    need chromium has_command chromium chromium-browser google-chrome
    need python3 has_command python3
    need python3-websockets has_python_module websockets
    need python3-autobahn has_python_module autobahn
    need python3-twisted has_python_module twisted
    need python3-jwt has_python_module jwt
    need python3-cryptography has_python_module cryptography
    need python3-prometheus-client has_python_module prometheus_client
    need nodejs has_command node
    need npm has_command npm
    need openssl has_command openssl
    need nginx-core has_command nginx /usr/sbin/nginx
    need libwebsockets-test-server has_command libwebsockets-test-server
    need valgrind has_command valgrind
    need libuv1-dev has_library libuv1-dev uv.h
    need libglib2.0-dev has_library libglib2.0-dev glib.h
    need tinyproxy-bin has_command tinyproxy
    need microsocks has_command microsocks
}

group_rivals() {
    group_bench
    need liburing-dev has_library liburing-dev liburing.h
    need libboost-dev has_library libboost-dev boost/beast.hpp
    need g++ has_command g++
    need libwebsockets-dev has_library libwebsockets-dev libwebsockets.h
    need libwebsockets-evlib-ev has_evlib
    need golang-go has_command go
    need golang-github-gorilla-websocket-dev test -d /usr/share/gocode/src/github.com/gorilla/websocket
    need libnginx-mod-nchan test -f /usr/lib/nginx/modules/ngx_nchan_module.so
    need nginx-core has_command nginx /usr/sbin/nginx
    need python3-websockets has_python_module websockets
    need nodejs has_command node
    need npm has_command npm
}

tries() {
    for pause in 5 15 0; do
        if "$@"; then return 0; fi
        if [ $pause -gt 0 ]; then sleep $pause; fi
    done
    return 1
}

# Two entries are not names of packages: which package holds them depends on the release.
install_missing() {
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        if ! has_command sudo; then
            echo "deps.sh: as root, run: apt-get install$missing" >&2
            exit 1
        fi
        as_root=sudo
    fi
    apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120"
    tries $apt update
    packages=
    for package in $missing; do
        case $package in
        llhttp) package=$(first_known libllhttp-dev node-llhttp) ;;
        clang-runtime)
            major=$(apt-cache depends clang | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
            package=$(first_known "libclang-rt-$major-dev" "libclang-common-$major-dev")
            ;;
        esac
        packages="$packages $package"
    done
    echo "deps.sh: installing$packages"
    tries $apt install -y --no-install-recommends $packages
}

# A folder with npm packages of its own, pinned by a lock file: the end-to-end tests', the rivals'.
install_npm_packages() {
    lock=$1/package-lock.json
    stamp=$1/node_modules/.package-lock.json
    if [ -f $lock ] && { [ ! -f $stamp ] || [ $stamp -ot $lock ]; }; then
        export PUPPETEER_SKIP_DOWNLOAD=1 PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1
        tries npm ci --prefix "$1" --no-audit --no-fund
        touch $stamp
    fi
}

npm_folders=
for group; do
    case $group in
    build) group_build ;;
    bench) group_bench ;;
    rivals)
        group_rivals
        npm_folders="$npm_folders bench/rivals"
        ;;
    test)
        group_test
        npm_folders="$npm_folders tests/e2e"
        ;;
    *)
        echo "usage: deps.sh [build] [bench] [rivals] [test]" >&2
        exit 2
        ;;
    esac
done

if [ -n "$missing" ]; then
    if ! on_debian; then
        echo "deps.sh: missing, under Debian's names:$missing" >&2
        exit 1
    fi
    install_missing
fi
for folder in $npm_folders; do
    install_npm_packages "$folder"
done

version=$(cmake --version | sed -n 's/^cmake version //p')
case $version in
[012].* | 3.[0-9].* | 3.1?.* | 3.2[0-4].*)
    echo "deps.sh: cmake 3.25 or newer is needed, found $version" >&2
    exit 1
    ;;
esac

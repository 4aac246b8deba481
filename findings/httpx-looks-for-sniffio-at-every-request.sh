#!/usr/bin/env bash
# httpx's asynchronous client tries to import `sniffio` four times in every request, and a plain `pip install httpx`
# does not bring it: Python remembers no import that failed, so each attempt searches the whole path again.
#
# One would guess that what a library imports is settled once it is loaded, or with the first request. httpcore asks
# which event loop is running whenever it makes a lock or an event, and imports inside that function. httpx's
# description has sniffio among its requirements; nothing asks for it but anyio, and since 4.12 not anyio either. To
# install it by oneself saved a quarter of the processor time of a request to a server nearby.
#
# httpx 0.28.1, httpcore 1.0.9, anyio 4.16.0. Searches for modules, all of them for sniffio, in five requests on a
# connection that is open:
#   without sniffio: 4 4 4 4 4
#   sniffio 1.3.1:   0 0 0 0 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() {
    "$folder/venv/bin/pip" "$1" --quiet --disable-pip-version-check "${@:2}"
}
pip install httpx==0.28.1 httpcore==1.0.9 anyio==4.16.0
cat > "$folder/count.py" <<'PY'
import asyncio
import sys

import httpx


class Searches(list):
    """A finder that finds nothing: each search for a module asks it first."""

    def find_spec(self, name, path=None, target=None):
        self.append(name)


searches = Searches()
sys.meta_path.insert(0, searches)


class Answer(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if data.endswith(b"\r\n\r\n"):
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def main():
    server = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    counts = []
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(6):
            searches.clear()
            assert (await client.get(f"http://{host}:{port}/")).status_code == 204
            counts.append(len(searches))
            assert {*searches} <= {"sniffio"} or len(counts) == 1, "changed"
    server.close()
    return counts[1:]  # the first loads much else


print(*asyncio.run(main()))
PY
without=$("$folder/venv/bin/python" "$folder/count.py")
echo "without sniffio: $without"
pip install sniffio==1.3.1
with=$("$folder/venv/bin/python" "$folder/count.py")
echo "sniffio 1.3.1:   $with"
[[ $without == "4 4 4 4 4" && $with == "0 0 0 0 0" ]] || { echo changed; exit 1; }

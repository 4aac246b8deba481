#!/usr/bin/env bash
# asyncio's own event loop turns Nagle's algorithm off only for connections whose socket says that its protocol is TCP.
# socket.create_server() and uvicorn's Config.bind_socket() make sockets that say 0, and what these accept says 0 too.
# The head of an answer then goes at once, and its body when the client has acknowledged the head: 40 ms later on Linux.
#
# One would guess that every TCP connection of asyncio has TCP_NODELAY, since Python's notes on 3.6 say so, and that
# `uvicorn --workers 2` or `--reload`, which listen by bind_socket(), answer as fast as one worker, which has the event
# loop make its sockets. uvloop, with which uvicorn runs if it is installed, sets the option always.
#
# CPython 3.11.7, 3.12.1 and 3.13.0 on Linux, uvicorn 0.54.0, h11 0.16.0, uvloop 0.23.0. TCP_NODELAY of accepted
# connections, the socket made by the event loop, by socket.create_server(), by socket.socket() with IPPROTO_TCP:
#   asyncio 1 0 1, uvloop 1 1 1
# and of uvicorn's, with the median time of 20 answers on one connection:
#   on asyncio, own sockets 1, 0.2 ms; bind_socket() 0, 44 ms; on uvloop, own sockets 1, 0.1 ms; bind_socket() 1, 0.1 ms
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0 h11==0.16.0 uvloop==0.23.0
"$folder/venv/bin/python" - <<'PY'
import asyncio
import socket
import statistics
import time

import uvicorn
import uvloop

HERE = ("127.0.0.1", 0)
LOOPS = {"asyncio": asyncio.run, "uvloop": uvloop.run}


def option(transport):
    return transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def named():
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.bind(HERE)
    return made


async def accepted(listening):
    writers = asyncio.Queue()
    where = {"sock": listening} if listening else dict(zip(("host", "port"), HERE))
    server = await asyncio.start_server(lambda _, writer: writers.put_nowait(writer), **where)
    _, caller = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer = await writers.get()
    seen = option(writer.transport)
    caller.close()
    writer.close()
    server.close()
    return seen


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


def median(connection):
    took = []
    for _ in range(20):
        began = time.perf_counter()
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b"hello"):
            answer += connection.recv(4096)
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


async def served(bound):
    config = uvicorn.Config(application, port=0, http="h11", lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([config.bind_socket()] if bound else None))
    while not server.started:
        await asyncio.sleep(0.01)
    with socket.create_connection(server.servers[0].sockets[0].getsockname()) as connection:
        took = await asyncio.to_thread(median, connection)
        (protocol,) = server.server_state.connections
        seen = option(protocol.transport)
    server.should_exit = True
    await task
    return seen, took


options = {}
for name, run in LOOPS.items():
    options[name] = [run(accepted(make and make())) for make in (None, lambda: socket.create_server(HERE), named)]
    print(name, *options[name])
assert options == {"asyncio": [1, 0, 1], "uvloop": [1, 1, 1]}, "changed"
slow = {}
for name, run in LOOPS.items():
    for bound in (False, True):
        seen, took = run(served(bound))
        print(f"uvicorn on {name}, {'bind_socket()' if bound else 'own sockets'}: {seen}, {took:.1f} ms")
        slow[name, bound] = (seen, took > 20)
assert slow == {
    ("asyncio", False): (1, False),
    ("asyncio", True): (0, True),
    ("uvloop", False): (1, False),
    ("uvloop", True): (1, False),
}, "changed"
PY

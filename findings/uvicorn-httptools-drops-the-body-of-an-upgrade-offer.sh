#!/usr/bin/env bash
# uvicorn with httptools gives the application an empty body when a POST offers `Upgrade: h2c`; with h11 the body arrives.
#
# One would guess that an offer which the server does not take up changes nothing, as RFC 9110 section 7.8 says. Java's
# HttpClient makes this offer with each first request over http, and so does `curl --http2`; httptools stops parsing at
# the end of the head, and uvicorn goes on as if the request were complete.
#
# uvicorn 0.54.0, httptools 0.9.0, h11 0.16.0. Bytes of the body that the application received, of 5 sent:
#   httptools 0, h11 5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0 httptools==0.9.0 h11==0.16.0
"$folder/venv/bin/python" - <<'PY'
import asyncio

import uvicorn

REQUEST = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 5\r\n\r\nhello"
)
received = {}


async def application(scope, receive, send):
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    received["body"] = len(body)
    await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def seen(parser):
    config = uvicorn.Config(application, host="127.0.0.1", port=0, http=parser, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname())
    writer.write(REQUEST)
    await asyncio.wait_for(reader.readline(), 20)
    writer.close()
    server.should_exit = True
    await task
    return received.pop("body", None)


found = {parser: asyncio.run(seen(parser)) for parser in ("httptools", "h11")}
print(", ".join(f"{parser} {size}" for parser, size in found.items()))
assert found == {"httptools": 0, "h11": 5}, "changed"
PY

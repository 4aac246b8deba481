#!/usr/bin/env bash
# redis.asyncio.Connection can lose the cancellation of the task that sends by it, in Python 3.11: the task goes on as
# if nobody had cancelled it, and returns the answer. Since redis-py 8 that is so without any option.
#
# One would guess that a cancelled task ends at its next await, and so that `task.cancel(); await task` ends. redis-py 8
# gives a connection a socket_timeout of 5 seconds unless told otherwise (7.0: none), and then sends by
# asyncio.wait_for. In Python 3.11 that returns its result where the sending ends in the same round of the event loop in
# which the cancellation comes, and the cancellation is forgotten (Python 3.12 raises it). A task that serves requests
# for ever then waits for the next one, and whoever waits for its end does so as well. With socket_timeout=None no
# wait_for is used, and the task ends whenever it is cancelled.
#
# redis 8.1.0 and 7.0.1, hiredis 3.3.0 (CPython 3.11.7, Linux). A task sends PING and reads the answer; it is cancelled
# after 0 to 5 rounds of the event loop. Version, option, whether it went on after any of the cancellations:
#   7.0.1 default no
#   7.0.1 socket_timeout=None no
#   8.1.0 default yes
#   8.1.0 socket_timeout=None no
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 7.0.1 8.1.0; do
    python3.11 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "redis==$version" hiredis==3.3.0
done
cat > "$folder/cancel.py" <<'PY'
import asyncio
import contextlib

import redis
from redis.asyncio import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

PING = b"*1\r\n$4\r\nPING\r\n"


async def serve(reader, writer):
    """Answers whatever is asked: what a client says of itself, and PING."""
    with contextlib.suppress(ConnectionError):
        while line := await reader.readline():
            for _ in range(int(line[1:])):
                await reader.readline()
                word = await reader.readline()
            writer.write(b"+PONG\r\n" if word == b"PING\r\n" else b"+OK\r\n")


async def goes_on(port, rounds, options):
    link = Connection(host="127.0.0.1", port=port, protocol=2, retry=Retry(NoBackoff(), 0), **options)
    await link.connect()

    async def ask():
        await link.send_packed_command([PING])
        return await link.read_response()

    task = asyncio.create_task(ask())
    for _ in range(rounds):
        await asyncio.sleep(0)
    task.cancel()
    (found,) = await asyncio.gather(task, return_exceptions=True)
    await link.disconnect()
    return not isinstance(found, asyncio.CancelledError)


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for options in ({}, {"socket_timeout": None}):
        shown = " ".join(f"{name}={value}" for name, value in options.items()) or "default"
        went_on = [await goes_on(port, rounds, options) for rounds in range(6)]
        print(redis.__version__, shown, "yes" if any(went_on) else "no")


asyncio.run(main())
PY
for version in 7.0.1 8.1.0; do
    (cd "$folder" && "$version/bin/python" cancel.py)
done | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' && echo "as described: redis 8 loses a cancellation, unless it has no time limit"
7.0.1 default no
7.0.1 socket_timeout=None no
8.1.0 default yes
8.1.0 socket_timeout=None no
EXPECTED

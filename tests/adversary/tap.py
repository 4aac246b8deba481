"""A tap on a wearer's line: `python -m tests.adversary.tap PORT...` relays to these ports of this machine.

It says at which ports it listens, and then a line for each connection when its client has closed it: the target, and in
nanoseconds by one clock when it was opened, each TLS record, with its direction and size, and the close. It is a
process of its own, so that what it notes does not wait for whom it watches.
"""

import asyncio
import json
import socket
import sys
import time

_HEAD = 5  # bytes before each record


class Direction:
    """The records that go one way."""

    def __init__(self, is_up: bool, seen: list[tuple[int, bool, int]]) -> None:
        self._is_up, self._seen, self._left = is_up, seen, bytearray()

    def note(self, data: bytes, at: int) -> None:
        self._left += data
        while len(self._left) >= _HEAD and len(self._left) >= (size := _HEAD + int.from_bytes(self._left[3:_HEAD])):
            self._seen.append((at, self._is_up, size))
            del self._left[:size]


async def _relay(port: int, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
    opened, seen = time.monotonic_ns(), []
    far, to_far = await asyncio.open_connection("127.0.0.1", port)

    async def pump(heard: asyncio.StreamReader, told: asyncio.StreamWriter, way: Direction) -> int:
        try:
            while data := await heard.read(1 << 16):
                way.note(data, time.monotonic_ns())
                told.write(data)
        except ConnectionError:
            pass
        ended = time.monotonic_ns()
        told.close()
        return ended

    down = asyncio.create_task(pump(far, to_near, Direction(False, seen)))
    closed = await pump(near, to_far, Direction(True, seen))
    await down
    print(json.dumps({"port": port, "opened": opened, "records": seen, "closed": closed}), flush=True)


async def _main(targets: list[int]) -> None:
    listening = []
    for port in targets:
        # asyncio has no packet wait for others only where the protocol is said.
        place = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        place.bind(("127.0.0.1", 0))
        place.listen(64)
        listening.append(place.getsockname()[1])
        await asyncio.start_server(lambda *streams, port=port: _relay(port, *streams), sock=place)
    print(json.dumps(listening), flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until who started it has enough


if __name__ == "__main__":
    asyncio.run(_main([int(each) for each in sys.argv[1:]]))

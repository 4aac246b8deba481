"""The audit: every act of staff, in a chain of hashes (docs/operations.md, "The audit").

An act's entry goes into a queue in the same step of the store as the act; `append`, which drains that queue, gives it
its place in the chain. So both are there or neither, on both engines, although a cluster has no step over two keys. An
act that another server carries out is noted before and after: a crash between leaves "asked", without what became of
it. Never holds a token, an address or anything about a patient: `about` has names of accounts, ids and rules only.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Any

from anontrace import clock
from anontrace.backend.errors import StoreError
from anontrace.backend.store import Entry, Put, Store

QUEUE = "audit"
FIRST = "00" * 32  # what the first entry has for the hash of the one before
_CHAIN, _PLACES = "audit", "audit-places"
_HEAD = b"head"
_NUMBER = 8
_ID = 16
_MAX_ATTEMPTS = 1024
_AT_ONCE = 256
_FIELDS = {"number", "when", "who", "what", "about", "id", "before", "hash"}


def entry(who: str, what: str, **about: Any) -> Entry:
    """What goes into the queue in the same step as the act."""
    said = {"when": int(clock.now()), "who": who, "what": what, "about": about, "id": secrets.token_hex(_ID)}
    return Entry(QUEUE, time.time(), json.dumps(said).encode())


class Audit:
    """The chain in a server's store. `wake` is called when the queue got something."""

    def __init__(self, store: Store, wake: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self.wake = wake

    async def note(self, who: str, what: str, **about: Any) -> None:
        """An act that changes nothing here: one that another server is asked for, or what came of it."""
        await self._store.enqueue([entry(who, what, **about)])
        self.wake()

    async def append(self, items: Sequence[bytes]) -> None:
        """Give queued entries their places at the end of the chain. What is there already stays where it is, whichever
        worker put it there."""
        for item in items:
            await self._append(json.loads(item))

    async def _append(self, said: dict[str, Any]) -> None:
        """An entry says where it means to go before it goes there, so that a crash between does not have it go twice:
        whoever comes later looks there first."""
        identity = bytes.fromhex(said["id"])
        for _ in range(_MAX_ATTEMPTS):
            (meant,) = await self._store.get_many(_PLACES, [identity])
            there = None if meant is None else await self._line(int.from_bytes(meant, "big"))
            if meant is not None and there is None:
                await self._put(int.from_bytes(meant, "big"), said)
            elif meant is not None and there is not None and there["id"] == said["id"]:
                await self._store.put_many(_CHAIN, [(_HEAD, meant)])
                return
            else:  # it has none yet, or another entry was there first, and stays there
                end = (await self._end()).to_bytes(_NUMBER, "big")
                await self._store.compare_and_swap(_PLACES, identity, meant, end)
        raise StoreError("the audit's chain grew under every attempt to add to it")

    async def _put(self, number: int, said: dict[str, Any]) -> None:
        """An entry into its place, unless another is there."""
        last = None if number == 0 else await self._line(number - 1)
        line = sealed({"number": number, **said, "before": FIRST if last is None else last["hash"]})
        await self._store.put_if_absent_many(_CHAIN, [Put(number.to_bytes(_NUMBER, "big"), json.dumps(line).encode())])

    async def _end(self) -> int:
        """The number of the next entry. The note of the head may lag behind."""
        (head,) = await self._store.get_many(_CHAIN, [_HEAD])
        number = 0 if head is None else int.from_bytes(head, "big")
        while await self._line(number) is not None:
            number += 1
        return number

    async def _line(self, number: int) -> dict[str, Any] | None:
        (value,) = await self._store.get_many(_CHAIN, [number.to_bytes(_NUMBER, "big")])
        return None if value is None else dict(json.loads(value))

    async def count(self) -> int:
        """How many entries the chain has."""
        return await self._end()

    async def read(self, start: int = 0, most: int = _AT_ONCE) -> list[dict[str, Any]]:
        """Up to so many entries from this number on, in order."""
        keys = [number.to_bytes(_NUMBER, "big") for number in range(start, start + min(most, _AT_ONCE))]
        return [json.loads(value) for value in await self._store.get_many(_CHAIN, keys) if value is not None]


def sealed(line: dict[str, Any]) -> dict[str, Any]:
    """An entry with its hash: SHA-256 over all else of it, the hash of the one before included, as JSON with sorted
    names, without spaces, in ASCII."""
    text = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return {**line, "hash": sha256(text.encode("ascii")).hexdigest()}


def fault(lines: Iterable[str]) -> str | None:
    """The first thing that is wrong with an audit in JSON lines; None if the chain is whole from its first entry to the
    last that is there. That nothing was cut off at its end, only who knows the last hash can tell."""
    before = FIRST
    for number, text in enumerate(lines):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            return f"entry {number} is no JSON"
        if not isinstance(line, dict) or set(line) != _FIELDS:
            return f"entry {number} has not the parts of one"
        if line["number"] != number:
            return f"entry {number} is missing: what stands there has another number"
        if line["before"] != before:
            return f"entry {number} does not follow the one before it"
        shown = line.pop("hash")
        if sealed(line)["hash"] != shown:
            return f"entry {number} was changed"
        before = shown
    return None

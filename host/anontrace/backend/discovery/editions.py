"""The directory's editions: each signed, numbered, and naming the one before it, durably.

docs/protocol.md section 10. Takes a key list only from a pinned mix and never an older one than it has.
"""

from collections.abc import Mapping
from hashlib import sha256

from anontrace_shared.errors import AnontraceError

from anontrace import clock
from anontrace.backend import keyfiles
from anontrace.backend.counters import Counters
from anontrace.backend.errors import Refused, StoreError
from anontrace.backend.store import Store
from anontrace.wire import directory, keylist, signed
from anontrace.wire.directory import Directory
from anontrace.wire.network import PinnedMix
from anontrace.wire.signed import Signed

_TABLE, _CURRENT = "discovery", b"directory"
_MOST_ATTEMPTS = 64


class Editions:
    """The current directory, and making the next."""

    def __init__(self, store: Store, counters: Counters, pins: Mapping[int, PinnedMix], signing_key: bytes) -> None:
        self._store = store
        self._counters = counters
        self._pins = pins
        self._signing_key = signing_key
        self._own_key = keyfiles.verify_key(signing_key)

    async def current(self) -> tuple[str, str]:
        """The signed directory as JSON, and a tag that changes with it."""
        (value,) = await self._store.get_many(_TABLE, [_CURRENT])
        if value is None:
            raise Refused(503, "there is no directory yet", 1)
        return value.decode(), f'"{sha256(value).hexdigest()[:32]}"'

    async def take(self, number: int, body: bytes) -> None:
        """Publish a mix's key list. 422 if it is malformed, 403 if it is not to be believed, 409 if a newer one is
        there. The same list again changes nothing."""
        try:
            envelope = signed.read(body)
            offered = keylist.read(envelope.document)
        except AnontraceError as error:
            raise Refused(422, str(error)) from None
        if offered.number != number:
            raise Refused(422, f"this is the key list of mix {offered.number}, not of mix {number}")
        try:
            keylist.verify(envelope, self._pins, clock.now())
        except AnontraceError as error:
            raise Refused(403, str(error)) from None
        await self._next_edition(number, envelope, offered.issued)

    async def drop_expired(self) -> None:
        """Make an edition without the lists that have expired; the very first one, without any."""
        await self._next_edition(None, None, 0)

    async def _next_edition(self, number: int | None, envelope: Signed | None, issued: int) -> None:
        for _ in range(_MOST_ATTEMPTS):
            (value,) = await self._store.get_many(_TABLE, [_CURRENT])
            before = None if value is None else signed.read(value)
            old = None if before is None else directory.verify(before, self._own_key)
            now = clock.now()
            lists = {keylist.read(each.document).number: each for each in (old.lists if old else ())}
            known = lists.get(number) if number is not None else None
            if known is not None and envelope is not None:
                if known.document == envelope.document:
                    return
                if keylist.read(known.document).issued > issued:
                    raise Refused(409, f"a newer key list of mix {number} is here already")
            kept = {n: each for n, each in lists.items() if keylist.read(each.document).expires > now}
            if number is not None and envelope is not None:
                kept[number] = envelope
            elif old is not None and len(kept) == len(lists):
                return
            new = Directory(
                sequence=directory.FIRST if old is None else old.sequence + 1,
                previous=None if before is None else directory.digest(before.document),
                issued=int(now),
                lists=tuple(kept[n] for n in sorted(kept)),
            )
            text = directory.sign(new, self._signing_key).to_json().encode()
            if await self._store.compare_and_swap(_TABLE, _CURRENT, value, text):
                self._counters.add("editions")
                return
        raise StoreError("the directory changed under every attempt to continue it")

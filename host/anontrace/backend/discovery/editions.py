"""The directory's editions: each signed, numbered, and naming the one before it, durably.

docs/protocol.md section 10. Takes a key list only from a pinned mix and never an older one than it has. Of past
editions the heads stay for a while, so that clients can check how what they saw goes on.
"""

from collections import Counter
from collections.abc import Mapping
from hashlib import sha256

from anontrace_shared.errors import AnontraceError

from anontrace import clock
from anontrace.backend import keyfiles
from anontrace.backend.counters import Counters
from anontrace.backend.errors import Refused, StoreError
from anontrace.backend.peers import Peers
from anontrace.backend.store import Put, Store
from anontrace.mixnet import keydays
from anontrace.wire import directory, keylist, signed
from anontrace.wire.directory import Directory, Page
from anontrace.wire.network import PinnedMix
from anontrace.wire.signed import Signed

_TABLE, _CURRENT = "discovery", b"directory"
_CHAIN = "chain"
_KEEP_DAYS = directory.KEPT_DAYS + 1  # for clients whose clock is behind
_MOST_ATTEMPTS = 64
_LISTS_A_DAY = 100  # of one mix: every list makes an edition, and clients read all their heads
_DAY_SECONDS = 86400


class Editions:
    """The current directory, and making the next. No list expires by a clock that `peers` do not confirm."""

    def __init__(
        self,
        store: Store,
        counters: Counters,
        pins: Mapping[int, PinnedMix],
        signing_key: bytes,
        peers: Peers,
    ) -> None:
        self._peers = peers
        self._store = store
        self._counters = counters
        self._pins = pins
        self._signing_key = signing_key
        self._own_key = keyfiles.verify_key(signing_key)
        self._taken: Counter[int] = Counter()
        self._taken_day = 0

    async def current(self) -> tuple[str, str]:
        """The signed directory as JSON, and a tag that changes with it."""
        (value,) = await self._store.get_many(_TABLE, [_CURRENT])
        if value is None:
            raise Refused(503, "there is no directory yet", 1)
        return value.decode(), f'"{sha256(value).hexdigest()[:32]}"'

    async def page(self, number: int) -> str:
        """A page of the chain as JSON: the heads of its editions that are past and still kept; perhaps none."""
        first = number * directory.PAGE
        keys = [_key(sequence) for sequence in range(first, first + directory.PAGE)]
        found = await self._store.get_many(_CHAIN, keys)
        return Page(heads=tuple(head.decode() for head in found if head is not None)).model_dump_json()

    async def take(self, number: int, body: bytes) -> None:
        """Publish a mix's key list. 422 if it is malformed, 403 if it is not to be believed, 409 if one that is as new
        is there, 429 if there were too many today. The same list again changes nothing."""
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

    def _check_count(self, number: int) -> None:
        now = clock.now()
        if keydays.day_at(now) != self._taken_day:
            self._taken_day = keydays.day_at(now)
            self._taken.clear()
        if self._taken[number] >= _LISTS_A_DAY:
            raise Refused(429, f"mix {number} has published too much today", int(-now % _DAY_SECONDS) + 1)

    async def drop_expired(self) -> None:
        """Make an edition without the lists that have expired; the very first one, without any."""
        await self._next_edition(None, None, 0)

    async def _next_edition(self, number: int | None, envelope: Signed | None, issued: int) -> None:
        for _ in range(_MOST_ATTEMPTS):
            (value,) = await self._store.get_many(_TABLE, [_CURRENT])
            old = None if value is None else self._own(value)
            now = clock.now()
            lists = {keylist.read(each.document).number: each for each in (old.lists if old else ())}
            known = lists.get(number) if number is not None else None
            if known is not None and envelope is not None:
                if known.document == envelope.document:
                    return
                if keylist.read(known.document).issued >= issued:
                    raise Refused(409, f"a newer key list of mix {number} is here already")
            if number is not None:
                # Here, not before: lists are public, and whoever brings an old one must not use up its mix's number.
                self._check_count(number)
            kept = dict(lists)
            if self._peers.clock_is_right:
                kept = {n: each for n, each in lists.items() if keylist.read(each.document).expires > now}
            if number is not None and envelope is not None:
                kept[number] = envelope
            elif old is not None and len(kept) == len(lists):
                return
            if old is not None:
                # Before it is followed by another: nobody is ever shown an edition without what it continues.
                past = Put(_key(old.head.sequence), old.head_text.encode())
                await self._store.put_if_absent_many(_CHAIN, [past], keydays.day_at(now) + _KEEP_DAYS)
            new = directory.make(
                sequence=directory.FIRST if old is None else old.head.sequence + 1,
                previous=None if old is None else old.seen.digest,
                issued=int(now),
                lists=[kept[n] for n in sorted(kept)],
                signing_key=self._signing_key,
            )
            if await self._store.compare_and_swap(_TABLE, _CURRENT, value, new.to_json().encode()):
                self._counters.add("editions")
                if number is not None:
                    self._taken[number] += 1
                return
        raise StoreError("the directory changed under every attempt to continue it")

    def _own(self, value: bytes) -> Directory:
        return directory.verify(directory.read(value), self._own_key)


def _key(sequence: int) -> bytes:
    return sequence.to_bytes(8, "big")

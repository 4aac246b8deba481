"""The nyms: for each key a blob, a used flag and a queue of messages (seed, "Nymserver": Swap and Send).

Every change is one compare-and-swap, which takes the outgoing message along into the mix's queue: a SURB is used once
and its message is sent, or neither. A nym remembers what it was told, by tags that only its contact address gives: so a
repeat does nothing, and a retraction is right in whatever order messages come. Never keeps a contact address, except
within a message that waits for a new SURB.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from hashlib import sha256

from anontrace_shared.errors import AnontraceError
from anontrace_shared.schedule import nym_key

from anontrace import clock
from anontrace.backend.counters import Counters
from anontrace.backend.errors import StoreError
from anontrace.backend.mix import items
from anontrace.backend.store import Entry, Store
from anontrace.mixnet import blob, keydays, notification, surb, swap
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.sizes import BLOB, CONTACT_ADDRESS, NOTIFICATION

TABLE = "nyms"
_SLOT = 4
_TAG = 8
_HEAD = 2
_FRESH, _USED = 0, 1
_MOST_WAITING = 8
_MOST_TOLD = 120  # tags from which on there is room only for retractions of what was told; one byte counts them
_MOST_ATTEMPTS = 64


class Outcome(Enum):
    """What became of a message to a contact address."""

    SENT = "sent"
    WAITING = "waiting"
    UNKNOWN = "unknown"
    FULL = "full"
    UNUSABLE = "unusable"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A notification (191, encoded) for a contact address (20) of a slot."""

    address: bytes = field(repr=False)
    slot: int = field(repr=False)
    content: bytes = field(repr=False)

    def encode(self) -> bytes:
        """215 bytes, for a queue of this server."""
        return self.address + self.slot.to_bytes(_SLOT, "little") + self.content

    @classmethod
    def decode(cls, item: bytes) -> "Outgoing":
        assert len(item) == _OUTGOING
        at = CONTACT_ADDRESS + _SLOT
        return cls(item[:CONTACT_ADDRESS], int.from_bytes(item[CONTACT_ADDRESS:at], "little"), item[at:])


_OUTGOING = CONTACT_ADDRESS + _SLOT + NOTIFICATION


@dataclass(frozen=True, slots=True)
class _Nym:
    """What is stored under a nym key: used flag (1), number of tags (1), tags (8 each) of what was sent or taken back
    before that, blob (174), waiting messages."""

    blob: bytes = field(repr=False)
    used: bool = False
    told: tuple[bytes, ...] = field(default=(), repr=False)
    waiting: tuple[Outgoing, ...] = ()

    def encode(self) -> bytes:
        head = bytes((_USED if self.used else _FRESH, len(self.told)))
        return head + b"".join(self.told) + self.blob + b"".join(each.encode() for each in self.waiting)

    @classmethod
    def decode(cls, value: bytes) -> "_Nym":
        at = _HEAD + value[1] * _TAG
        told = tuple(value[i : i + _TAG] for i in range(_HEAD, at, _TAG))
        rest = value[at + BLOB :]
        waiting = tuple(Outgoing.decode(rest[i : i + _OUTGOING]) for i in range(0, len(rest), _OUTGOING))
        return cls(value[at : at + BLOB], value[0] == _USED, told, waiting)

    @staticmethod
    def blob_of(value: bytes) -> bytes:
        """The blob alone, of the many in a bucket."""
        at = _HEAD + value[1] * _TAG
        return value[at : at + BLOB]


class Nyms:
    """All nyms of this server. `known_mix`: whether the network has a mix of this number; `keep_days`: how long a key
    exists after it was first seen."""

    def __init__(
        self, store: Store, counters: Counters, known_mix: Callable[[int], bool], keep_days: int, bucket_bits: int
    ) -> None:
        self._store = store
        self._counters = counters
        self._known_mix = known_mix
        self._keep_days = keep_days
        self._bucket_bits = bucket_bits

    async def swap(self, wanted: swap.Swap) -> str | None:
        """Store a blob, or replace one by its authentication; anything else changes nothing.

        Returns the mix queue that got a waiting message, if one could be sent with the new SURB.
        """
        for _ in range(_MOST_ATTEMPTS):
            (value,) = await self._store.get_many(TABLE, [wanted.key])
            stored = None if value is None else _Nym.decode(value)
            if stored is None:
                allowed = wanted.authentication == swap.NEW
            elif stored.blob == wanted.blob:
                self._counters.add("swap_repeated")
                return None
            else:
                allowed = wanted.authentication == swap.authentication(stored.blob)
            if not allowed:
                self._counters.add("swap_refused")
                return None
            new = _Nym(wanted.blob) if stored is None else replace(stored, blob=wanted.blob, used=False)
            new, entry = self._flush(new)
            expires = keydays.day_at(clock.now()) + self._keep_days
            then = [] if entry is None else [entry]
            if await self._store.compare_and_swap(TABLE, wanted.key, value, new.encode(), expires, then):
                self._counters.add("swap_new" if stored is None else "swap_replaced")
                return entry.queue if entry else None
        raise StoreError("a nym changed under every attempt to swap it")

    def _flush(self, nym: _Nym) -> tuple[_Nym, Entry | None]:
        """Use a fresh SURB for the message that waits longest. One that cannot be sent is dropped for the next."""
        while nym.waiting:
            first, rest = nym.waiting[0], nym.waiting[1:]
            entry = self._to_mix(nym.blob, first)
            if entry is not None:
                self._counters.add("notification_sent")
                return replace(nym, used=True, told=(*nym.told, _tag_of(first)), waiting=rest), entry
            self._counters.add("notification_unusable")
            nym = replace(nym, waiting=rest)
        return nym, None

    async def send(self, outgoing: Outgoing) -> tuple[Outcome, str | None]:
        """Send a message with the stored SURB, or let it wait for the next one; and the mix queue that got it.

        Sending the same message again changes nothing.
        """
        key = nym_key(outgoing.address, outgoing.slot)
        tag = _tag_of(outgoing)
        for _ in range(_MOST_ATTEMPTS):
            (value,) = await self._store.get_many(TABLE, [key])
            if value is None:
                return self._count(Outcome.UNKNOWN), None
            nym = _Nym.decode(value)
            if tag in nym.told:
                return Outcome.SENT, None
            if outgoing in nym.waiting:
                return Outcome.WAITING, None
            new, outcome, entry = self._tell(nym, outgoing, tag)
            if new == nym:
                return self._count(outcome), None
            then = [] if entry is None else [entry]
            if await self._store.compare_and_swap(TABLE, key, value, new.encode(), None, then):
                return self._count(outcome), entry.queue if entry else None
        raise StoreError("a nym changed under every attempt to send to it")

    def _count(self, outcome: Outcome) -> Outcome:
        self._counters.add(f"notification_{outcome.value}")
        return outcome

    def _tell(self, nym: _Nym, outgoing: Outgoing, tag: bytes) -> tuple[_Nym, Outcome, Entry | None]:
        """What a message that is neither sent nor waiting makes of a nym, and what goes to the mix."""
        content = Notification.decode(outgoing.content)
        retracts = content.kind is Kind.RETRACTION
        is_full = len(nym.told) + len(nym.waiting) >= _MOST_TOLD
        if retracts:
            taken_back = _tag(outgoing, Kind.NOTIFICATION, content.report_id)
            if taken_back not in nym.told:
                # Who was not told yet never will be, whether that message waits, is still to come, or was dropped.
                kept = tuple(each for each in nym.waiting if _tag_of(each) != taken_back)
                told = nym.told if is_full and kept == nym.waiting else (*nym.told, taken_back, tag)
                return replace(nym, told=told, waiting=kept), Outcome.CANCELLED, None
        elif is_full:
            return nym, Outcome.FULL, None
        entry = None if nym.used else self._to_mix(nym.blob, outgoing)
        if entry is not None:
            return replace(nym, used=True, told=(*nym.told, tag)), Outcome.SENT, entry
        if not retracts:
            if not nym.used:
                return nym, Outcome.UNUSABLE, None
            if len(nym.waiting) >= _MOST_WAITING:
                return nym, Outcome.FULL, None
        return replace(nym, used=True, waiting=(*nym.waiting, outgoing)), Outcome.WAITING, None

    def _to_mix(self, stored_blob: bytes, outgoing: Outgoing) -> Entry | None:
        """Open the SURB, seal the message to its maker, address it to the SURB's first mix. None if it is no good."""
        try:
            opened = surb.parse(blob.open(outgoing.address, outgoing.slot, stored_blob))
            payload = notification.seal(opened.message_key, Notification.decode(outgoing.content))
            onward = items.onward(surb.use(opened, payload), clock.now())
        except (AnontraceError, ValueError):
            return None
        if onward is None or not self._known_mix(opened.first_mix):
            return None
        return Entry(items.queue_to(opened.first_mix), time.time(), onward.encode())

    async def registered(self, keys: list[bytes]) -> list[bool]:
        """Which of these nym keys exist."""
        return [value is not None for value in await self._store.get_many(TABLE, keys)]

    async def bucket(self, index: int) -> bytes:
        """The sorted fingerprints of all blobs in a bucket, one after the other."""
        rows = await self._store.bucket(TABLE, self._bucket_bits, index)
        return b"".join(sorted(swap.fingerprint(key, _Nym.blob_of(value)) for key, value in rows))


def _tag_of(outgoing: Outgoing) -> bytes:
    content = Notification.decode(outgoing.content)
    return _tag(outgoing, content.kind, content.report_id)


def _tag(outgoing: Outgoing, kind: Kind, report_id: bytes) -> bytes:
    """What a nym remembers of a message (8). Without the contact address nobody can tell of which report it was."""
    return sha256(nym_key(outgoing.address, outgoing.slot) + outgoing.address + bytes((kind,)) + report_id).digest()[
        :_TAG
    ]

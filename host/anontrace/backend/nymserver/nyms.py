"""The nyms: for each key a blob, a used flag and a queue of messages (seed, "Nymserver": Swap and Send).

Every change is one compare-and-swap, which takes the outgoing message along into the mix's queue: a SURB is used once
and its message is sent, or neither. Never keeps a contact address, except within a message that waits for a new SURB.
"""

import time
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
_DIGEST = 16
_FRESH, _USED = 0, 1
_MOST_WAITING = 8
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

    def digest(self) -> bytes:
        """Tells a message that is sent again after a crash from another one."""
        return sha256(self.content).digest()[:_DIGEST]


_OUTGOING = CONTACT_ADDRESS + _SLOT + NOTIFICATION


@dataclass(frozen=True, slots=True)
class _Nym:
    """What is stored under a nym key: used flag (1), digest of the last message sent (16), blob (174), waiting ones."""

    blob: bytes = field(repr=False)
    used: bool = False
    last: bytes = field(default=bytes(_DIGEST), repr=False)
    waiting: tuple[Outgoing, ...] = ()

    def encode(self) -> bytes:
        flag = bytes((_USED if self.used else _FRESH,))
        return flag + self.last + self.blob + b"".join(each.encode() for each in self.waiting)

    @classmethod
    def decode(cls, value: bytes) -> "_Nym":
        at = 1 + _DIGEST
        rest = value[at + BLOB :]
        waiting = tuple(Outgoing.decode(rest[i : i + _OUTGOING]) for i in range(0, len(rest), _OUTGOING))
        return cls(value[at : at + BLOB], value[0] == _USED, value[1:at], waiting)


class Nyms:
    """All nyms of this server. `keep_days`: how long a key exists after it was first seen."""

    def __init__(self, store: Store, counters: Counters, keep_days: int, bucket_bits: int) -> None:
        self._store = store
        self._counters = counters
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
            entry = _to_mix(nym.blob, first)
            if entry is not None:
                self._counters.add("notification_sent")
                return replace(nym, used=True, last=first.digest(), waiting=rest), entry
            self._counters.add("notification_unusable")
            nym = replace(nym, waiting=rest)
        return nym, None

    async def send(self, outgoing: Outgoing) -> tuple[Outcome, str | None]:
        """Send a message with the stored SURB, or let it wait for the next one; and the mix queue that got it.

        Sending the same message again changes nothing.
        """
        key = nym_key(outgoing.address, outgoing.slot)
        digest = outgoing.digest()
        for _ in range(_MOST_ATTEMPTS):
            (value,) = await self._store.get_many(TABLE, [key])
            if value is None:
                return self._count(Outcome.UNKNOWN), None
            nym = _Nym.decode(value)
            if nym.last == digest:
                return Outcome.SENT, None
            if outgoing in nym.waiting:
                return Outcome.WAITING, None
            entry = None
            cancelled = _without_retracted(nym, outgoing)
            if cancelled is not None:
                new, outcome = replace(cancelled, last=digest), Outcome.CANCELLED
            elif nym.used:
                if len(nym.waiting) >= _MOST_WAITING:
                    return self._count(Outcome.FULL), None
                new, outcome = replace(nym, waiting=(*nym.waiting, outgoing)), Outcome.WAITING
            else:
                entry = _to_mix(nym.blob, outgoing)
                if entry is None:
                    return self._count(Outcome.UNUSABLE), None
                new, outcome = replace(nym, used=True, last=digest), Outcome.SENT
            then = [] if entry is None else [entry]
            if await self._store.compare_and_swap(TABLE, key, value, new.encode(), None, then):
                return self._count(outcome), entry.queue if entry else None
        raise StoreError("a nym changed under every attempt to send to it")

    def _count(self, outcome: Outcome) -> Outcome:
        self._counters.add(f"notification_{outcome.value}")
        return outcome

    async def registered(self, keys: list[bytes]) -> list[bool]:
        """Which of these nym keys exist."""
        return [value is not None for value in await self._store.get_many(TABLE, keys)]

    async def bucket(self, index: int) -> bytes:
        """The sorted fingerprints of all blobs in a bucket, one after the other."""
        rows = await self._store.bucket(TABLE, self._bucket_bits, index)
        return b"".join(sorted(swap.fingerprint(key, _Nym.decode(value).blob) for key, value in rows))


def _without_retracted(nym: _Nym, outgoing: Outgoing) -> _Nym | None:
    """If this is the retraction of what still waits for a new SURB: the nym without it. So who was not told yet is
    told neither."""
    content = Notification.decode(outgoing.content)
    if content.kind is not Kind.RETRACTION:
        return None

    def is_retracted(waiting: Outgoing) -> bool:
        found = Notification.decode(waiting.content)
        return found.kind is Kind.NOTIFICATION and found.report_id == content.report_id

    kept = tuple(each for each in nym.waiting if not is_retracted(each))
    return None if len(kept) == len(nym.waiting) else replace(nym, waiting=kept)


def _to_mix(stored_blob: bytes, outgoing: Outgoing) -> Entry | None:
    """Open the SURB, seal the message to its maker, address it to the SURB's first mix. None if the SURB is no good."""
    try:
        opened = surb.parse(blob.open(outgoing.address, outgoing.slot, stored_blob))
        payload = notification.seal(opened.message_key, Notification.decode(outgoing.content))
        onward = items.onward(surb.use(opened, payload), clock.now())
    except (AnontraceError, ValueError):
        return None
    return None if onward is None else Entry(items.queue_to(opened.first_mix), time.time(), onward.encode())

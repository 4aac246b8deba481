"""The nyms: for each key a blob, a used flag and a queue of messages (docs/protocol.md section 7: swap and send).

Every change is one compare-and-swap, which takes the outgoing message along into the mix's queue: a SURB is used once
and its message is sent, or neither. A SURB whose header went out otherwise (headers.py) counts as used. A nym remembers
what it was told, by tags that only its contact address gives: so a repeat does nothing, and a retraction is right in
whatever order messages come. Never keeps a contact address, except within a message that waits for a new SURB.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from hashlib import sha256

from anontrace_primitives import equal
from anontrace_shared.errors import AnontraceError
from anontrace_shared.schedule import nym_key

from anontrace import clock
from anontrace.backend.errors import StoreError
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Entry, Store
from anontrace.mixnet import blob, keydays, notification, surb, swap, words
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.receipt import NymAnswer, NymQuestion
from anontrace.mixnet.sizes import BLOB, CONTACT_ADDRESS, NOTIFICATION

from .headers import Headers
from .progress import Tallies
from .sending import SEND, Sending

TABLE = "nyms"
_SLOT = 4
_TAG = 8
_HEAD = 2
_FRESH, _USED = 0, 1
_MAX_WAITING = 8
_MAX_TOLD = 120  # tags from which on there is room only for retractions of what was told; one byte counts them
_MAX_ATTEMPTS = 64


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
_Became = tuple[Outgoing, Outcome]


@dataclass(frozen=True, slots=True)
class _Nym:
    """What is stored under a nym key: used flag (1), number of tags (1), tags (8 each) of what was sent or taken back
    before that, blob (174), waiting messages."""

    blob: bytes = field(repr=False)
    used: bool = False
    told: tuple[bytes, ...] = field(default=(), repr=False)
    waiting: tuple[Outgoing, ...] = ()

    @property
    def is_full(self) -> bool:
        """Whether it remembers as many messages as it may."""
        return len(self.told) + len(self.waiting) >= _MAX_TOLD

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
        """The blob alone."""
        at = _HEAD + value[1] * _TAG
        return value[at : at + BLOB]


class Nyms:
    """All nyms of this server. `known_mix`: whether the network has a mix of this number; `keep_days`: how long a key
    exists after it was first seen."""

    def __init__(self, store: Store, counters: Counters, known_mix: Callable[[int], bool], keep_days: int) -> None:
        self._store = store
        self._counters = counters
        self._counters.declare("swap_new", "swap_refused", "notification_sent")
        self._headers = Headers(store, known_mix)
        self._keep_days = keep_days
        self._sending = Sending(store)
        self._tallies = Tallies(store)

    async def swap(self, wanted: swap.Swap) -> str | None:
        """Store a blob, or replace one by its authentication; anything else changes nothing.

        Returns the mix queue that got a waiting message, if one could be sent with the new SURB.
        """
        for _ in range(_MAX_ATTEMPTS):
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
            is_held = bool(new.waiting) and await self._sending.is_stopped()
            new, then, became = self._hold(new) if is_held else await self._flush(new)
            expires = keydays.day_at(clock.now()) + self._keep_days
            if await self._store.compare_and_swap(TABLE, wanted.key, value, new.encode(), expires, then):
                self._counters.add("swap_new" if stored is None else "swap_replaced")
                await self._note_waited(became)
                return then[0].queue if then and not is_held else None
        raise StoreError("a nym changed under every attempt to swap it")

    @staticmethod
    def _hold(nym: _Nym) -> tuple[_Nym, list[Entry], list[_Became]]:
        """While sending is stopped: what waited for a SURB waits with all else that is to go out."""
        entries = [Entry(SEND, time.time(), each.encode()) for each in nym.waiting]
        return replace(nym, waiting=()), entries, [(each, Outcome.WAITING) for each in nym.waiting]

    async def _flush(self, nym: _Nym) -> tuple[_Nym, list[Entry], list[_Became]]:
        """Use a fresh SURB for the message that waits longest. One that cannot be sent is dropped for the next."""
        became: list[_Became] = []
        while nym.waiting:
            first, rest = nym.waiting[0], nym.waiting[1:]
            tag = _tag_of(first)
            outcome, entry = await self._to_mix(nym, first, tag)
            if entry is not None:
                self._counters.add("notification_sent")
                became.append((first, Outcome.SENT))
                return replace(nym, used=True, told=(*nym.told, tag), waiting=rest), [entry], became
            if outcome is Outcome.WAITING:
                return replace(nym, used=True), [], became
            self._counters.add("notification_unusable")
            became.append((first, Outcome.UNUSABLE))
            nym = replace(nym, waiting=rest)
        return nym, [], became

    async def send(self, outgoing: Outgoing) -> tuple[Outcome, str | None]:
        """Send a message with the stored SURB, or let it wait for the next one; and the mix queue that got it.

        Sending the same message again changes nothing.
        """
        key = nym_key(outgoing.address, outgoing.slot)
        tag = _tag_of(outgoing)
        for _ in range(_MAX_ATTEMPTS):
            (value,) = await self._store.get_many(TABLE, [key])
            if value is None:
                await self._note(outgoing, Outcome.UNKNOWN, 0)
                return self._count(Outcome.UNKNOWN), None
            nym = _Nym.decode(value)
            if tag in nym.told:
                return Outcome.SENT, None
            if outgoing in nym.waiting:
                return Outcome.WAITING, None
            new, outcome, entry = await self._tell(nym, outgoing, tag)
            then = [] if entry is None else [entry]
            if new == nym or await self._store.compare_and_swap(TABLE, key, value, new.encode(), None, then):
                await self._note(outgoing, outcome, len(nym.waiting) - len(new.waiting))
                return self._count(outcome), entry.queue if entry else None
        raise StoreError("a nym changed under every attempt to send to it")

    async def _note(self, outgoing: Outgoing, outcome: Outcome, called_off: int) -> None:
        """Count what became of a message; `called_off`: those that waited and never go, since this one takes them
        back."""
        content = Notification.decode(outgoing.content)
        is_retraction = content.kind is Kind.RETRACTION
        if outcome is Outcome.CANCELLED:
            await self._tallies.add(content.report_id, cancelled=1, waiting=-max(0, called_off))
        elif is_retraction:
            await self._tallies.add(content.report_id, taken_back=int(outcome in (Outcome.SENT, Outcome.WAITING)))
        elif outcome in (Outcome.SENT, Outcome.WAITING):
            await self._tallies.add(content.report_id, **{outcome.value: 1})
        else:
            await self._tallies.add(content.report_id, dropped=1)

    async def _note_waited(self, became: Sequence[_Became]) -> None:
        """Count what became of messages that waited: WAITING are those that are put back, to be sent later."""
        for outgoing, outcome in became:
            content = Notification.decode(outgoing.content)
            if content.kind is Kind.NOTIFICATION:
                more = {Outcome.SENT: {"sent": 1}, Outcome.UNUSABLE: {"dropped": 1}}.get(outcome, {})
                await self._tallies.add(content.report_id, waiting=-1, **more)

    def _count(self, outcome: Outcome) -> Outcome:
        self._counters.add(f"notification_{outcome.value}")
        return outcome

    async def _tell(self, nym: _Nym, outgoing: Outgoing, tag: bytes) -> tuple[_Nym, Outcome, Entry | None]:
        """What a message that is neither sent nor waiting makes of a nym, and what goes to the mix."""
        content = Notification.decode(outgoing.content)
        if content.kind is Kind.RETRACTION:
            return await self._retract(nym, outgoing, tag, _tag(outgoing, Kind.NOTIFICATION, content.report_id))
        if nym.is_full:
            return nym, Outcome.FULL, None
        outcome, entry = await self._to_mix(nym, outgoing, tag)
        if entry is not None:
            return self._sent(nym, tag, entry)
        if outcome is Outcome.WAITING:
            return self._wait(nym, outgoing) if len(nym.waiting) < _MAX_WAITING else (nym, Outcome.FULL, None)
        return nym, outcome, None

    async def _retract(
        self, nym: _Nym, outgoing: Outgoing, tag: bytes, taken_back: bytes
    ) -> tuple[_Nym, Outcome, Entry | None]:
        """As `_tell`, for a retraction of the message with the tag `taken_back`."""
        if taken_back not in nym.told:
            # Who was not told yet never will be, whether that message waits, is still to come, or was dropped.
            kept = tuple(each for each in nym.waiting if _tag_of(each) != taken_back)
            told = nym.told if nym.is_full and kept == nym.waiting else (*nym.told, taken_back, tag)
            return replace(nym, told=told, waiting=kept), Outcome.CANCELLED, None
        _, entry = await self._to_mix(nym, outgoing, tag)
        return self._wait(nym, outgoing) if entry is None else self._sent(nym, tag, entry)

    @staticmethod
    def _sent(nym: _Nym, tag: bytes, entry: Entry) -> tuple[_Nym, Outcome, Entry | None]:
        return replace(nym, used=True, told=(*nym.told, tag)), Outcome.SENT, entry

    @staticmethod
    def _wait(nym: _Nym, outgoing: Outgoing) -> tuple[_Nym, Outcome, Entry | None]:
        return replace(nym, used=True, waiting=(*nym.waiting, outgoing)), Outcome.WAITING, None

    async def _to_mix(self, nym: _Nym, outgoing: Outgoing, tag: bytes) -> tuple[Outcome, Entry | None]:
        """Open the SURB, seal the message to its maker, address it to the SURB's first mix: SENT, and what the mix
        gets. WAITING if the SURB is used, unless by this message before a crash; UNUSABLE if it is no good."""
        try:
            opened = surb.parse(blob.open(outgoing.address, outgoing.slot, nym.blob))
            payload = notification.seal(opened.message_key, Notification.decode(outgoing.content))
            entry = self._headers.entry(opened.first_mix, opened.header, payload)
        except (AnontraceError, ValueError):
            entry = None
        if entry is None:
            return Outcome.WAITING if nym.used else Outcome.UNUSABLE, None
        secret = outgoing.address + tag
        may = self._headers.is_claimed if nym.used else self._headers.claim
        if not await may(opened.header, secret):
            return Outcome.WAITING, None
        return Outcome.SENT, entry

    async def message_keys(self, report_id: bytes, contacts: Sequence[tuple[bytes, int]]) -> list[bytes | None]:
        """The message keys of contact addresses (20) of slots, each blinded for a report; None where there is none."""
        values = await self._store.get_many(TABLE, [nym_key(address, slot) for address, slot in contacts])
        return await asyncio.to_thread(_blinded, report_id, contacts, values)

    async def registered(self, keys: list[bytes]) -> list[bool]:
        """Which of these nym keys exist."""
        return [value is not None for value in await self._store.get_many(TABLE, keys)]

    async def answer(self, question: NymQuestion) -> NymAnswer:
        """Whether the blob with this fingerprint is stored under this key."""
        (value,) = await self._store.get_many(TABLE, [question.key])
        if value is None:
            return NymAnswer(False)
        return NymAnswer(equal(swap.fingerprint(question.key, _Nym.blob_of(value)), question.fingerprint))


def _blinded(
    report_id: bytes, contacts: Sequence[tuple[bytes, int]], values: Sequence[bytes | None]
) -> list[bytes | None]:
    found: list[bytes | None] = []
    for (address, slot), value in zip(contacts, values, strict=True):
        key = None
        if value is not None:
            with suppress(AnontraceError, ValueError):  # a blob that is none, a key of low order
                opened = surb.parse(blob.open(address, slot, _Nym.blob_of(value)))
                key = words.blinded(opened.message_key, address, slot, report_id)
        found.append(key)
    return found


def _tag_of(outgoing: Outgoing) -> bytes:
    content = Notification.decode(outgoing.content)
    return _tag(outgoing, content.kind, content.report_id)


def _tag(outgoing: Outgoing, kind: Kind, report_id: bytes) -> bytes:
    """What a nym remembers of a message (8). Without the contact address nobody can tell of which report it was."""
    return sha256(nym_key(outgoing.address, outgoing.slot) + outgoing.address + bytes((kind,)) + report_id).digest()[
        :_TAG
    ]

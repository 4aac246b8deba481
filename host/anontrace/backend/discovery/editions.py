"""The directory's editions: each signed, numbered, and naming the one before it, durably.

docs/protocol.md section 10. Takes announcements only from pinned mixes, and under no older description than it has. The
heads of past editions are kept for a while, so that clients can check how what they saw continues.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256

from anontrace_shared.errors import AnontraceError, FormatError

from anontrace import clock
from anontrace.backend.errors import Refused, StoreError
from anontrace.backend.observing.counters import Counters
from anontrace.backend.peers import Peers
from anontrace.backend.store import Put, Store
from anontrace.mixnet import keydays
from anontrace.wire import content, description, directory, mixes
from anontrace.wire.directory import Difference
from anontrace.wire.network import PinnedMix

from .record import Announced, Listed, Offer, Record, merged

_TABLE, _CURRENT = "discovery", b"editions"
_OF_0_2 = b"directory"
_HEADS = "heads"
_KEEP_DAYS = directory.KEPT_DAYS + 2  # for clients whose clock is behind
_MAX_ATTEMPTS = 64
_CHANGES_A_DAY = 12  # of one mix: each makes an edition at once, and clients read all their heads
_DAY_SECONDS = 86400
_CLOCK_RETRY_SECONDS = 5
_LOOK_SECONDS = 1.0

_NO_RECORD = Record(head=b"", signature=b"")

Answer = tuple[bytes, str]  # and a tag that changes with it


class Editions:
    """The current directory, and making the next. No mix is dropped but by a time that holds by the clocks of `peers`
    too, and nothing is taken by a clock that they contradict."""

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
        self._counters.declare("editions")
        self._pins = pins
        self._signing_key = signing_key
        self._changes: Counter[int] = Counter()
        self._changes_day = 0
        self._shown: tuple[bytes, Record, dict[int | None, Answer]] = (b"", _NO_RECORD, {})

    async def start(self) -> None:
        """Have a first edition, without any mix."""
        await self._store.delete_many(_TABLE, [_OF_0_2])
        (value,) = await self._store.get_many(_TABLE, [_CURRENT])
        if value is None:
            await self._replace(None, _NO_RECORD, frozenset(), frozenset(), clock.now(), is_due=True)

    async def whole(self) -> Answer:
        """The whole directory."""
        _, record, answers = await self._current()
        if None not in answers:
            answers[None] = _tagged(record.directory.encode())
        return answers[None]

    async def since(self, day: int) -> Answer:
        """What is new to whoever knows the directory of a day. 404 if no such directory is shown."""
        _, record, answers = await self._current()
        if day not in answers:
            mark = record.mark(day)
            if mark is None:
                raise Refused(404, f"there is no directory of day {day}: ask for the whole one")
            newest = directory.parse_head(record.head)
            first = max(mark.sequence, newest.sequence - directory.MAX_HEADS + 1)
            found = await self._store.get_many(_HEADS, [_key(n) for n in range(first, newest.sequence)])
            past = [directory.parse_head(each) for each in _unbroken(found)]
            news = Difference([*past, newest], record.signature, frozenset(record.mixes), record.news(mark))
            answers[day] = _tagged(news.encode())
        return answers[day]

    async def _current(self) -> tuple[bytes, Record, dict[int | None, Answer]]:
        """The record as it is stored, what it says, and the answers made of it so far. 503 if there is none yet."""
        (value,) = await self._store.get_many(_TABLE, [_CURRENT])
        if value is None:
            raise Refused(503, "there is no directory yet", 1)
        if value != self._shown[0]:
            self._shown = (value, Record.model_validate_json(value), {})
        return self._shown

    async def take(self, number: int, body: bytes) -> None:
        """Publish what a mix says of itself. 422 if it is malformed, 403 if it is not to be believed, 409 if there is
        a newer description or another key of that day, 429 if there were too many changes today, 503 if this server's
        clock is wrong. The same again changes nothing."""
        try:
            offered = content.parse(body)
        except FormatError as error:
            raise Refused(422, str(error)) from None
        if set(offered.descriptions) != {number} or set(offered.announcements) != {number}:
            raise Refused(422, f"this is not the description of mix {number} alone, with what it announces")
        if not await self._peers.clock_holds():
            raise Refused(503, "this server's clock is wrong", _CLOCK_RETRY_SECONDS)
        now = clock.now()
        try:
            mix = mixes.verified(offered, number, self._pins, now)
        except AnontraceError as error:
            raise Refused(403, str(error)) from None
        if mix.keys[-1].day > keydays.day_at(now) + mixes.DAYS_AHEAD:
            raise Refused(403, f"mix {number}: its announcement is from the future; check the clock")
        if not mixes.in_force([mix], now):
            raise Refused(403, f"mix {number}: its announcements are over")
        announced = {day: Announced(data=each) for day, each in offered.announcements[number].items()}
        await self._offer(number, Listed(description=offered.descriptions[number], announced=announced))

    async def _offer(self, number: int, offered: Listed) -> None:
        for _ in range(_MAX_ATTEMPTS):
            value, record, _ = await self._current()
            now = clock.now()
            today = keydays.day_at(now)
            listed, waiting = record.mixes.get(number), record.offers.get(number)
            known = listed if waiting is None else waiting.listed
            is_new = known is None or known.description != offered.description
            if known is not None:
                _check_order(number, known, offered, today, now)
            made = merged(known, offered, today)
            if known is not None and made == known:
                return
            comes_back = listed is not None and not 0 <= max(listed.announced) - today <= mixes.DAYS_AHEAD
            is_urgent = is_new or comes_back or (waiting is not None and waiting.is_urgent)
            if is_new:
                # Here, not before: what a mix publishes is public, and whoever brings it must not use up its number.
                self._check_count(number)
            at = now if waiting is None else waiting.at
            record = record.with_offer(number, Offer(listed=made, at=at, is_urgent=is_urgent))
            if await self._replace(value, record, record.due(now), frozenset(), now):
                if is_new:
                    self._changes[number] += 1
                return
        raise StoreError("the directory changed under every attempt to continue it")

    def _check_count(self, number: int) -> None:
        now = clock.now()
        if keydays.day_at(now) != self._changes_day:
            self._changes_day = keydays.day_at(now)
            self._changes.clear()
        if self._changes[number] >= _CHANGES_A_DAY:
            raise Refused(429, f"mix {number} has changed too often today", int(-now % _DAY_SECONDS) + 1)

    async def drop_dead(self) -> None:
        """Make an edition without the mixes of which no key lives any more, or that are not pinned."""
        for _ in range(_MAX_ATTEMPTS):
            held = self._peers.held
            if held is None:
                return
            value, record, _ = await self._current()
            oldest = keydays.day_at(held) - keydays.LIFE_DAYS + 1
            gone = {number for number, each in record.mixes.items() if max(each.announced) < oldest}
            gone |= record.mixes.keys() - self._pins.keys()
            if not gone or await self._replace(value, record, frozenset(), frozenset(gone), clock.now(), is_due=True):
                return
        raise StoreError("the directory changed under every attempt to continue it")

    async def keep_gathering(self) -> None:
        """Make editions of what has waited long enough."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            value, record, _ = await self._current()
            if record.offers and await self._peers.clock_holds():
                now = clock.now()
                if due := record.due(now):
                    await self._replace(value, record, due, frozenset(), now)

    async def _replace(
        self,
        value: bytes | None,
        record: Record,
        taken: frozenset[int],
        gone: frozenset[int],
        now: float,
        is_due: bool = False,
    ) -> bool:
        """Have this record in place of that value, with a next edition if there is something for it. False if another
        was faster."""
        if taken or is_due:
            if record.head:
                # Before it is followed by another: nobody is ever shown an edition without what it continues.
                head = directory.parse_head(record.head)
                past = [Put(_key(head.sequence), record.head)]
                await self._store.put_if_absent_many(_HEADS, past, keydays.day_at(now) + _KEEP_DAYS)
            record = record.next(taken, gone, now, self._signing_key)
        made = record.model_dump_json().encode()
        if not await self._store.compare_and_swap(_TABLE, _CURRENT, value, made):
            return False
        self._shown = (made, record, {})
        if taken or is_due:
            self._counters.add("editions")
        return True


def _check_order(number: int, known: Listed, offered: Listed, today: int, now: float) -> None:
    """Refused (409) if a mix is described later already, or has announced another key for one of these days."""
    if known.description != offered.description:
        described, before = (description.parse(each.description).issued for each in (offered, known))
        # One from the future was made by a clock that was ahead: nobody uses it, so it must not stand for days.
        if described <= before <= now + mixes.CLOCK_TOLERANCE:
            raise Refused(409, f"a newer description of mix {number} is here already")
        return
    for day, each in offered.announced.items():
        if day in known.announced and known.announced[day].data[:33] != each.data[:33]:
            raise Refused(409, f"mix {number} has announced another key for day {day}")


def _unbroken(heads: list[bytes | None]) -> list[bytes]:
    """Those after the last one that is not kept any more."""
    found: list[bytes] = []
    for each in heads:
        found = [] if each is None else [*found, each]
    return found


def _tagged(body: bytes) -> Answer:
    return body, f'"{sha256(body).hexdigest()[:32]}"'


def _key(sequence: int) -> bytes:
    return sequence.to_bytes(8, "big")

"""The limit on notifications a day, over all cases and by all workers (docs/protocol.md section 9).

Whatever a decision sends waits here first, in a queue that is ordered by risk and not by time, and is let through as
far as the day has room. One record says what was let through, what the authority has set, and which entries are just
being moved on; letting some through is one compare-and-swap of it, which takes their messages along into the queue that
is sent. Entries of which the record says so are deleted before anything else is done, by whoever comes next: so a crash
in between lets nothing through twice, and costs nothing of the day. Retractions do not pass here.
"""

import random
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, Field

from anontrace import clock
from anontrace.backend.observing.counters import Counters
from anontrace.backend.store import Entry, Store, Taken
from anontrace.mixnet import keydays
from anontrace.mixnet.notification import Notification
from anontrace.mixnet.sizes import CASE_ID, CONTACT_ADDRESS, REPORT_ID

from . import growth, quota
from .cases import Cases
from .nyms import Outgoing
from .records import HexBytes, LimitSettings, LimitStanding, State, WaitingReport
from .sending import SEND
from .wearers import Wearers

WAITING = "waiting"
_TABLE, _KEY = "limit", b"limit"
_BATCH = 256
_MAX_SHOWN = 20_000  # waiting entries that are looked at for staff, or swept, at once
_HEAD = struct.Struct("<BBI")
_CASE_AT = CONTACT_ADDRESS + 4 + 1  # in a message, behind the slot and the kind of its content
_REPORT_AT = _CASE_AT + CASE_ID
_random = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notification that waits: its risk (risk.py), the generation that it tells, the last day on which its contact
    can be told and the authority could take it back, and the message (`Outgoing`, encoded)."""

    risk: int
    generation: int
    last_day: int
    message: bytes = field(repr=False)

    def encode(self) -> bytes:
        """221 bytes, for a queue of this server."""
        return _HEAD.pack(self.risk, min(self.generation, 255), self.last_day) + self.message

    @property
    def outgoing(self) -> Outgoing:
        return Outgoing.decode(self.message)

    @property
    def case_id(self) -> bytes:
        return self.message[_CASE_AT:_REPORT_AT]

    @property
    def report_id(self) -> bytes:
        return self.message[_REPORT_AT : _REPORT_AT + REPORT_ID]

    @classmethod
    def decode(cls, item: bytes) -> "Waiting":
        risk, generation, last_day = _HEAD.unpack_from(item)
        return cls(risk, generation, last_day, item[_HEAD.size :])


class _Record(BaseModel):
    """The day that is counted, what was let through on it, what the authority has set, and the entries of WAITING that
    went with the last step."""

    day: int = 0
    used: int = 0
    settings: LimitSettings = LimitSettings()
    moving: list[HexBytes] = Field(default_factory=list)

    def on(self, today: int) -> "_Record":
        """It, on a day; a worker whose clock is a little behind at midnight counts on with the others."""
        return self if today <= self.day else self.model_copy(update={"day": today, "used": 0})


class Limit:
    """The limit of this nymserver. `ceiling`: what its operator allows at most, whatever the authority signs; what is
    let through leaves at random moments of the next `spread` seconds."""

    def __init__(
        self,
        store: Store,
        counters: Counters,
        cases: Cases,
        wearers: Wearers,
        wake: Callable[[str], None],
        ceiling: int | None,
        spread: float,
    ) -> None:
        self._store = store
        self._counters = counters
        self._counters.declare("limit_let_through", "limit_dropped")
        self._cases = cases
        self._wearers = wearers
        self._wake = wake
        self._ceiling = ceiling
        self._spread = spread

    def moment(self, now: float) -> float:
        """When a message leaves. Those of one person would else come to their mailboxes together, which shows there."""
        return now + _random.uniform(0, self._spread)

    async def _read(self) -> tuple[bytes | None, _Record]:
        """The record as it is stored, and today's; what it says is being moved on is gone from WAITING."""
        (value,) = await self._store.get_many(_TABLE, [_KEY])
        record = _Record() if value is None else _Record.model_validate_json(value)
        if record.moving:
            await self._store.done(WAITING, record.moving)
        return value, record.on(keydays.day_at(clock.now()))

    async def _swap(self, value: bytes | None, new: _Record, then: Sequence[Entry] = ()) -> bool:
        return await self._store.compare_and_swap(_TABLE, _KEY, value, new.model_dump_json().encode(), None, then)

    async def let_through(self) -> int:
        """Let through what the day has room for, the highest risk first; how many that were."""
        number = 0
        while True:
            value, record = await self._read()
            wearers = await self._wearers.number(record.day)
            room = quota.a_day(record.settings, wearers, self._ceiling) - record.used
            found = await self._store.peek(WAITING, min(room, _BATCH)) if room > 0 else []
            if not found:
                return number
            live = await self._without_void(found, record.day)
            if not live:
                continue
            now = time.time()
            then = [Entry(SEND, self.moment(now), item.message) for _, item in live]
            ids = [identity for identity, _ in live]
            after = record.model_copy(update={"used": record.used + len(live), "moving": ids})
            if await self._swap(value, after, then):
                await self._store.done(WAITING, ids)
                self._counters.add("limit_let_through", len(live))
                self._wake(SEND)
                number += len(live)

    async def sweep(self) -> None:
        """Forget what waits and is never to be sent: of a report or case that was retracted, or too old by now."""
        today = keydays.day_at(clock.now())
        await self._without_void(await self._store.peek(WAITING, _MAX_SHOWN), today)

    async def _without_void(self, found: Sequence[Taken], today: int) -> list[tuple[bytes, Waiting]]:
        """What is still to be sent, by its id; all else is deleted."""
        items = [(each.id, Waiting.decode(each.item)) for each in found]
        cases = await self._cases.read({item.case_id for _, item in items})
        live: list[tuple[bytes, Waiting]] = []
        void: list[tuple[bytes, Waiting]] = []
        for each in items:
            item, case = each[1], cases.get(each[1].case_id)
            outcome = None if case is None or case.retracted else case.reports.get(item.report_id.hex())
            stands = outcome is not None and outcome.state is State.APPROVED
            (live if stands and item.last_day >= today else void).append(each)
        if void:
            await self._store.done(WAITING, [identity for identity, _ in void])
            self._counters.add("limit_dropped", len(void))
        return live

    async def set(self, settings: LimitSettings) -> None:
        """What the authority wants from now on, in place of what it wanted before."""
        while True:
            value, record = await self._read()
            if await self._swap(value, record.model_copy(update={"settings": settings, "moving": []})):
                return

    async def waiting(self) -> int:
        """How many notifications of all cases wait for a day with room."""
        return (await self._store.backlog()).get(WAITING, 0)

    async def standing(self, with_queue: bool = True) -> LimitStanding:
        """How the day stands, what waits in which order, and how chains grow. Without addresses."""
        _, record = await self._read()
        wearers = await self._wearers.number(record.day)
        told = growth.told(await self._cases.since(record.day - growth.DAYS + 1, record.day))
        factor = record.settings.growth or growth.DEFAULT_FACTOR
        shown = await self._store.peek(WAITING, _MAX_SHOWN) if with_queue else []
        items = [Waiting.decode(each.item) for each in shown]
        return LimitStanding(
            day=record.day,
            a_day=quota.a_day(record.settings, wearers, self._ceiling),
            settings=record.settings,
            ceiling=self._ceiling,
            wearers=wearers,
            used=record.used,
            waiting=max(await self.waiting(), len(items)),
            queue=_by_report(items),
            growth=factor,
            told=told,
            alarms=growth.alarms(told, factor),
        )


def _by_report(items: Sequence[Waiting]) -> list[WaitingReport]:
    """What waits, by report, in the order in which the first of each leaves."""
    found: dict[bytes, WaitingReport] = {}
    for place, item in enumerate(items, 1):
        row = found.get(item.report_id)
        if row is None:
            row = found[item.report_id] = WaitingReport(
                report=item.report_id, case=item.case_id, generation=item.generation,
                disease=Notification.decode(item.outgoing.content).disease,
                first=place, highest_risk=item.risk, lowest_risk=item.risk, last_day=item.last_day,
            )  # fmt: skip
        row.number += 1
        row.lowest_risk = min(row.lowest_risk, item.risk)
        row.last_day = min(row.last_day, item.last_day)
    return list(found.values())

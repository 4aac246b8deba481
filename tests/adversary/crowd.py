"""A crowd of shipped companions that lives through days on simulated time, and what servers and lines see of each.

Scheduler, store and formats are the shipped ones; the network is the one on paper. Each wearer lives the same days
twice, with the same random numbers: idle, and notified. Whatever an observer sees differ then comes from being
notified. Every other one that is notified also answers the health authority, hidden, and is written back to. Some of
the wearers live them a third time with a companion that leaks: it sends the dummy itself, and looks and fetches the
directory once more when it was told. Messages take as long as mixes with the proposed delay hold them.

Never asserts anything, and shows observers no label of whom they see.
"""

import secrets
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from anontrace import clock
from anontrace.backend.config import MixSettings
from anontrace.backend.nymserver.nyms import Outgoing
from anontrace.companion.addresses import registration
from anontrace.companion.schedule import dummies, run, scheduled_polls
from anontrace.mixnet import keydays, kinds, relay
from anontrace.mixnet.header import GROUPED
from anontrace.mixnet.sizes import MESSAGE, PAYLOAD
from anontrace.mixnet.swap import NEW, Swap
from anontrace.wire.levels import Level
from anontrace_shared import schedule
from anontrace_shared.slots import SLOTS_PER_DAY, slot_of

from tests.companion.paper import START, PaperNetwork, Time, Wearer, exposure, make_transparent

DAY = 86400
DAYS = 8
EVERY = 24  # of so many slots one has an address: twelve a day, and a twenty-fourth of the traffic
WEARERS, LEAKY = 8, 3
ADDRESSES_TOLD = 3
HOPS = 4
LEVEL = Level(
    "crowd", messages=20, batch=3, looks=3, digests=20, sums=4, window_days=5, receipts=8, renewals=12,
    new=SLOTS_PER_DAY / EVERY,
)  # fmt: skip


@dataclass(frozen=True)
class Message:
    """A message as its first mix sees it: when, at which mix, and its header (141)."""

    time: float
    mix: int
    header: bytes


@dataclass(frozen=True)
class Swapped:
    """A swap as the nymserver sees it, and when."""

    time: float
    swap: Swap

    @property
    def key(self) -> bytes:
        """The nym key that it is for."""
        return self.swap.key

    @property
    def is_new(self) -> bool:
        """Whether that key is new."""
        return self.swap.authentication == NEW


@dataclass
class Watched(PaperNetwork):
    """The network on paper, with all that its parts see of one wearer written down, each where that part sees it."""

    delays: Random = field(default_factory=Random)
    connections: list[tuple[float, str, str]] = field(default_factory=list)  # when, to which server, for what
    from_client: list[Message] = field(default_factory=list)
    from_nymserver: list[Message] = field(default_factory=list)
    swaps: list[Swapped] = field(default_factory=list)
    arrivals: list[tuple[float, bytes]] = field(default_factory=list)  # when, in which group
    answered: list[float] = field(default_factory=list)  # when the nymserver got an answer to the health authority
    _moment: float | None = None  # at which the nymserver takes what it is now given

    def _answer(self, url: str, body: bytes) -> bytes:
        _, _, host, _, kind, *_ = url.split("/")
        self.connections.append((clock.now(), host, kind))
        if kind == "messages":
            for at in range(0, len(body), MESSAGE):
                self.from_client.append(Message(clock.now(), int(host), body[at : at + MESSAGE - PAYLOAD]))
        return super()._answer(url, body)

    def _deliver(self, *arguments: Any) -> None:
        outer = self._moment
        self._moment = self._later()
        super()._deliver(*arguments)
        self._moment = outer

    def _later(self) -> float:
        """When what is sent now has gone through its mixes."""
        begin = clock.now() if self._moment is None else self._moment
        return begin + sum(self.delays.expovariate(1 / MixSettings().delay) for _ in range(HOPS))

    def _send(self, first_mix: int, header: bytes, payload: bytes) -> None:
        if header not in self.relayed:
            self.from_nymserver.append(Message(self._moment or clock.now(), first_mix, header))
        super()._send(first_mix, header, payload)

    def _answer_of_contact(self, payload: bytes) -> None:
        assert self._moment is not None  # it was delivered
        self.answered.append(self._moment)
        super()._answer_of_contact(payload)

    def _swap(self, wanted: Swap) -> None:
        assert self._moment is not None  # it was delivered
        self.swaps.append(Swapped(self._moment, wanted))
        super()._swap(wanted)

    def arrive(self, mailbox: bytes, payload: bytes, version: int = GROUPED) -> None:
        assert self._moment is not None
        self.arrivals.append((self._moment, mailbox[:16]))
        super().arrive(mailbox, payload, version)


class Companion(Wearer):
    """A wearer of whom there can be many: quick on a disk of its own, and reads the directory of a day once."""

    keep_house_seconds = DAY
    _day, _opened = -1, None
    network: Watched

    def __init__(
        self, folder: Path, time: Time, patch: pytest.MonkeyPatch, number: int, transparent: bool = True
    ) -> None:
        super().__init__(folder, time, patch, LEVEL, number)
        self.network = Watched(transparent=transparent, delays=Random(number))
        self.state._db.row("PRAGMA journal_mode = MEMORY")

    def _servers(self, opened: Any) -> Any:
        if self._day != keydays.day_at(self.time.now):
            self._day, self._opened = keydays.day_at(self.time.now), super()._servers(opened)
        return nullcontext(self._opened)

    def leak(self, patch: pytest.MonkeyPatch) -> None:
        """From now on: the dummy is sent by this companion itself, and it looks and fetches once more when told."""
        ask = dummies.ask

        def sent_directly(old: Any) -> bytes:
            asked = relay.Relay.decode(ask(old))
            self.network.from_client.append(Message(clock.now(), asked.first_mix, asked.header))
            return kinds.cover()

        poll = self.run._tasks[run.POLL]

        def and_again(state: Any, servers: Any) -> None:
            said = len(self.events)
            poll(state, servers)
            if any(event.news for event in self.events[said:]):
                scheduled_polls.poll(state, servers, LEVEL, Random(0))
                self.network.connections.append((clock.now(), "discovery", "directory"))

        patch.setattr(dummies, "ask", sent_directly)
        self.run._tasks[run.POLL] = and_again


@dataclass
class Life:
    """Some days of one wearer. `told`: nym key and moment of each notification, as the nymserver knows them anyway;
    `sent`: the notifications themselves."""

    number: int
    network: Watched
    told: list[tuple[bytes, float]]
    sent: list[Outgoing]
    slots: dict[bytes, int]  # slots of the wearer's addresses, by nym key: the truth that guesses are held against


@dataclass
class Crowd:
    """Lives by kind: "idle" and "notified" of everybody, "leaky" of some."""

    idle: list[Life]
    notified: list[Life]
    leaky: list[Life]


def scale_down(patch: pytest.MonkeyPatch) -> Time:
    """From now on time is simulated, and one slot of `EVERY` has an address."""
    time = Time()
    patch.setattr(clock, "now", lambda: time.now)
    patch.setattr(run, "MIN_SLOTS", 0)  # with gaps there is no horizon
    patch.setattr(run, "BADGE_SYNCS", 1)
    make = registration.make

    def some(opened: Any, servers: Any, badge: Any, first: int, end: int, *rest: Any) -> int:
        slots = range(first + -first % EVERY, end, EVERY)
        return sum(make(opened, servers, badge, slot, slot + 1, *rest) for slot in slots)

    patch.setattr(registration, "make", some)
    return time


def gather(folder: Path, patch: pytest.MonkeyPatch) -> Crowd:
    """Let everybody live."""
    time = scale_down(patch)
    make_transparent(patch)
    lives = {
        kind: [_live(folder / f"{kind}-{number}", time, patch, kind, number) for number in range(count)]
        for kind, count in (("idle", WEARERS), ("notified", WEARERS), ("leaky", LEAKY))
    }
    return Crowd(**lives)


def answers_too(kind: str, number: int) -> bool:
    """Whether this wearer answers."""
    return kind == "notified" and number % 2 == 1


def _live(folder: Path, time: Time, patch: pytest.MonkeyPatch, kind: str, number: int) -> Life:
    time.now = float(START)
    chance = Random(number)
    with patch.context() as own:
        wearer = Companion(folder, time, own, number)
        if kind == "leaky":
            wearer.leak(own)
        wearer.until(START + chance.uniform(4, 5) * DAY)
        told, sent = [], []
        if kind != "idle":
            held = {
                slot: each
                for slot, each in wearer.addresses(slot_of(START), slot_of(time.now) - slot_of(START)).items()
                if schedule.nym_key(each, slot) in wearer.network.nyms
            }
            content = replace(exposure(secrets.token_bytes(16), secrets.token_bytes(8)), rule_minutes=5)
            for slot in chance.sample(sorted(held), ADDRESSES_TOLD):
                told.append((schedule.nym_key(held[slot], slot), time.now))
                sent.append(Outgoing(held[slot], slot, content.encode()))
                wearer.network.notify(held[slot], slot, content)
        if answers_too(kind, number):
            wearer.until(time.now + 1.5 * DAY)
            wearer.answer()
            wearer.until(time.now + DAY)
            wearer.network.write_back("Come at nine")
        wearer.until(START + DAYS * DAY)
        assert [each.letter for each in wearer.state.contact_answers.all()] == ["Come at nine"] * len(
            wearer.network.answered
        )
        found = wearer.addresses(slot_of(START), (DAYS + 3) * 288)
        assert any(event.news for event in wearer.events) == (kind != "idle")
        wearer.close()
    slots = {schedule.nym_key(each, slot): slot for slot, each in found.items()}
    return Life(number, wearer.network, told, sent, slots)

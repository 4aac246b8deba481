"""A wearer with a badge on the virtual radio and a companion's session to it, for tests of the whole firmware."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.radio import Radio
from anontrace_primitives import x25519_base
from anontrace_shared import commands, names, schedule, slots

from tests.patience import HANG_SECONDS
from tools.simulator.air import Air

START = 1_750_000_200  # the first second of a slot
SILENCE = 10  # seconds at most, before a turn and after it
LOG_SECRET = bytes(range(1, 33))
Answer = TypeVar("Answer")


@dataclass
class Wearer:
    """A badge, its keys as its companion knows them, and the companion's adapter."""

    air: Air
    name: str
    flash: Path
    owner_key: bytes
    day_key: bytes
    port: int
    day: int = slots.day_of(slots.slot_of(START))
    given: frozenset[bytes] = frozenset()  # addresses by list

    def address(self, slot: int) -> bytes:
        """K(slot)."""
        return schedule.address_at(schedule.day_key(self.day_key, self.day, slots.day_of(slot)), slot)

    def is_own(self, data: bytes) -> bool:
        """Whether an advert's 20 bytes are this badge's."""
        now = slots.slot_of(self.air.now)
        return (
            data in self.given
            or schedule.is_beacon(schedule.beacon_key(self.owner_key), data)
            or any(data == self.address(slot) for slot in (now - 1, now, now + 1))
        )

    async def talk(
        self, task: Callable[[BadgeLink], Awaitable[Answer]], *, port: int | None = None, key: bytes | None = None
    ) -> Answer:
        """Find the badge over the air, open a session, do `task`; by another adapter or with another key if given."""
        self.air.realtime(4, talking=1)
        try:
            async with Radio(f"bumble:tcp-client:127.0.0.1:{port or self.port}") as radio:
                found = await radio.find(self.is_own, 20)
                async with radio.connect(found) as pipe:
                    link = BadgeLink(pipe, key or self.owner_key)
                    await link.open()
                    return await task(link)
        finally:
            self.air.hold()

    async def provision(self, horizon_slots: int = 1000, set_time: bool = True) -> None:
        """Set the clock and provision as ratchet, with a horizon that many slots ahead."""

        async def task(link: BadgeLink) -> None:
            if set_time:
                await link.ask(commands.SET_TIME, round(self.air.now * 1000))
            horizon = slots.slot_of(self.air.now) + horizon_slots
            log_key = x25519_base(LOG_SECRET)
            await link.ask(
                commands.PROVISION,
                commands.Provision(commands.RATCHET, log_key, horizon, self.day, self.day_key),
            )

        await self.talk(task)

    async def set_time(self, wrong: float = 0) -> int:
        """Set the badge's clock, so many seconds wrong; the correction in ms."""

        async def task(link: BadgeLink) -> int:
            (correction,) = await link.ask(commands.SET_TIME, round((self.air.now + wrong) * 1000))
            return int(correction)

        return await self.talk(task)

    async def pull(self) -> bytes:
        """The whole log, without freeing it."""
        return await self.talk(self.pull_from)

    @staticmethod
    async def pull_from(link: BadgeLink) -> bytes:
        """The same within a session."""
        await link.ask(commands.LOG_ROTATE)
        (segments,) = await link.ask(commands.LOG_LIST, 0)
        data = b""
        for number, size in segments:
            piece = b""
            async for chunk in link.stream(commands.LOG_READ, number, 0, size):
                piece += chunk
            assert len(piece) == size
            data += piece
        return data


@dataclass
class Town:
    """An air and the wearers in it."""

    air: Air
    folder: Path

    async def wearer(
        self,
        name: str,
        *,
        main: Path | None = None,
        ppm: int = 0,
        sleep_ppm: int = 0,
        owned: bool = True,
        board: str | None = None,
    ) -> Wearer:
        """Switch on a new badge, with its companion's adapter near it.

        Its crystal is `ppm` fast, its oscillator in light sleep `sleep_ppm`. `main` in place of the firmware's main.py;
        `board` is its board.json. The heap is locked while an interrupt handler runs: one that allocates is reported in
        what the badge has `printed`.
        """
        flash = self.folder / name / "flash"
        flash.mkdir(parents=True)
        owner_key = bytes([len(name)]) + name.encode().ljust(31, b"o") if owned else names.NO_OWNER
        if owned:
            (flash / "owner.key").write_bytes(owner_key)
        if board is not None:
            (flash / "board.json").write_text(board)
        await self.air.start_badge(name, flash, main=main, ppm=ppm, sleep_ppm=sleep_ppm, lock_heap=True)
        port = await self.air.add_adapter(name + " desk")
        self.air.set_range(name, name + " desk", -50)
        return Wearer(self.air, name, flash, owner_key, name.encode().ljust(32, b"d"), port)

    def printed(self, name: str) -> str:
        """What a badge has printed: nothing, if all is well."""
        return self.air.badges[name].log.read_text()


Play = Callable[[Callable[[Town], Awaitable[None]]], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Plays a coroutine function that takes a Town."""

    def run(story: Callable[[Town], Awaitable[None]]) -> None:
        @asynccontextmanager
        async def town() -> AsyncIterator[Town]:
            async with Air(tmp_path / "clock", START) as air:
                yield Town(air, tmp_path)

        async def main() -> None:
            async with asyncio.timeout(HANG_SECONDS), town() as place:
                await story(place)

        asyncio.run(main())

    return run

"""What a recording is worth: whoever has recorded a badge's owner, or a challenge, plays it to badges again.

The recorder hears all that goes over the air, and connects as any stranger can.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from anontrace import clock
from anontrace.companion.badge import own
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.radio import Found, GattPipe, Radio
from anontrace.companion.errors import BadgeAnswerError, BadgeLinkError
from anontrace.companion.store import state
from anontrace_shared import slots

from tests.firmware.conftest import Play, Town, Wearer
from tests.patience import HANG_SECONDS

FRAME = 50  # bytes of a handshake's frame


async def near(wearer: Wearer, task: Callable[[GattPipe], Awaitable[bytes]]) -> bytes:
    """Do `task` by a connection to the badge, whatever it advertises."""
    async with Radio(f"bumble:tcp-client:127.0.0.1:{wearer.port}") as radio:
        found = await radio.find(wearer.is_own, 60)
        async with radio.connect(found) as pipe:
            return await task(pipe)


async def record(wearer: Wearer) -> bytes:
    """The first frame of a session of the owner's."""

    async def task(pipe: GattPipe) -> bytes:
        sent: list[bytes] = []
        write = pipe.write

        async def overheard(data: bytes) -> None:
            sent.append(data)
            await write(data)

        pipe.write = overheard  # type: ignore[method-assign]
        link = BadgeLink(pipe, wearer.owner_key)
        await link.open()
        await link.info()
        return sent[0]

    return await near(wearer, task)


async def replay(wearer: Wearer, recorded: bytes) -> int:
    """How many bytes a badge answers to it before it hangs up."""

    async def task(pipe: GattPipe) -> bytes:
        await pipe.write(recorded)
        answer = b""
        try:
            while True:
                answer += await asyncio.wait_for(pipe.read(), HANG_SECONDS)
                if len(answer) == FRAME:
                    await pipe.write((17).to_bytes(2, "little") + bytes(17))  # all that can be done without the keys
        except BadgeLinkError:
            return answer

    return len(await near(wearer, task))


async def turn(town: Town, by: int = 1) -> None:
    """On to the middle of a later slot."""
    air = town.air
    await air.run_until(slots.slot_start(slots.slot_of(air.now) + by) + 150)


def test_a_recorded_first_frame_is_worth_its_slot_and_then_all_badges_are_alike(play: Play) -> None:
    async def story(town: Town) -> None:
        ada, bob, new = await town.wearer("ada"), await town.wearer("bob"), await town.wearer("new")
        await ada.provision()
        await bob.provision()
        await turn(town)
        town.air.realtime(4)
        recorded = await asyncio.gather(record(ada), record(new))  # new has an owner and no time: it sends beacons
        assert [len(frame) for frame in recorded] == [FRAME, FRAME]

        async def replays() -> list[list[int]]:
            """How many bytes each badge answers to each recording."""
            town.air.realtime(4)

            async def to(wearer: Wearer) -> list[int]:
                return [await replay(wearer, frame) for frame in recorded]

            found = await asyncio.gather(to(ada), to(bob), to(new))
            town.air.hold()
            return found

        assert await replays() == [[FRAME, 0], [0, 0], [0, FRAME]]
        for _ in range(2):
            await turn(town)
            assert await replays() == [[0, 0], [0, 0], [0, 0]]
        assert {town.printed(name) for name in ("ada", "bob", "new")} == {""}

    play(story)


def test_a_slot_that_turns_in_the_middle_of_a_handshake_is_not_noticed_by_the_wearer(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada = await town.wearer("ada")
        await turn(town)
        monkeypatch.setattr(clock, "now", lambda: air.now)
        state.create(town.folder / "state")
        connected: list[bytes] = []

        class Turning(Radio):
            @asynccontextmanager
            async def connect(self, found: Found) -> AsyncIterator[GattPipe]:
                async with super().connect(found) as pipe:
                    connected.append(found.advertised)
                    if len(connected) == 1:  # between the advert and the first frame
                        await turn(town)
                    yield pipe

        monkeypatch.setattr(own, "Radio", Turning)
        with state.changing(town.folder / "state") as opened:
            opened.badges.ensure(ada.day)
            badge = dataclasses.replace(opened.badges.get(), owner_key=ada.owner_key)
            air.realtime(4)
            info = await own.converse(
                opened, f"bumble:tcp-client:127.0.0.1:{ada.port}", badge, lambda link: link.info(), 60
            )
        assert info.boot == 1 and len(set(connected)) == 2

    play(story)


def test_older_firmware_is_told_so_and_gets_no_frame(play: Play) -> None:
    async def story(town: Town) -> None:
        ada = await town.wearer("ada", main=Path(__file__).parent / "on_badge" / "older_main.py")
        town.air.realtime(4)
        with pytest.raises(BadgeAnswerError, match=r"older firmware .* update it by cable"):
            await record(ada)

    play(story)

"""What a recording is worth: of a badge's owner, played to badges again, and of a badge, played to its companion.

The recorder hears all that goes over the air, and connects as any stranger can.
"""

import asyncio
import dataclasses
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from anontrace import clock
from anontrace.companion.badge import link, own
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.radio import Found, GattPipe, Radio
from anontrace.companion.errors import BadgeAnswerError, BadgeLinkError, BadgeNotFoundError
from anontrace.companion.store import state
from anontrace.companion.store.addresses import NewSurb
from anontrace_shared import slots

from tests.firmware.conftest import Play, Town, Wearer
from tests.patience import HANG_SECONDS

FRAME = 50  # bytes of a handshake's frame
PLAYER = Path(__file__).parent / "on_badge" / "playing_main.py"


def surb(number: int) -> NewSurb:
    """What is stored beside a contact address."""
    mailbox = number.to_bytes(32, "big")
    return NewSurb(server=5, mailbox=mailbox, until=2**31, authentication=bytes(32), blob=bytes(174), secrets=b"")


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


class Player:
    """Plays back to companions what was recorded of their badges, which are out of their range meanwhile."""

    def __init__(self, town: Town, opened: state.State) -> None:
        self._air = town.air
        self._flash = town.folder / "eve" / "flash"
        self._state = opened
        self._heard: dict[str, dict[bytes, None]] = defaultdict(dict)
        town.air.sniff(lambda sighting: self._heard[sighting.sender].setdefault(sighting.data[9:]))

    async def begin(self) -> None:
        self._flash.mkdir(parents=True)
        await self._air.start_badge("eve", self._flash, main=PLAYER)
        self._port = await self._air.add_adapter("desk")

    def recorded(self, wearer: Wearer) -> list[bytes]:
        """What was heard of a badge since that was asked for last, in that order."""
        return list(self._heard.pop(wearer.name, ()))

    async def search(self, wearer: Wearer, number: int, near: str, seconds: float) -> bool:
        """Let the companion look for its badge, with one sender near; whether it had a session with it."""
        badge = self._state.badges.get(number)
        assert badge is not None
        badge = dataclasses.replace(badge, owner_key=wearer.owner_key)
        adapter = f"bumble:tcp-client:127.0.0.1:{self._port}"
        self._air.set_range(near, "desk", -50)
        self._air.realtime(10, talking=1)
        try:
            return await own.converse(self._state, adapter, badge, lambda link: link.info(), seconds) is not None
        except (BadgeNotFoundError, BadgeLinkError):
            return False
        finally:
            self._air.hold()
            self._air.set_range(near, "desk", None)

    async def draws(self, wearer: Wearer, number: int, recorded: list[bytes]) -> int | None:
        """How many bytes the companion writes to whoever plays these recordings; None if it does not even connect."""
        drawn = self._flash / "drawn"
        drawn.unlink(missing_ok=True)
        (self._flash / "recorded").write_bytes(b"".join(recorded))
        assert not await self.search(wearer, number, "eve", 1 + 0.04 * len(recorded))
        (self._flash / "recorded").unlink()
        await self._air.run_for(3)
        lines = drawn.read_text().splitlines() if drawn.exists() else []
        return sum(int(line.split()[1]) for line in lines if line != "connected") if lines else None


def test_what_was_recorded_of_a_badge_draws_its_companion_in_that_slot_alone(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(town: Town) -> None:
        air = town.air
        monkeypatch.setattr(clock, "now", lambda: air.now)
        monkeypatch.setattr(own, "ATTEMPTS", 1)
        monkeypatch.setattr(link, "HANDSHAKE_SECONDS", 0.5)
        ada, bob, new = await town.wearer("ada"), await town.wearer("bob"), await town.wearer("newcomer")
        wearers = (ada, bob, new)
        await ada.provision()  # sends contact addresses
        await bob.provision(horizon_slots=0)  # sends beacons, and knows the time; `new` does not know it
        state.create(town.folder / "state")
        with state.changing(town.folder / "state") as opened:
            first = slots.slot_of(air.now)
            for number, wearer in enumerate(wearers, 1):
                opened.badges.set_synced(opened.badges.add(wearer.day), {}, int(air.now))
                if wearer is ada:
                    made = [(slot, ada.address(slot), surb(slot - first)) for slot in range(first, first + 30)]
                    opened.addresses.add(number, made, int(air.now))
            eve = Player(town, opened)
            await eve.begin()

            async def drawn(by_each: list[list[bytes]]) -> list[int | None]:
                return [await eve.draws(wearer, i + 1, by_each[i]) for i, wearer in enumerate(wearers)]

            async def found() -> list[bool]:
                return [await eve.search(wearer, i + 1, wearer.name, 5) for i, wearer in enumerate(wearers)]

            await turn(town)
            fresh = [eve.recorded(wearer)[-1:] for wearer in wearers]
            assert await drawn(fresh) == [FRAME, FRAME, FRAME]  # in its slot it is as good as the badge

            await turn(town)  # later the slot tells; who knows no time tells no more than that it was before a session
            assert await drawn(fresh) == [None, None, FRAME]
            assert await found() == [True, True, True]

            await turn(town, 12)
            hour = [sent for wearer in wearers for sent in eve.recorded(wearer)]
            assert len(hour) >= 36 and await found() == [True, True, True]
            await turn(town, 3)
            assert await drawn([hour, hour, hour]) == [None, None, None]
            assert await found() == [True, True, True]
            assert {town.printed(name) for name in ("ada", "bob", "newcomer", "eve")} == {""}

    play(story)

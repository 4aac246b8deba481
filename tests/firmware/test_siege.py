"""Ten clients at once at one badge, each with another attack on the owner's session: it goes on hearing and logging.

The stack takes four connections at a time; whoever finds no room comes again. Time is the air's, so a slow machine is
no attack.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.badge.radio import GattPipe, Radio
from anontrace.companion.errors import BadgeLinkError, CompanionError
from anontrace_shared import commands, slots
from anontrace_shared.session import MAX_BODY, CompanionSession

from tests.firmware.conftest import Play, Town
from tests.firmware.test_on_air import contacts
from tests.patience import HANG_SECONDS

Attack = Callable[[GattPipe], Awaitable[None]]


async def hung_up(pipe: GattPipe) -> None:
    """The badge ends the connection without a word."""
    with pytest.raises(BadgeLinkError):
        raise AssertionError(await asyncio.wait_for(pipe.read(), HANG_SECONDS))


def test_ten_clients_at_once_cost_no_contact_and_the_owner_gets_in_afterwards(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada, bob = await town.wearer("ada"), await town.wearer("bob")
        await ada.provision()
        await bob.provision()
        air.set_range("ada", "bob", -60)
        slot = slots.slot_of(air.now) + 1

        async def wrong_key(pipe: GattPipe) -> None:
            await pipe.write(CompanionSession(bytes(32), pipe.advertised).open())
            await hung_up(pipe)

        async def noise(pipe: GattPipe) -> None:
            await pipe.write(bytes(range(50, 250)))
            await hung_up(pipe)

        async def silence(pipe: GattPipe) -> None:
            await hung_up(pipe)

        async def replay_handshake(pipe: GattPipe) -> None:
            recorded = CompanionSession(ada.owner_key, pipe.advertised).open()  # in this slot
            await pipe.write(recorded)
            assert len(await pipe.read()) == len(recorded)
            await pipe.write((17).to_bytes(2, "little") + bytes(17))  # all that can be done without the keys
            await hung_up(pipe)

        async def opened(pipe: GattPipe) -> tuple[BadgeLink, bytes]:
            """A session of the owner's, and the frame of the request that it has asked."""
            sent: list[bytes] = []
            write = pipe.write

            async def record(data: bytes) -> None:
                sent.append(data)
                await write(data)

            pipe.write = record  # type: ignore[method-assign]
            link = BadgeLink(pipe, ada.owner_key)
            await link.open()
            await link.info()
            return link, sent[-1]

        async def replay_frame(pipe: GattPipe) -> None:
            _, frame = await opened(pipe)
            await pipe.write(frame)
            await hung_up(pipe)

        async def oversize_frame(pipe: GattPipe) -> None:
            await opened(pipe)
            await pipe.write((MAX_BODY + 1).to_bytes(2, "little") + bytes(100))
            await hung_up(pipe)

        async def vanish(pipe: GattPipe) -> None:
            link, _ = await opened(pipe)
            (segments,) = await link.ask(commands.LOG_LIST, 0)
            async for piece in link.stream(commands.LOG_READ, segments[0][0], 0, segments[0][1]):
                assert piece
                air.set_range("ada", "vanish", None)

        done: list[str] = []

        async def client(name: str, attack: Attack) -> None:
            port = await air.add_adapter(name)
            air.set_range("ada", name, -60)
            while name not in done:
                try:
                    async with Radio(f"bumble:tcp-client:127.0.0.1:{port}") as radio:
                        found = await radio.find(ada.is_own, 60)
                        async with radio.connect(found) as pipe:
                            await attack(pipe)
                except CompanionError:
                    if attack is not vanish:
                        continue  # no room, or another of the owner's sessions took its place
                done.append(name)

        attacks: dict[str, Attack] = {
            "wrong key": wrong_key,
            "wrong key again": wrong_key,
            "noise": noise,
            "silence": silence,
            "more silence": silence,
            "replayed handshake": replay_handshake,
            "the same again": replay_handshake,
            "replayed frame": replay_frame,
            "oversize frame": oversize_frame,
            "vanish": vanish,
        }
        await air.run_until(slots.slot_start(slot + 1) + 30)
        air.realtime(4)
        await asyncio.gather(*[client(name, attack) for name, attack in attacks.items()])
        air.hold()
        assert sorted(done) == sorted(attacks)
        await air.run_until(slots.slot_start(slot + 2) + 5)
        found = contacts(await ada.pull())
        for one in (slot, slot + 1):
            figures = found[one][bob.address(one)]
            assert (figures.first, figures.last, figures.present) == (0, 14, 15), "heard in every third of a minute"
        info = await ada.talk(lambda link: link.info())
        assert info.boot == 1 and info.dropped == 0
        assert town.printed("ada") == town.printed("bob") == ""

    play(story)

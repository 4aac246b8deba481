"""A megabyte of log over the virtual radio at MTU 247: in a minute at most, resumable, acknowledged, then freed.

Time is the air's, at real-time scale. The figures: `python -m tools.bench --only pull`.
"""

import pytest
from anontrace.companion.badge.link import BadgeLink
from anontrace.companion.errors import BadgeLinkError, BadgeRefusedError
from anontrace_primitives import x25519_base
from anontrace_shared import commands, log

from tests.firmware.conftest import LOG_SECRET, Play, Town
from tools.bench import pull
from tools.simulator import flash

MAX_ROUND_TRIPS = 200  # in a megabyte


def test_a_megabyte_in_a_minute_resumed_acknowledged_then_freed(play: Play) -> None:
    async def story(town: Town) -> None:
        air = town.air
        ada = await town.wearer("ada")
        # The flash as after days in a crowd; the badge finds it at its next boot.
        await air.badges["ada"].power_off()
        flash.remove(ada.flash, *[path for path in flash.files(ada.flash) if path.startswith("log/")])
        whole = pull.write_log(ada.flash, pull.MEGABYTE, x25519_base(LOG_SECRET))
        await air.restart_badge("ada")
        tally = pull.Tally()
        got: dict[int, bytes] = {}
        sizes: dict[int, int] = {}

        async def begin(link: BadgeLink) -> None:
            start = air.now
            (end,) = await link.ask(commands.LOG_ROTATE)
            (listed,) = await link.ask(commands.LOG_LIST, 0)
            tally.requests += 2
            sizes.update({number: size for number, size in listed if number < end})
            for number in sorted(sizes)[:5]:
                got[number] = await pull.fetch(link, number, 0, sizes[number], tally)
            number = sorted(sizes)[5]
            got[number] = b""
            tally.requests += 1
            try:
                async for piece in link.stream(commands.LOG_READ, number, 0, sizes[number]):
                    got[number] += piece
                    tally.bytes += len(piece)
                    if len(got[number]) > 20_000:
                        air.set_range("ada", "ada desk", None)  # the wearer walks away in mid-stream
            finally:
                tally.seconds += air.now - start

        with pytest.raises(BadgeLinkError):
            await ada.talk(begin)
        air.set_range("ada", "ada desk", -50)
        # Nothing was acknowledged, so nothing is gone, not even over a power cut.
        await air.restart_badge("ada")

        async def resume(link: BadgeLink) -> None:
            start = air.now
            (listed,) = await link.ask(commands.LOG_LIST, 0)
            assert sizes.items() <= dict(listed).items()
            tally.requests += 2
            for number, size in sorted(sizes.items()):
                have = got.get(number, b"")
                if len(have) < size:
                    got[number] = have + await pull.fetch(link, number, len(have), size, tally)
            assert b"".join(got[number] for number in sorted(got)) == whole
            assert await link.ask(commands.LOG_FREE, max(sizes) + 1) == (len(sizes),)
            tally.seconds += air.now - start
            with pytest.raises(BadgeRefusedError):
                await link.ask(commands.LOG_READ, min(sizes), 0, 10)
            assert not any(number in sizes for number, _ in (await link.ask(commands.LOG_LIST, 0))[0])

        await ada.talk(resume)
        assert not [path for path, data in flash.files(ada.flash).items() if path.startswith("log/") and data]
        assert tally.bytes == len(whole) >= pull.MEGABYTE, "nothing came twice"
        assert tally.seconds <= pull.MAX_SECONDS, tally
        assert tally.requests <= MAX_ROUND_TRIPS, tally
        blocks = list(log.blocks(whole))
        assert all(isinstance(block, log.Block) for block in blocks)
        assert len(log.open_block(LOG_SECRET, blocks[-1])) == pull.CONTACTS
        assert town.printed("ada") == ""

    play(story)

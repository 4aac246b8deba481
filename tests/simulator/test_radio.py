"""Who hears whom, how loud, how often; and that the same street lived twice is the same."""

import asyncio
import functools
import itertools
import struct
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests.simulator.conftest import Street
from tools.simulator.air import Sighting

Make = Callable[..., AbstractAsyncContextManager[Street]]


def heard(air: Street, name: str) -> list[list[str]]:
    """What a badge heard: ticks, address type, address, kind, rssi, identity."""
    return [line.split()[1:] for line in air.said(name) if line.startswith("heard")]


def test_range_and_signal_strength(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            sent: list[Sighting] = []
            air.sniff(sent.append)
            for name in ("ada", "bob", "cem"):
                await air.badge(name, "beacon")
            await air.run_for(10)
            assert not heard(air, "ada") and not heard(air, "bob") and not heard(air, "cem")
            air.set_range("ada", "bob", -60)
            await air.run_for(10)
            air.set_range("ada", "bob", -81)
            await air.run_for(10)
            air.set_range("ada", "bob", None)
            await air.run_for(10)
            assert not heard(air, "cem")
            theirs = [one for one in sent if one.sender == "bob" and 10 < one.time - 1_750_000_200 <= 30]
            reports = heard(air, "ada")
            # one report for each event, no copies, no scan responses; nothing lost in a scan without pauses
            assert len(reports) == len(theirs) == 40 - 1 or len(reports) == len(theirs) == 40
            assert {report[3] for report in reports} == {"0"}
            assert {report[2] for report in reports} == {one.address.hex() for one in theirs}
            assert {report[1] for report in reports} == {"1"}
            assert {report[5] for report in reports} == {air.badges["bob"].unique_id.hex()}
            assert [report[4] for report in reports] == ["-60" if int(r[0]) <= 20_000 else "-81" for r in reports]
            # the handler sees the moment of the event, not of its delivery
            for report, one in zip(reports, theirs, strict=True):
                assert abs(int(report[0]) / 1000 - (one.time - 1_750_000_200)) < 0.0011
            # 500 ms and a random delay of up to 10
            gaps = [round(b.time - a.time, 6) for a, b in itertools.pairwise(theirs)]
            assert all(0.5 <= gap <= 0.51 for gap in gaps) and len(set(gaps)) > 10

    asyncio.run(job())


def test_adverts_that_reach_nobody_are_not_played(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            for name in ("ada", "bob"):
                await air.badge(name, "beacon")
            calls = 0
            advertise = air.ether.advertise

            def counted(*arguments: Any) -> None:
                nonlocal calls
                calls += 1
                advertise(*arguments)

            air.ether.advertise = counted  # type: ignore[method-assign]
            await air.run_for(1000)
            assert calls == 0
            air.set_range("ada", "bob", -60)
            await air.run_for(0.6)  # an interval and a bit
            assert calls in (2, 3, 4)
            assert heard(air, "ada") and heard(air, "bob")
            air.set_range("ada", "bob", None)
            calls = 0
            await air.run_for(1000)
            assert calls == 0
            air.sniff(lambda _sighting: None)
            await air.run_for(0.6)
            assert calls in (2, 3, 4)

    asyncio.run(job())


def test_duty_cycle(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            await air.badge("ada", "beacon")
            await air.badge("bob", "beacon")
            radio = air.badges["ada"].radio
            radio.start_scan(1600, 400, False)  # a quarter of every second
            air.set_range("ada", "bob", -60)
            await air.run_for(1000)
            share = len(heard(air, "ada")) / len(heard(air, "bob"))
            assert 0.2 < share < 0.3

    asyncio.run(job())


def test_the_same_run_twice(street: Make) -> None:
    async def job(folder: str, seed: str = "x") -> tuple[list[str], list[Sighting], bytes]:
        async with street(folder, seed=seed) as air:
            sent: list[Sighting] = []
            air.sniff(sent.append)
            for name in ("ada", "bob", "cem"):
                await air.badge(name, "beacon")
            for minute in range(5):
                air.set_range("ada", "bob", -50 - minute)
                air.set_range("cem", "bob", -70 if minute % 2 else None)
                await air.run_for(60)
            return [line for name in ("ada", "bob", "cem") for line in air.said(name)], sent, air.clock_bytes()

    first = asyncio.run(job("first"))
    assert len(first[0]) > 1000
    assert first == asyncio.run(job("second"))
    assert first != asyncio.run(job("third", "y"))
    assert struct.unpack("<d", first[2])[0] == 1_750_000_500


def test_time_that_has_passed_cannot_be_reached(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            await air.badge("ada", "beacon")
            await air.run_for(5)
            with pytest.raises(ValueError, match=r"the clock is 2\.000 s past that time"):
                await air.run_until(air.now - 2)
            with pytest.raises(ValueError, match="nobody here is called 'zoe'"):
                air.set_range("ada", "zoe", -50)

    asyncio.run(job())


def test_realtime_and_hold(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            await air.badge("ada", "beacon")
            start = air.now
            await asyncio.sleep(0.1)
            assert air.now == start
            air.realtime(20)
            await asyncio.sleep(0.5)
            air.hold()
            assert 5 < air.now - start < 15
            held = air.now
            await asyncio.sleep(0.1)
            assert air.now == held

    asyncio.run(job())


def test_strangers_can_be_heard(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            badge = await air.badge("ada", "beacon")
            for number in range(100):  # many times what the badge's buffer holds
                badge.hear(bytes((0, 0, 0, 0, 0, number)), bytes(31), -90)
            await air.run_for(2)
            assert [report[2] for report in heard(air, "ada")] == [f"0000000000{number:02x}" for number in range(100)]

    asyncio.run(job())


def test_tasks_run_between_the_events_of_a_batch(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            badge = await air.badge("ada", "waker")
            start = air.clock.now
            for number in range(40):
                air.clock.at(start + 10_000 * number, functools.partial(badge.hear, bytes(6), bytes((number,)), -50))
            await air.run_for(5)
            said = air.said("ada")
            # each is dealt with at its own time, and the sleep of 5 ms in between ends on time
            assert said == [f"{10 * number} {number} {10 * number + 5}" for number in range(40)]

    asyncio.run(job())

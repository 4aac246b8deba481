"""The modules that stand in for the ESP32 port's: errors, clocks, pins, and how interrupts behave."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from tests.patience import HANG_SECONDS
from tests.simulator.conftest import Street
from tools.simulator.badge import BadgeError

Make = Callable[..., AbstractAsyncContextManager[Street]]


def test_what_the_port_refuses(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            await air.badge("ada", "errors")
            assert air.said("ada") == [
                "inactive advertise errno 19",
                "inactive scan errno 19",
                "inactive write errno 19",
                "active [29, 30]",  # it asks for a secret that nobody has, and gives one
                "data too long errno 22",
                "interval too short errno 22",
                "window over interval errno 22",
                "unknown config ValueError",
                "unknown setting ValueError",
                "rxbuf ValueError",
                "mtu errno 22",
                "bad handle returned b''",
                "not connected errno 107",
                "disconnect nobody returned False",
                "stop connecting to nobody errno 114",
                "scan twice errno 114",
                "address while scanning returned None",
                "stopped [6]",
                "stopped again [6]",
                "address while advertising returned None",
                "changed False",
                "register while advertising errno 16",
                "value b'0123456789012345678901234'",
                "value b'text'",
                *["drawn 1 0"] * 20,
                "distinct 20",
                "odd clock ValueError",
                "clock 80000000",
                "same True True UUID(0x2902)",
            ]

    asyncio.run(job())


def test_time_of_the_chip(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            badge = await air.badge("ada", "hours")
            await air.run_for(100)
            said = air.said("ada")
            first = [
                "cause 1 time 0 (2000, 1, 1, 0, 0, 0, 5, 1) 0",
                "wrap 1 7 -7",
                "back (2026, 3, 1, 12, 30, 15)",
                "slept 1500",
                "now (2026, 3, 1, 12, 30, 15) (2026, 3, 1, 6, 12, 30, 15, 250000)",
            ]
            assert said[:5] == first
            # reset by machine.reset() after 11.5 s, then by the watchdog: the clock goes on
            assert said[5].startswith("cause 2 time 825683425 ")
            assert said[9].startswith("now (2026, 3, 1, 12, 30, 27)")
            assert said[10].startswith("cause 3 time ")
            assert said[-1] == "fed"
            assert badge.resets == 2
            # without power it does not
            await air.restart_badge("ada")
            await air.run_for(5)
            assert air.said("ada")[-5:] == first

    asyncio.run(job())


def test_tasks_wake_on_time_for_weeks(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            await air.badge("ada", "weeks")
            await air.run_for(21 * 86400)
            assert air.said("ada") == [f"done {20 * 86400}"]

    asyncio.run(job())


def test_views_die_with_the_handler(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            await air.badge("ada", "keeper")
            await air.badge("bob", "beacon")
            air.set_range("ada", "bob", -60)
            await air.run_for(3)
            inside, outside = air.said("ada")
            assert inside == "inside 020106" + "0916cea7" + air.badges["bob"].unique_id.hex()
            assert outside == "outside " + "dd" * 6 + " " + "dd" * 13

    asyncio.run(job())


@pytest.mark.parametrize("locked", [False, True])
def test_heap_lock_in_handlers(street: Make, locked: bool) -> None:
    async def job() -> None:
        async with street() as air:
            await air.badge("ada", "allocator", lock_heap=locked)
            await air.badge("bob", "beacon")
            air.set_range("ada", "bob", -60)
            await air.run_for(10)
            said = air.said("ada")
            calls = len([line for line in said if line.startswith("called")])
            assert calls == 1 if locked else calls > 15
            assert any("MemoryError" in line for line in said) == locked

    asyncio.run(job())


def test_pins(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            badge = await air.badge("ada", "button")
            lit: list[tuple[float, int, int]] = []
            badge.on_pin = lambda time, pin, level: lit.append((round(time - start, 3), pin, level))
            start = air.now
            for level in (0, 0, 1, 0):
                badge.set_pin(9, level)
                await air.run_for(1)
            refused = ["ValueError invalid pin"] * 2 + ["ValueError pin can only be input", "ValueError invalid pin"]
            assert air.said("ada") == [*refused, "uV 0", "uV 0", "pressed 0 1", "pressed 0 0"]
            assert lit == [(0, 2, 1), (3, 2, 0)]
            badge.set_voltage(35, 1900)
            await air.restart_badge("ada")
            assert air.said("ada")[-2:] == ["uV 1900000", "uV 950000"]

    asyncio.run(job())


def test_in_light_sleep_an_oscillator_keeps_the_time_the_radio_is_silent_and_a_pin_ends_it(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            heard: list[float] = []
            air.sniff(lambda sighting: heard.append(sighting.time - start))
            start = air.now
            badge = await air.badge("ada", "sleeper", sleep_ppm=1000)
            badge.stack.failures = 1
            await air.run_for(40)
            badge.set_pin(0, 0)
            await air.run_for(2)
            badge.set_pin(0, 1)
            await air.run_for(70)
            refused, *slept = air.said("ada")
            assert refused == "ValueError invalid pin for wake" and slept[1:3] == ["errno 5", "up"]
            woken = 1001 * (40 - 3 - 10 / 1.001)  # after three seconds awake and another sleep
            for line, expected, level in zip(
                (slept[0], *slept[3:]), (10_000, woken, 60_000), ("1", "0", "1"), strict=True
            ):
                _, by_ticks, by_clock, button = line.split()
                assert abs(int(by_ticks) - expected) <= 2 and abs(int(by_clock) - expected) <= 2 and button == level
            assert {round(time) for time in heard} <= {0, 1, 12, 13} and 15 < len(heard) < 25

    asyncio.run(job())


def test_a_badge_that_dies_is_reported_with_its_last_words(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            await air.badge("ada", "dies")
            with pytest.raises(BadgeError, match=r"(?s)badge ada ended with exit code 1.*RuntimeError: the end"):
                await air.run_for(10)
            with pytest.raises(BadgeError):
                await air.run_for(10)

    asyncio.run(job())


def test_a_badge_that_resets_for_ever_is_reported(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            with pytest.raises(BadgeError, match="ada was reset 5 times in a row"):
                await air.badge("ada", "resets")

    asyncio.run(job())


def test_a_badge_that_dies_while_companions_are_at_work(street: Make) -> None:
    async def job() -> None:
        async with street() as air:
            await air.badge("ada", "dies")
            air.realtime(50)
            error = await asyncio.wait_for(air.failed(), HANG_SECONDS)
            assert str(error).startswith("badge ada ended with exit code 1; its last words:\nTraceback")

    asyncio.run(job())

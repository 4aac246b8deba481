"""The wearer's page in a real browser, from nothing to a chain passed on: real servers, two badges on the virtual
radio, one wearer at the page and one at the command line."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from anontrace.companion.store import state

from tests.companion.badge.test_badge import World
from tests.companion.conftest import Cli
from tests.companion.loaded import CHEAP
from tests.companion.page.seat import ARGUMENTS, WIDE, Seat
from tests.patience import HANG_SECONDS
from tools import chromium

PASSPHRASE = "four words for nobody"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    if chromium.find() is None:
        pytest.skip("there is no Chromium here (Debian: apt install chromium)")
    (tmp_path / "world").mkdir()
    made = World(tmp_path / "world")
    yield made
    made.close()


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Any]:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=chromium.find(), args=[*ARGUMENTS])
        yield found
        await found.close()


@contextlib.asynccontextmanager
async def passing(world: World) -> AsyncIterator[None]:
    """Time passes on the air meanwhile."""
    world.air.realtime(5, talking=1)
    try:
        yield
    finally:
        world.air.hold()


async def of_ada(world: World, *arguments: str) -> dict[str, Any]:
    """A command of the other wearer's."""
    async with passing(world):
        done = await asyncio.to_thread(world.people["ada"].run, "--json", *arguments)
    assert done.code == 0, done.err
    return done.json


async def meeting(world: World, minutes: int) -> None:
    """The two badges near each other from the beginning of the next slot, and until they have sealed it."""
    await world.air.run_for(300 - world.clock.now % 300)
    world.air.set_range("ada", "bob", -60)
    await world.air.run_for(60 * minutes)
    world.air.set_range("ada", "bob", None)
    await world.air.run_for(360)


async def story(world: World, address: str, folder: Path) -> Seat:
    origin = address.partition("/open/")[0]
    async with browser() as chrome:
        context = await chrome.new_context(base_url=origin, viewport=WIDE, locale="en", reduced_motion="reduce")
        seat = Seat(await context.new_page(), origin)
        await beginning(world, seat, address)
        await near_ada(world, seat)
        await passing_on(world, seat)
        await what_is_left(world, seat, folder)
        await of_another_site(context, origin)
        await context.close()
        return seat


async def beginning(world: World, seat: Seat, address: str) -> None:
    """From an empty state to a badge that is one's own."""
    page = seat.page
    await page.goto(address)
    await page.wait_for_url("**/first")
    await seat.look("01-first")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"  # the way past what is on each page
    await page.set_input_files("#file", world.network.file)
    await page.check("#first-file")
    await page.click("text=Begin")
    assert "This is now a companion in the network" in await seat.done()
    await page.goto("/")
    await seat.look("02-first-steps")
    await page.click("text=Register addresses")
    await page.fill("#days", "1")
    await page.click("button:has-text('Register addresses')")
    assert "288 addresses registered" in await seat.done()
    await page.goto("/badges")
    await page.check("#way-new")
    await page.focus("button:has-text('Make it mine')")
    await page.keyboard.press("Enter")
    async with passing(world):
        assert "The badge is yours." in await seat.done()


async def near_ada(world: World, seat: Seat) -> None:
    """A meeting of four slots; what the badge heard comes onto the page."""
    page = seat.page
    await meeting(world, 20)
    await page.goto("/badges")
    await page.click("text=Fetch its log and set its clock")
    async with passing(world):
        await page.wait_for_selector("progress")
        await seat.look("03-working")
        assert "Fetched 4 sealed contact records" in await seat.done()
    await page.goto("/badges")
    await seat.look("05-badges")


async def passing_on(world: World, seat: Seat) -> None:
    """The other one tests positive; the wearer is told, and lets the chain go on without some minutes."""
    page = seat.page
    await of_ada(world, "badge", "sync")
    case = (await of_ada(world, "report", "--token", world.network.token(), "--yes"))["case"]
    await asyncio.to_thread(world.network.approve, case, 15)
    await page.goto("/exposures")
    for _ in range(60):
        await page.click("text=Ask now")
        said = await seat.done()
        await page.goto("/exposures")
        if "you were near somebody" in said and await page.locator("text=Let those whom I met be told").count():
            break
    assert "COVID-19" in await seat.text() and "Call 116117" in await seat.text()
    await seat.look("06-exposures")
    await page.click("text=Deutsch")
    await page.goto("/")
    assert "Halten Sie sich von anderen fern" in await seat.text()
    await seat.look("07-told-german")
    await page.click("text=English")
    await page.goto("/exposures")
    await page.click("text=Ask the health authority for a test")
    await page.check("#test")
    await page.check("#nearness")
    await seat.look("13-answer")
    await page.click("text=Show what will be sent")
    assert "You ask for a test." in await seat.text() and "minutes at" in await seat.text()
    await seat.look("14-answer-shown")
    await page.click("text=Send exactly this")
    assert "it is kept for the health authority" in await seat.done()
    await page.goto("/exposures")
    assert "They may write back to you once." in await seat.text()
    await seat.look("15-answered")
    await page.click("text=Let those whom I met be told")
    await seat.look("08-what-is-left-out")
    await page.fill("#more", "2026-01-05 08:20-08:25")
    await page.click("text=Show what will be sent")
    assert "3 of 4 records" in await seat.text()
    await seat.look("09-what-will-be-sent")
    await page.click("text=Send exactly this")
    assert "Handed over: 3 sealed records" in await seat.done()
    again = await asyncio.to_thread(world.network.pending_report, case)
    assert (again["generation"], again["log"]["records"]) == (1, 3)


async def what_is_left(world: World, seat: Seat, folder: Path) -> None:
    """The days, the settings, a backup; and an error in a sentence."""
    page = seat.page
    await page.goto("/days")
    rows = page.locator("section[aria-labelledby=heard] tbody tr")
    await page.click("section[aria-labelledby=heard] summary")
    assert (await rows.nth(0).inner_text()).split()[1:] == ["4", "3"]  # heard, handed in
    await seat.look("10-days")
    await page.goto("/settings")
    await page.check("#level-low")
    await page.click("text=Keep to this level")
    assert await page.is_checked("#level-low")
    await seat.look("11-settings")
    await page.fill("#backup-file", str(folder / "kept.backup"))
    await page.fill("#backup-word", PASSPHRASE)
    await page.fill("#backup-again", PASSPHRASE)
    await page.click("text=Write the backup")
    assert "kept.backup" in await seat.done()
    assert seat.faults == []
    await page.goto("/report")
    await page.fill("#token", "7K2M")
    await page.click("text=Show what will be sent")
    assert "16 symbols, this has 4" in await seat.text()
    await seat.look("12-error")
    assert [each.rpartition(" ")[2] for each in seat.faults] == ["(Conflict)"]


async def of_another_site(context: Any, origin: str) -> None:
    """A site that the wearer has open beside the page, in the same browser, and that knows where it is."""
    evil = await context.new_page()
    form = f'<form method="post" action="{origin}/settings/level"><input name="level" value="high"></form>'
    frame = f'<iframe src="{origin}/exposures"></iframe><img src="{origin}/settings">'
    await evil.route("http://evil.example/", lambda asked: asked.fulfill(body=form + frame, content_type="text/html"))
    await evil.goto("http://evil.example/")
    read = "fetch(ORIGIN, {credentials: 'include'}).then(() => 'read', () => 'refused')"
    assert await evil.evaluate(read.replace("ORIGIN", repr(f"{origin}/exposures"))) == "refused"
    for each in evil.frames:
        assert "COVID" not in await each.content()
    async with evil.expect_navigation() as sent:
        await evil.evaluate("document.forms[0].submit()")
    assert (await sent.value).status == 403
    await evil.close()


def test_from_nothing_to_a_chain_passed_on(world: World, tmp_path: Path) -> None:
    port = world.run(world.air.add_adapter("bob's desk"))
    cli = Cli(tmp_path / "state", world.clock, f"bumble:tcp-client:127.0.0.1:{port}")
    cli.environment[CHEAP] = "1"
    (world.folder / "bob").mkdir()
    world.run(world.air.start_badge("bob", world.folder / "bob"))
    world.air.set_range("bob", "bob's desk", -50)
    world.add("ada")
    world.do("ada", "badge", "provision")
    with cli.piped("--json", "open", "--no-browser") as served:
        address = json.loads(served.stdout.readline())["address"]
        seat = world.run(story(world, address, tmp_path))
        assert served.wait(HANG_SECONDS) == 0  # with the page
    assert (tmp_path / "kept.backup").stat().st_size > 1000
    with state.reading(cli.folder) as opened:
        assert opened.timetable.level() == "low"
        assert sum(each.bytes for each in opened.carried.by_day().values()) > 288 * 380
        (badge,) = opened.badges.all()
        secrets = {badge.owner_key, badge.day_key, *opened.addresses.contact_addresses(1, 0, 1 << 32).values()}
    pages = "".join(seat.seen)
    assert not any(each.hex() in pages.lower() or str(each) in pages for each in secrets)

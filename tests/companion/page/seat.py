"""A wearer before a real browser, who looks at each page closely: readable for everybody by the rules of axe, on a
narrow screen too, in light and dark, with nothing asked of anybody else. Pictures: build/page/."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from tests.patience import HANG_SECONDS

PICTURES = Path(__file__).parents[3] / "build" / "page"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
NARROW, WIDE = {"width": 320, "height": 640}, {"width": 1100, "height": 800}
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--disable-site-isolation-trials", "--renderer-process-limit=1", "--no-zygote",
)  # fmt: skip


class Seat:
    """One browser's page at an origin."""

    def __init__(self, page: Any, origin: str) -> None:
        self.page = page
        self.faults: list[str] = []
        self._is_dark = False
        self.seen: list[str] = []  # the text of all pages looked at
        page.set_default_timeout(60_000)
        page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        page.on("request", lambda asked: self._check(asked.url, origin))

    def _check(self, url: str, origin: str) -> None:
        if not url.startswith((origin, "data:")):
            self.faults.append(f"asked for {url}")

    async def look(self, name: str) -> None:
        """A picture of the page as it is, which is held to the rules: by turns wide and light, narrow and dark."""
        from axe_playwright_python.async_playwright import Axe

        self.seen.append(await self.page.content())
        self._is_dark = not self._is_dark  # one sheet has all colours: the pages take turns
        await self.page.emulate_media(color_scheme="dark" if self._is_dark else "light")
        found = await Axe().run(self.page, options={"runOnly": RULES, "resultTypes": ["violations"]})
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        PICTURES.mkdir(parents=True, exist_ok=True)
        await self.page.set_viewport_size(NARROW)
        width = await self.page.evaluate("document.documentElement.scrollWidth")
        assert width <= NARROW["width"], f"{name} is {width} pixels wide"
        if self._is_dark:  # in turns, too
            await self.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
        await self.page.set_viewport_size(WIDE)
        if not self._is_dark:
            await self.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)

    async def text(self) -> str:
        """What stands in the page."""
        return str(await self.page.inner_text("main"))

    async def _ended(self) -> None:
        from playwright.async_api import Error

        async with asyncio.timeout(HANG_SECONDS):
            while True:
                with contextlib.suppress(Error):  # it is just being loaded
                    if await self.page.locator("[data-ended=true]").count():
                        return
                await asyncio.sleep(0.2)

    async def done(self) -> str:
        """Wait until the task that was begun has ended; what it said. AssertionError where it failed."""
        await self.page.wait_for_url("**/working")
        await self._ended()  # the page's own waiting draws it anew sixty times a second
        said = await self.text()
        assert not await self.page.locator("[data-ended] .wrong").count(), said
        return said

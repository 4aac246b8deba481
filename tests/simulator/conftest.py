"""An air whose badges run the scripts in on_badge/ instead of the firmware."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tools.simulator.air import Air
from tools.simulator.badge import Badge

SCRIPTS = Path(__file__).parent / "on_badge"


class Street(Air):
    """An air with its folders, and badges by script."""

    folder: Path

    async def badge(self, name: str, script: str, **options: int) -> Badge:
        """Start a badge that runs on_badge/SCRIPT.py."""
        return await self.start_badge(
            name, self.folder / name / "flash", main=SCRIPTS / f"{script}.py", path=[SCRIPTS], **options
        )

    def said(self, name: str) -> list[str]:
        """The lines that a badge has printed."""
        return self.badges[name].log.read_text().splitlines()

    def clock_bytes(self) -> bytes:
        """What the clock's file holds."""
        return (self.folder / "clock").read_bytes()


@pytest.fixture
def street(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Street]]:
    """Makes an air; use it with `async with` inside asyncio.run."""

    @asynccontextmanager
    async def make(folder: str = "", **options: float | str) -> AsyncIterator[Street]:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        async with Street(place / "clock", **options) as air:  # type: ignore[arg-type]
            air.folder = place
            yield air

    return make

"""Asking a badge for its state, choosing how it shares the air, and erasing it (docs/protocol.md, section 4)."""

from typing import Any

from anontrace_shared import commands
from anontrace_shared.presets import PRESETS

from anontrace.companion.badge.link import BadgeLink

_MAX_INTERVAL_MS = 10240


async def ask(link: BadgeLink) -> tuple[Any, str]:
    """The badge's info (commands.Info) and its crash log."""
    info = await link.info()
    text = b"".join([piece async for piece in link.stream(commands.CRASH_LOG)])
    return info, text.decode("utf-8", "replace")


async def set_up(link: BadgeLink, preset: str | None, place: bool | None, keep_days: int | None = None) -> None:
    """Set what is given. Repeating it is safe, and a badge whose link breaks meanwhile still listens."""
    if preset is not None:
        advertising, window, interval = PRESETS[preset]
        await link.ask(commands.SET, commands.ADVERTISING_INTERVAL_MS, advertising)
        # The window must never exceed the interval, so the interval is wide while the window changes.
        await link.ask(commands.SET, commands.SCAN_INTERVAL_MS, _MAX_INTERVAL_MS)
        await link.ask(commands.SET, commands.SCAN_WINDOW_MS, window)
        await link.ask(commands.SET, commands.SCAN_INTERVAL_MS, interval)
    if place is not None:
        await link.ask(commands.SET, commands.PLACE, int(place))
    if keep_days is not None:
        await link.ask(commands.SET, commands.KEEP_DAYS, keep_days)


async def erase(link: BadgeLink) -> None:
    """Let the badge forget schedule, log and settings; the owner key stays."""
    await link.ask(commands.ERASE)

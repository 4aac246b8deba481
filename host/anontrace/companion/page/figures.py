"""What is drawn on the wearer's page: what the badge's light shows, and days as bars. Numbers stand beside each."""

from collections.abc import Mapping
from html import escape

from markupsafe import Markup

from anontrace.companion.words import later, spoken
from anontrace.pages import drawing

_WIDTH, _HEIGHT = 320, 28
_SECONDS = 9.0  # that a picture of the light shows
_GAP = 0.3  # seconds from one flash to the next (firmware/badge/hands.py)

# What the light shows (docs/badge.md): how many flashes, every how many seconds, and what that means.
LIGHTS = (
    (1, 8.0, later("One short flash every eight seconds: it broadcasts confirmed addresses, all is well.")),
    (2, 8.0, later("Two: it has no address to broadcast. Register addresses, then sync it.")),
    (3, 8.0, later("Three: it is not provisioned. Make it yours.")),
    (4, 8.0, later("Four: it is in safe mode after three crashes. Sync it, and bring its firmware up to date.")),
    (1, 1.0, later("A flash every second: it is in service mode, in which it can be found and adopted.")),
)


def light(flashes: int, every: float) -> Markup:
    """Nine seconds of the light. What it means stands beside it, so it is only a picture."""
    begins = [every * turn for turn in range(int(_SECONDS / every) + 1)]
    moments = [0.3 + begin + _GAP * number for begin in begins for number in range(flashes)]
    shown = "".join(
        f'<rect class="flash" x="{_WIDTH * moment / _SECONDS:.1f}" y="4" width="4" height="{_HEIGHT - 8}"/>'
        for moment in moments
        if moment < _SECONDS
    )
    dark = f'<rect class="dark" width="{_WIDTH}" height="{_HEIGHT}"/>'
    return Markup(  # noqa: S704 - numbers only
        f'<svg class="light" aria-hidden="true" viewBox="0 0 {_WIDTH} {_HEIGHT}">{dark}{shown}</svg>'
    )


def heard(by_day: Mapping[str, int], handed_in: Mapping[str, int]) -> Markup:
    """A bar of what was heard for each day; what of it was handed in is filled."""
    days = list(by_day)
    return drawing.bars(
        spoken("Sealed records by day; filled: handed in"), spoken("day of the month"),
        [(day[8:], float(by_day[day])) for day in days], parts=[float(handed_in.get(day, 0)) for day in days] or (),
    )  # fmt: skip


def traffic(by_day: Mapping[str, int], level: float) -> Markup:
    """Kilobytes of each day, and a line at what the level makes of a whole one."""
    return drawing.bars(
        spoken("Kilobytes by day; the line: what the level takes"), spoken("day of the month (UTC)"),
        [(day[8:], round(carried / 1000, 1)) for day, carried in by_day.items()], mark=round(level / 1000, 1),
    )  # fmt: skip


def hours(by_hour: Mapping[int, int], kept: Mapping[int, int]) -> Markup:
    """A day as a line of 24 hours: what was recorded in each, and filled what of it is sent."""
    most = max(by_hour.values(), default=1)
    cells = []
    for hour in range(24):
        x, recorded = hour * 40, by_hour.get(hour, 0)
        height = 36 * recorded / most
        sent = 36 * min(kept.get(hour, 0), recorded) / most
        cells.append(
            f'<rect class="left-out" x="{x + 3}" y="{38 - height:.1f}" width="34" height="{height:.1f}"/>'
            f'<rect class="bar" x="{x + 3}" y="{38 - sent:.1f}" width="34" height="{sent:.1f}"/>'
        )
        if hour % 6 == 0:
            cells.append(f'<text class="axis" x="{x}" y="54">{hour:02}:00</text>')
    return Markup(  # noqa: S704 - numbers only
        f'<svg class="figure" role="img" viewBox="0 0 960 60" aria-label="{escape(spoken("Hours of the day"))}">'
        f"{''.join(cells)}</svg>"
    )

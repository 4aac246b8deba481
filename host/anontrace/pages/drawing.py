"""Figures as SVG, drawn here: no script, no inline style; the sheet gives them their colours. Each has a name, and its
numbers stand in a table beside it (templates), so that nobody has to see it."""

from collections.abc import Sequence
from html import escape

from markupsafe import Markup

_WIDTH, _HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 40
_MAX_LABELS = 10
_STEPS = 4


def _scale(most: float) -> float:
    """A round number that is not below this one."""
    step = 1.0
    while step * 10 < most:
        step *= 10
    for factor in (1, 2, 5, 10):
        if step * factor >= most:
            return step * factor
    return step * 10


def _frame(name: str, most: float, inner: list[str], x_name: str) -> Markup:
    """The axes, with numbers at the left, around what is drawn."""
    lines = []
    for step in range(_STEPS + 1):
        y = _y(most * step / _STEPS, most)
        label = f"{most * step / _STEPS:g}"
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text class="axis" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    lines.append(f'<text class="axis" x="{middle:.0f}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(x_name)}</text>')
    body = "".join((*lines, *inner))
    return Markup(  # noqa: S704 - all texts in it are escaped above and by the callers
        f"<figure><figcaption>{escape(name)}</figcaption>"
        f'<svg class="figure" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-label="{escape(name)}">{body}</svg>'
        "</figure>"
    )


def _y(value: float, most: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - value / most)


def _x(value: float, least: float, most: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - least) / ((most - least) or 1)


def bars(
    name: str,
    x_name: str,
    values: Sequence[tuple[str, float]],
    chosen: Sequence[bool] = (),
    parts: Sequence[float] = (),
    mark: float | None = None,
) -> Markup:
    """A bar for each value. `chosen`: those that stand out; none given: all alike. `parts`: how much of each value is
    filled. `mark`: a line at this height."""
    most = _scale(max([*(value for _, value in values), mark or 0], default=1) or 1)
    width = (_WIDTH - _LEFT - _RIGHT) / max(1, len(values))
    every = -(-len(values) // _MAX_LABELS) if values else 1
    inner = []
    for at, (label, value) in enumerate(values):
        x, y = _LEFT + at * width, _y(value, most)
        kind = "bar left-out" if parts or (chosen and not chosen[at]) else "bar"
        inner.append(
            f'<rect class="{kind}" x="{x + width * 0.1:.1f}" y="{y:.1f}" width="{width * 0.8:.1f}" '
            f'height="{_y(0, most) - y:.1f}"><title>{escape(label)}: {value:g}</title></rect>'
        )
        if parts:
            filled = _y(min(parts[at], value), most)
            inner.append(
                f'<rect class="bar" x="{x + width * 0.1:.1f}" y="{filled:.1f}" width="{width * 0.8:.1f}" '
                f'height="{_y(0, most) - filled:.1f}"/>'
            )
        if at % every == 0:
            inner.append(
                f'<text class="axis" x="{x + width / 2:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">'
                f"{escape(label)}</text>"
            )
    if mark is not None:
        inner.append(
            f'<line class="mark" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_y(mark, most):.1f}" '
            f'y2="{_y(mark, most):.1f}"/>'
        )
    return _frame(name, most, inner, x_name)


def dots(name: str, x_name: str, points: Sequence[tuple[float, float, bool]]) -> Markup:
    """A dot for each point (x, y, whether it is chosen)."""
    most = _scale(max((y for _, y, _ in points), default=1) or 1)
    least_x, most_x = min((x for x, _, _ in points), default=0), max((x for x, _, _ in points), default=1)
    inner = [
        f'<circle class="{"dot" if is_chosen else "dot left-out"}" cx="{_x(x, least_x, most_x):.1f}" '
        f'cy="{_y(y, most):.1f}" r="4"/>'
        for x, y, is_chosen in points
    ]
    return _frame(name, most, [*inner, *_marks(least_x, most_x)], x_name)


def curve(name: str, x_name: str, points: Sequence[tuple[float, float]], chosen: float) -> Markup:
    """A line through the points, with a ring at the chosen x."""
    most = _scale(max((y for _, y in points), default=1) or 1)
    least_x, most_x = min((x for x, _ in points), default=0), max((x for x, _ in points), default=1)
    path = " ".join(f"{_x(x, least_x, most_x):.1f},{_y(y, most):.1f}" for x, y in points)
    inner = [f'<polyline class="curve" points="{path}"/>']
    there = [(x, y) for x, y in points if x <= chosen][-1:] or list(points[:1])
    inner += [
        f'<circle class="chosen" cx="{_x(x, least_x, most_x):.1f}" cy="{_y(y, most):.1f}" r="7">'
        f"<title>{x:g}: {y:g}</title></circle>"
        for x, y in there
    ]
    return _frame(name, most, [*inner, *_marks(least_x, most_x)], x_name)


def _marks(least: float, most: float) -> list[str]:
    """Numbers below the axis, each once."""
    steps = (least + (most - least) * step / _STEPS for step in range(_STEPS + 1))
    return [
        f'<text class="axis" x="{_x(value, least, most):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">'
        f"{value}</text>"
        for value in sorted({round(step) for step in steps})
    ]

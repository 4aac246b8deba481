"""What comes of a part, as tables on a terminal."""

from collections.abc import Callable

from rich.table import Table

from .summary import Figure, Findings, Row


def _number(value: float | None, places: int = 0) -> str:
    return "-" if value is None else f"{value:z,.{places}f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _between(figure: Figure) -> str:
    if figure.mean is None or figure.low is None or figure.high is None:
        return "-"
    return f"{figure.mean:z,.0f} ({figure.low:z,.0f} to {figure.high:z,.0f})"


Column = tuple[str, Callable[[Row], str]]

EFFECT: tuple[Column, ...] = (
    ("strategy", lambda row: row.strategy),
    ("infections", lambda row: _number(row.infections.mean)),
    ("averted", lambda row: _between(row.averted)),
    ("of all", lambda row: _share(row.averted_share)),
    ("R, first weeks", lambda row: _number(row.r.mean, 2)),
)
COST: tuple[Column, ...] = (
    ("strategy", lambda row: row.strategy),
    ("told", lambda row: _number(row.told.mean)),
    ("per infection", lambda row: _number(row.told_per_infection, 1)),
    ("in vain", lambda row: _share(row.in_vain_share)),
    ("quarantine days", lambda row: _number(row.quarantine_per_averted, 1)),
)
LIMIT: tuple[Column, ...] = (
    ("strategy", lambda row: row.strategy),
    ("most a day", lambda row: _number(row.most_notifications.mean)),
    ("limit a day", lambda row: "none" if row.a_day is None else f"{row.a_day:,}"),
    ("days at it", lambda row: _number(row.days_at_limit.mean)),
    ("weeks with alarm", lambda row: _number(row.alarms.mean, 1)),
)


def tables(findings: Findings) -> list[Table]:
    """What each strategy does, what it costs, and what the limit makes of it: means, and in brackets between what nine
    of ten seeds lie."""
    part = findings.part
    said = "" if findings.is_whole else f", partial: {findings.number} of {part.runs} runs"
    title = f"{part.title} ({len(part.seeds)} seed{'s' * (len(part.seeds) > 1)}{said})"
    return [
        _table(f"{title}: what it does", EFFECT, findings),
        _table("whom it tells; quarantine days for each infection averted", COST, findings),
        _table("notifications", LIMIT, findings),
    ]


def _table(title: str, columns: tuple[Column, ...], findings: Findings) -> Table:
    found = Table(title=title)
    for place, (name, _) in enumerate(columns):
        found.add_column(name, justify="right" if place else "left", no_wrap=True)
    for row in findings.rows():
        found.add_row(*(cell(row) for _, cell in columns))
    return found

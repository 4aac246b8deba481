"""Plots of a part, to files: no window, no display."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .arrays import Array
from .summary import INTERVAL, Findings, Row

_WIDTH, _HEIGHT, _DPI = 11.0, 3.0, 80
_LAYOUT = {"left": 0.08, "right": 0.98, "bottom": 0.06, "top": 0.93, "hspace": 0.25}  # parts of the whole
_COLOURS = (
    *("#4d4d4d", "#a6761d", "#1b9e77", "#66c2a5", "#7570b3", "#b3b0d6"),
    *("#d95f02", "#fdb07a", "#e7298a", "#f4a6cf", "#1f78b4", "#a6cee3"),
)


def draw(folder: Path, findings: Findings) -> list[Path]:
    """The plots of a part in this folder: how it goes by day, and what it comes to."""
    said = "" if findings.is_whole else f" (partial: {findings.number} of {findings.part.runs} runs)"
    by_day, outcome = folder / f"{findings.part.name}-days.png", folder / f"{findings.part.name}-outcome.png"
    _by_day(findings, said).savefig(by_day, dpi=_DPI)
    _outcome(findings, said).savefig(outcome, dpi=_DPI)
    return [by_day, outcome]


def _figure(rows: int, title: str) -> Figure:
    figure = Figure(figsize=(_WIDTH, _HEIGHT * rows))
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    return figure


def _by_day(findings: Findings, said: str) -> Figure:
    figure = _figure(4, f"{findings.part.title}{said}")
    infections, r, sent, told = figure.subplots(4, 1, gridspec_kw=_LAYOUT)
    for colour, name in zip(_COLOURS * 8, findings.results, strict=False):
        _band(infections, findings.by_day(name, "infections"), colour, name)
        weeks = findings.r_by_week(name)
        there = np.isfinite(weeks).any(axis=0)
        _band(r, weeks[:, there], colour, at=7 * np.flatnonzero(there) + 3.5)
        for axes, what in ((sent, "notifications"), (told, "told")):
            if findings.by_day(name, what).any():
                _band(axes, findings.by_day(name, what), colour)
    for limit in {each.a_day for runs in findings.results.values() for each in runs.values() if each.a_day is not None}:
        sent.axhline(limit, color="black", linestyle=":", linewidth=0.8)
    r.axhline(1, color="black", linewidth=0.6)
    for axes, what in (
        (infections, "infections a day"), (r, "R, by week of infection"),
        (sent, "notifications a day (dotted: limit)"), (told, "people told a day"),
    ):  # fmt: skip
        axes.set_ylabel(what)
        axes.set_ylim(bottom=0)
    told.set_xlabel("day")
    infections.legend(ncols=4, fontsize="small")
    return figure


def _band(axes: Axes, values: Array, colour: str, name: str = "", at: Array | None = None) -> None:
    """Means over the seeds, and between what nine of ten lie; NaN where a seed has no value."""
    if not values.size:
        return
    days = np.arange(values.shape[1]) if at is None else at
    low, high = np.nanpercentile(values, INTERVAL, axis=0)
    axes.fill_between(days, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.plot(days, np.nanmean(values, axis=0), color=colour, label=name or None)


def _outcome(findings: Findings, said: str) -> Figure:
    rows = findings.rows()
    figure = _figure(2, f"{findings.part.title}{said}")
    (averted, told), (vain, quarantine) = figure.subplots(
        2, 2, gridspec_kw=_LAYOUT | {"left": 0.15, "wspace": 0.4, "top": 0.87}
    )
    _bars(averted, rows, "infections averted (line: nine of ten seeds)", lambda row: row.averted.mean)
    for place, row in enumerate(rows):
        if row.averted.low is not None and row.averted.high is not None:
            averted.plot([row.averted.low, row.averted.high], [place, place], color="black", linewidth=1)
    _bars(told, rows, "told per infection", lambda row: row.told_per_infection)
    _bars(vain, rows, "share of those told who were told in vain", lambda row: row.in_vain_share)
    _bars(quarantine, rows, "quarantine days per infection averted", lambda row: row.quarantine_per_averted)
    return figure


def _bars(axes: Axes, rows: list[Row], title: str, value: Callable[[Row], float | None]) -> None:
    values = [value(row) for row in rows]
    axes.barh(range(len(rows)), [each or 0.0 for each in values], color=(_COLOURS * 8)[: len(rows)])
    axes.set_yticks(range(len(rows)), [row.strategy for row in rows], fontsize="small")
    axes.invert_yaxis()
    axes.set_title(title, fontsize="medium")

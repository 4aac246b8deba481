"""What a benchmark hands over: figures with labels and units, limits on them, and remarks. Prints nothing itself."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Figure:
    """One number: `name` in build/bench.json, `label` in the table."""

    name: str
    label: str
    value: float
    unit: str


class Report:
    """The outcome of one benchmark. `columns`: the headings of those figures that stand beside each other in a row."""

    def __init__(self, title: str, columns: tuple[str, ...] = ()) -> None:
        self.title = title
        self.columns = columns
        self.figures: list[Figure] = []
        self.rows: list[tuple[str, list[Figure]]] = []
        self.remarks: list[str] = []
        self.failures: list[str] = []

    def add(self, name: str, label: str, value: float, unit: str) -> None:
        """One more figure, in a row of its own; names are unique."""
        self.rows.append((label, [self._new(name, label, value, unit)]))

    def add_row(self, label: str, unit: str, values: Mapping[str, float]) -> None:
        """A figure for each column, by their names, under the same label."""
        if len(values) != len(self.columns):
            raise ValueError(f"{len(values)} figures for {len(self.columns)} columns")
        self.rows.append((label, [self._new(name, label, value, unit) for name, value in values.items()]))

    def _new(self, name: str, label: str, value: float, unit: str) -> Figure:
        if any(figure.name == name for figure in self.figures):
            raise ValueError(f"there is a figure {name} already")
        self.figures.append(Figure(name, label, value, unit))
        return self.figures[-1]

    def remark(self, text: str) -> None:
        """What one has to know to read the figures."""
        self.remarks.append(text)

    def __getitem__(self, name: str) -> float:
        return next(figure.value for figure in self.figures if figure.name == name)

    def limit(self, name: str, most: float) -> None:
        """The figure fails if it is above `most`."""
        figure = next(figure for figure in self.figures if figure.name == name)
        if figure.value > most:
            self.failures.append(f"{figure.label}: {figure.value:,.5g} {figure.unit}".rstrip() + f" is over {most:g}")
        else:
            self.remarks.append(f"{figure.label}: at most {most:g} {figure.unit}".rstrip() + " is kept.")

"""The final table: each person, what the contact list says, what the system did, and whether the two agree."""

from dataclasses import dataclass

from rich.table import Table

from tools.demo.truth import Expectation


@dataclass(frozen=True)
class Outcome:
    """One person's row: what was right, and what their companion told them (minutes, None when it told nothing)."""

    expected: Expectation
    told_minutes: float | None
    generation: int | None

    @property
    def correct(self) -> bool:
        """Told exactly if that was right, and in the right generation."""
        return self.expected.generation == self.generation


def build(outcomes: list[Outcome], patient: str, passer: str | None) -> Table:
    """The table for the terminal."""
    table = Table(title=f"{patient} fell ill" + (f", {passer} passed it on" if passer else ""))
    table.add_column("person")
    table.add_column(f"met {patient}", justify="right")
    if passer:
        table.add_column(f"met {passer}", justify="right")
    table.add_column("notified")
    table.add_column("generation", justify="right")
    table.add_column("correct")
    for outcome in outcomes:
        expected = outcome.expected
        cells = [expected.person, f"{expected.minutes_with_patient:.1f} min"]
        if passer:
            cells.append("" if expected.person == passer else f"{expected.minutes_with_passer:.1f} min")
        cells.append("no" if outcome.told_minutes is None else f"yes, {outcome.told_minutes:.1f} min")
        cells.append("" if outcome.generation is None else str(outcome.generation))
        cells.append("[green]yes[/]" if outcome.correct else "[bold red]NO[/]")
        table.add_row(*cells)
    return table


def faults(outcomes: list[Outcome]) -> list[str]:
    """One sentence for each person of whom the system was wrong."""
    sentences = []
    for outcome in outcomes:
        wanted, got, person = outcome.expected.generation, outcome.generation, outcome.expected.person
        if wanted == got:
            continue
        if got is None:
            sentences.append(f"{person} was not told, but belongs to generation {wanted}")
        elif wanted is None:
            sentences.append(f"{person} was told (generation {got}), but should not have been")
        else:
            sentences.append(f"{person} was told in generation {got} instead of {wanted}")
    return sentences

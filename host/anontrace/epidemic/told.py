"""Who is told of a case: events, kept by the day on which they happen."""

from dataclasses import dataclass, field

import numpy as np

from .arrays import Array


@dataclass(frozen=True, slots=True)
class Told:
    """An element for each who is told: person, moment in days, number of the case, generation (1: a contact of the
    patient), and the last day near whoever it is about."""

    person: Array
    at: Array
    case: Array
    generation: Array
    last_day: Array

    def where(self, which: Array) -> "Told":
        return Told(self.person[which], self.at[which], self.case[which], self.generation[which], self.last_day[which])


def join(parts: list[Told]) -> Told:
    """All of these in one, in the order of their moments."""
    if not parts:
        none = np.zeros(0, np.int64)
        return Told(none, np.zeros(0), none, none, none)
    joined = Told(*(np.concatenate([getattr(each, name) for each in parts]) for name in Told.__slots__))
    return joined.where(np.argsort(joined.at, kind="stable"))


@dataclass
class Diary:
    """Events to come, by day. Days are taken in their order, each once."""

    _days: dict[int, list[Told]] = field(default_factory=dict)

    def add(self, told: Told, first: int) -> None:
        """Note these; what was before the `first` day that is still to be taken comes on that."""
        days = np.maximum(np.floor(told.at).astype(np.int64), first)
        for day in np.unique(days):
            self._days.setdefault(int(day), []).append(told.where(days == day))

    def take(self, day: int) -> Told:
        return join(self._days.pop(day, []))

"""Notifications that wait for a day with room, in the order of their risk: the limit's queue, in arrays.

How many a day, in which order, and until when one may wait is asked of the nymserver's own functions.
"""

from dataclasses import dataclass

import numpy as np

from .arrays import Array


@dataclass(frozen=True, slots=True)
class Batch:
    """Notifications, an element for `count` that are alike: the place in the queue (risk.place), to which pair of
    report and person they belong, present thirds of each, the last day on which they can leave, and when they leave
    the queue at the earliest, in days."""

    place: Array
    pair: Array
    count: Array
    present: Array
    last_day: Array
    since: Array

    @property
    def number(self) -> int:
        return int(self.count.sum())

    def where(self, which: Array) -> "Batch":
        return Batch(
            self.place[which], self.pair[which], self.count[which], self.present[which], self.last_day[which],
            self.since[which],
        )  # fmt: skip

    def counted(self, count: Array) -> "Batch":
        """The same with other numbers, those of which none is left out."""
        return Batch(self.place, self.pair, count, self.present, self.last_day, self.since).where(count > 0)


def join(*batches: Batch) -> Batch:
    names = Batch.__slots__
    return Batch(*(np.concatenate([getattr(each, name) for each in batches]) for name in names))


def nothing() -> Batch:
    none = np.zeros(0, np.int64)
    return Batch(np.zeros(0), none, none, none, none, np.zeros(0))


def first(batch: Batch, order: tuple[Array, ...], room: int | None, rng: np.random.Generator) -> tuple[Batch, Batch]:
    """The first `room` of a batch (None: all) by these keys, the first of which counts most, and the rest. Of those
    that are equal by all keys, chance takes the last ones: their ids are random."""
    if room is None or batch.number <= room:
        return batch, batch.where(np.zeros(len(batch.count), bool))
    by = np.lexsort(order[::-1])
    keys = np.stack([each[by] for each in order])
    count = batch.count[by]
    group = np.concatenate([[0], np.cumsum((keys[:, 1:] != keys[:, :-1]).any(axis=0))])
    upto = np.cumsum(np.bincount(group, count).astype(np.int64))
    boundary = int(np.searchsorted(upto, room, side="right"))  # the group that does not fit whole
    taken = np.where(group < boundary, count, 0)
    left = room - (int(upto[boundary - 1]) if boundary else 0)
    if left:
        at = np.flatnonzero(group == boundary)
        taken[at] = rng.multivariate_hypergeometric(count[at], left, method="marginals")
    sorted_batch = batch.where(by)
    return sorted_batch.counted(taken), sorted_batch.counted(count - taken)

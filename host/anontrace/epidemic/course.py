"""The course of the disease in each person, and who infects whom. Knows nothing of badges."""

from collections.abc import Sequence

import numpy as np

from .arrays import COURSE, NEVER, SPREAD, Array, lognormal, randomness
from .disease import Disease
from .errors import EpidemicError
from .meetings import Day, Kind, Meetings

NOBODY = -1
_SAMPLE = 2000  # people by whom the risk a minute is found
_REACHABLE = 0.9  # of whom somebody meets
_LOWEST, _HIGHEST = 1e-9, 1e6  # risk a minute
_HALVINGS = 50


class Course:
    """Times in days from the beginning; `by`: who infected somebody, NOBODY if it was nobody of these people."""

    def __init__(self, disease: Disease, size: int, seed: int, immune: float) -> None:
        rng = randomness(seed, COURSE)
        self._disease = disease
        self._seed = seed
        self._latent = lognormal(rng, disease.latent.mean, disease.latent.sd, size)
        presymptomatic = lognormal(rng, disease.presymptomatic.mean, disease.presymptomatic.sd, size)
        ill = lognormal(rng, disease.infectious.mean, disease.infectious.sd, size)
        self.symptomatic = rng.random(size) >= disease.asymptomatic.share
        self._until_onset = np.where(self.symptomatic, presymptomatic, NEVER)
        self._infectious_for = ill + np.where(self.symptomatic, presymptomatic, 0.0)
        k = disease.dispersion.k
        factor = np.where(self.symptomatic, 1.0, disease.asymptomatic.infectiousness)
        self._worth = rng.gamma(k, 1 / k, size) * factor
        self._mean_worth = factor
        self._immune = rng.random(size) < immune
        self.infected = np.full(size, NEVER)
        self.by = np.full(size, NOBODY, np.int64)
        self.imported = np.zeros(size, bool)
        self.infectious = np.full(size, NEVER)
        self.onset = np.full(size, NEVER)
        self.over = np.full(size, NEVER)

    @property
    def susceptible(self) -> Array:
        free: Array = np.isinf(self.infected) & ~self._immune
        return free

    def infect(self, who: Array, when: Array, by: Array | None = None) -> None:
        """These people, each once; `by` None: elsewhere."""
        self.infected[who] = when
        self.infectious[who] = when + self._latent[who]
        self.onset[who] = self.infectious[who] + self._until_onset[who]
        self.over[who] = self.infectious[who] + self._infectious_for[who]
        if by is None:
            self.imported[who] = True
        else:
            self.by[who] = by

    def caught_lately(self, who: Array, when: Array, days: float) -> Array:
        """Whether each of these was infected in a meeting, at most so many days before a moment."""
        since = when - self.infected[who]
        lately: Array = ~self.imported[who] & (since >= 0) & (since <= days)
        return lately

    def shed(self, who: Array, day: int) -> Array:
        """How infectious each of these is on a day, in parts of what the disease is in the mean: by how much of the day
        is within the infectious period, and how early in it."""
        begins, ends = self.infectious[who], self.over[who]
        load, lasts = self._disease.load, ends - begins
        early = np.minimum(load.share * lasts, load.days)
        at = np.clip(day + 0.5 - begins, 0, None)
        level = np.where(at <= early, load.ratio, 1.0) / (1 + early / lasts * (load.ratio - 1))
        within = np.clip(np.minimum(ends, day + 1) - np.maximum(begins, day), 0, 1)
        return np.asarray(within * level)

    def is_infectious(self, day: int) -> Array:
        now: Array = (self.infectious < day + 1) & (self.over > day)
        return now

    def spread(self, meetings: Day, day: int, beta: float, apart: Array, home_contact: float) -> Array:
        """Let those who are infectious infect others at a day's meetings; who was. `beta`: risk a minute at no
        distance; `apart`: who keeps apart at home."""
        infectious, susceptible = self.is_infectious(day), self.susceptible
        rng = randomness(self._seed, SPREAD, day)
        found = []
        for source, target in ((meetings.one, meetings.other), (meetings.other, meetings.one)):
            which = np.flatnonzero(infectious[source])
            which = which[susceptible[target[which]]]
            met = meetings.take(which)
            found.append((source[which], target[which], self._risk(met) * np.where(
                (met.kind == Kind.HOME) & (apart[met.one] | apart[met.other]), home_contact, 1.0
            )))  # fmt: skip
        source, target, risk = (np.concatenate(each) for each in zip(*found, strict=True))
        hazard = beta * risk * self.shed(source, day) * self._worth[source]
        hit = np.flatnonzero(rng.random(len(hazard)) < -np.expm1(-hazard))
        rng.shuffle(hit)
        who, first = np.unique(target[hit], return_index=True)
        self.infect(who, day + rng.random(len(who)), source[hit][first])
        return who

    def _risk(self, met: Meetings) -> Array:
        return np.asarray(met.minutes * self._disease.distance.per_metre**-met.metres)

    def risks(self, who: Array, days: Sequence[Day]) -> Array:
        """What each of these is worth to each person whom they meet, if infectious from day 0 on: summed up over the
        days, times the risk a minute the hazard. An element a pair."""
        pairs, risks = [], []
        is_in = np.zeros(len(self.infected), bool)
        is_in[who] = True
        self.infect(who, -self._latent[who])
        for number, day in enumerate(days):
            for source, target in ((day.one, day.other), (day.other, day.one)):
                which = np.flatnonzero(is_in[source])
                pairs.append(source[which].astype(np.int64) * len(self.infected) + target[which])
                risks.append(self._risk(day.take(which)) * self.shed(source[which], number))
        pair, inverse = np.unique(np.concatenate(pairs), return_inverse=True)
        return np.bincount(inverse, np.concatenate(risks)) * self._mean_worth[pair // len(self.infected)]


def beta_for(wanted: float, disease: Disease, size: int, days: Sequence[Day], seed: int = 0) -> float:
    """The risk a minute by which one infects `wanted` others in the mean, among people of whom none is immune, and
    whose days are these: as many as anybody is infectious. EpidemicError if they meet too few for that."""
    who = randomness(seed, SPREAD).permutation(size)[:_SAMPLE]
    risks, k = Course(disease, size, seed, 0.0).risks(who, days), disease.dispersion.k
    most = np.count_nonzero(risks) / len(who)
    if wanted >= most * _REACHABLE:
        raise EpidemicError(
            f"r: nobody can infect {wanted:g} others in the mean who meets {most:.1f} in the time of the disease"
        )
    low, high = _LOWEST, _HIGHEST
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        infected = float(np.sum(1 - (1 + middle * risks / k) ** -k) / len(who))
        low, high = (middle, high) if infected < wanted else (low, middle)
    return high if wanted else 0.0

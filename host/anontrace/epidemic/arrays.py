"""Arrays as all of this package has them: one element a person, a meeting or an exposure, never an object for each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
NEVER = np.inf  # days

# What a generator of random numbers is for: each purpose of a seed has its own, so that people, their meetings and the
# course of their disease are the same whatever is done about an epidemic.
PEOPLE, MEETINGS, COURSE, SPREAD, HABITS, TRACING = range(6)


def randomness(seed: int, purpose: int, day: int = 0) -> np.random.Generator:
    """The generator of a purpose; of a day, where each has its own."""
    return np.random.default_rng([seed, purpose, day])


def lognormal(rng: np.random.Generator, mean: float, sd: float, size: int) -> Array:
    """Draws of a log-normal distribution with this mean and standard deviation."""
    if sd == 0 or mean == 0:
        return np.full(size, float(mean))
    variance = np.log1p((sd / mean) ** 2)
    return rng.lognormal(np.log(mean) - variance / 2, np.sqrt(variance), size)

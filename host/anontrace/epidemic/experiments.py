"""Many epidemics: each strategy with each seed, in as many processes as are given. Whoever takes the results has those
that are done when somebody interrupts."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from . import course, listed, people, running
from .disease import Disease
from .errors import EpidemicError
from .people import People
from .running import Result
from .scenario import Scenario, Strategy

_LOOK_SECONDS = 0.3
_SAMPLED = 20_000  # people of whom the risk a minute is taken
_LONGEST = 5.0  # infectious periods, in standard deviations beyond the mean


@dataclass(frozen=True)
class Part:
    """Strategies that are compared with each other. `contacts`: a recorded list instead of made people."""

    name: str
    title: str
    disease: Disease
    scenario: Scenario
    strategies: tuple[Strategy, ...]
    seeds: tuple[int, ...]
    contacts: Path | None = None

    @property
    def runs(self) -> int:
        return len(self.strategies) * len(self.seeds)


@dataclass(frozen=True)
class Task:
    """One run of a part."""

    part: Part
    strategy: Strategy
    seed: int
    beta: float


def tasks(parts: Sequence[Part]) -> list[Task]:
    """All runs, seed by seed, so that whoever interrupts has whole comparisons. EpidemicError or ContactsError if a
    part makes no sense."""
    found = []
    for part in parts:
        beta = _beta(part)
        found += [Task(part, strategy, seed, beta) for seed in part.seeds for strategy in part.strategies]
    return found


def _beta(part: Part) -> float:
    scenario, disease = part.scenario, part.disease
    wanted = disease.reproduction.r0 if scenario.r is None else scenario.r
    some = _people(part.contacts, min(scenario.people, _SAMPLED), 0)
    lasts = disease.presymptomatic.mean + disease.infectious.mean
    lasts += _LONGEST * (disease.presymptomatic.sd + disease.infectious.sd)
    return course.beta_for(wanted, disease, some.size, [some.day(day) for day in range(int(lasts) + 1)])


@lru_cache(maxsize=1)
def _people(contacts: Path | None, size: int, seed: int) -> People:
    return people.make(size, seed) if contacts is None else listed.read(contacts)


_days: Any = None  # that all processes have simulated


def _begin(days: Any) -> None:
    global _days
    _days = days
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started the processes ends them


def _count() -> None:
    with _days.get_lock():
        _days.value += 1


def _run(task: Task, each_day: Callable[[], None] = _count) -> Result:
    part = task.part
    # Of a list the people are the same for every seed, of made ones others.
    whoever = _people(part.contacts, part.scenario.people, task.seed if part.contacts is None else 0)
    return running.run(whoever, part.disease, part.scenario, task.strategy, task.beta, task.seed, each_day)


def run(
    wanted: Sequence[Task], workers: int, progress: Callable[[int], None] = lambda days: None
) -> Iterator[tuple[Task, Result]]:
    """The results as they come; `progress` is told how many days are simulated by then, over all runs."""
    if workers == 1:
        yield from _here(wanted, progress)
        return
    context = multiprocessing.get_context("spawn")
    days = context.Value("q", 0)
    pool = ProcessPoolExecutor(min(workers, len(wanted)), context, _begin, (days,))
    try:
        waiting: dict[Future[Result], Task] = {pool.submit(_run, task): task for task in wanted}
        while waiting:
            done, _ = wait(waiting, _LOOK_SECONDS, FIRST_COMPLETED)
            progress(days.value)
            for future in done:
                yield waiting.pop(future), future.result()
    except BrokenProcessPool:
        raise EpidemicError(
            "a process ended before its time; is there enough memory? A million people take some 3 GB: give fewer"
            " with --people, or --workers 1"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            child.terminate()
            child.join()


def _here(wanted: Sequence[Task], progress: Callable[[int], None]) -> Iterator[tuple[Task, Result]]:
    done = 0

    def each_day() -> None:
        nonlocal done
        done += 1
        progress(done)

    for task in wanted:
        yield task, _run(task, each_day)

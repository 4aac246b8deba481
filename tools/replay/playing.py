"""Plays one patient after the other over the same wearers, in as many processes as are given."""

import asyncio
import multiprocessing
import os
import signal
import struct
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from anontrace import clock

from tools.demo import truth
from tools.demo.contacts import SLOT, Recording
from tools.replay import wearers
from tools.replay.backend import Backend, ReplayError


@dataclass(frozen=True)
class Told:
    """One person in one patient's case: minutes by the list and by the companion (None: told nothing)."""

    person: str
    minutes: float
    told_minutes: float | None
    is_due: bool  # whether the list says that they are to be told

    @property
    def is_right(self) -> bool:
        return self.is_due == (self.told_minutes is not None)

    @property
    def off(self) -> float:
        """By how many minutes the companion's sum differs from the list's; 0 if it tells nothing."""
        return 0.0 if self.told_minutes is None else abs(self.told_minutes - self.minutes)


@dataclass(frozen=True)
class Case:
    """What became of one patient's log."""

    patient: str
    records: int
    notifications: int
    people: tuple[Told, ...]


class _Network:
    """Wearers and servers of one process, all addresses registered."""

    def __init__(self, recording: Recording, rule_minutes: int, folder: Path) -> None:
        self._recording = recording
        self._rule = rule_minutes
        self._loop = asyncio.new_event_loop()
        self._clock = folder / "clock"
        self._set_clock(recording.start)
        os.environ[clock.ENVIRONMENT] = str(self._clock)
        self._met = wearers.near(recording)
        self._wearers = wearers.make(self._met)
        self._backend = Backend(folder / "store")
        self._loop.run_until_complete(self._backend.__aenter__())
        everybody = [each for wearer in self._wearers.values() for each in wearer.addresses.values()]
        self._loop.run_until_complete(self._backend.arm(everybody))
        self._by_mailbox = {each.mailbox: each for each in everybody}
        self._set_clock(recording.end + SLOT)

    def _set_clock(self, second: float) -> None:
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(struct.pack("<d", self._recording.origin + second))

    def play(self, patient: str) -> Case:
        """Have somebody test positive, and see who is told."""
        return self._loop.run_until_complete(self._play(patient))

    async def _play(self, patient: str) -> Case:
        met = self._met[patient]
        log = b"".join(wearers.sealed_log(self._backend.log_key, met, self._wearers))
        report = await self._backend.hand_in(log)
        case, number = await self._backend.approve(report, self._rule)
        used = []
        for mailbox, payload in await self._backend.deliver():
            address = self._by_mailbox.pop(mailbox)
            address.owner.take(address, payload, clock.now())
            used.append(address)
        await self._backend.arm(used)
        self._by_mailbox |= {each.mailbox: each for each in used}
        due = truth.told(self._recording, patient, self._rule, set())
        people = []
        for person, wearer in self._wearers.items():
            if person != patient:
                exposure = wearer.told(case)
                minutes = self._recording.seconds(patient, person) / 60
                people.append(Told(person, minutes, None if exposure is None else exposure.minutes, person in due))
        return Case(patient, sum(map(len, met.values())), number, tuple(people))


_network: _Network | None = None


def _begin(recording: Recording, rule_minutes: int, folder: str) -> None:
    global _network
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a process that is told to end has nothing to say
    _network = _Network(recording, rule_minutes, Path(tempfile.mkdtemp(dir=folder)))


def _play(patient: str) -> Case:
    assert _network is not None
    return _network.play(patient)


def play(recording: Recording, patients: Sequence[str], rule_minutes: int, workers: int) -> Iterator[Case]:
    """The case of each patient, as they get done. ReplayError when the chain fails, or a process ends."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="anontrace-replay-") as folder:
        pool = ProcessPoolExecutor(workers, context, _begin, (recording, rule_minutes, folder))
        try:
            for future in as_completed([pool.submit(_play, patient) for patient in patients]):
                yield future.result()
        except BrokenProcessPool:
            raise ReplayError("a process ended before its time; is there enough memory and room in TMPDIR?") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
                child.join()

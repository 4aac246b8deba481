"""The writing thread of the embedded store: atomic calls, group commit.

It takes all calls that wait, reads at once what they are going to look at, evaluates them in order against that and
each other, makes their changes durable with one write, and only then answers them, all with one wake-up of the event
loop. After a failed write it refuses all calls until the database could be opened again, which takes room on the disk.
Never interprets values.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from rocksdict import WriteBatch, WriteOptions

from anontrace.backend.errors import StoreError

from .partitions import Partition, Partitions
from .soundness import as_store_error

_T = TypeVar("_T")
_MAX_IN_ONE_COMMIT = 512
_SECONDS_BETWEEN_TRIES = 1.0

_Rows = dict[bytes, tuple[Partition, bytes | None]]
_Newest = dict[tuple[str, bytes], tuple[Partition, bytes | None]]
_Known = dict[tuple[str, bytes], tuple[Partition, bytes] | None]


@dataclass(slots=True)
class _Pending:
    """What a commit writes: by whole key, and what of that holds now, by table and key."""

    rows: _Rows = field(default_factory=dict)
    newest: _Newest = field(default_factory=dict)

    def add(self, other: "_Pending") -> None:
        self.rows.update(other.rows)
        self.newest.update(other.newest)


class Changes:
    """What one call changes, on top of what the calls before it in the same commit change. `known`: what the database
    held of the keys that the calls of this commit look at."""

    def __init__(self, partitions: Partitions, pending: _Pending, known: _Known) -> None:
        self._partitions = partitions
        self._pending = pending
        self._known = known
        self._places: dict[tuple[str, int | None], Partition] = {}
        self.own = _Pending()
        self.afterwards: list[Callable[[], None]] = []  # to be done once this is durable

    def find(self, table: str, key: bytes) -> tuple[Partition | None, bytes | None]:
        """Where a key lives and its value; (None, None) if it is absent."""
        place = (table, key)
        changed = self.own.newest.get(place) or self._pending.newest.get(place)
        if changed is not None:
            return (None, None) if changed[1] is None else changed
        if place in self._known:
            return self._known[place] or (None, None)
        return self._partitions.find_one(table, key) or (None, None)

    def put(self, table: str, key: bytes, value: bytes, expires: int | None, where: Partition | None) -> None:
        """Write where the key lives, or, if it lives nowhere, to the day on which it is to expire."""
        self._set(key, where or self.place(table, expires), value)

    def delete(self, key: bytes, where: Partition) -> None:
        self._set(key, where, None)

    def _set(self, key: bytes, where: Partition, value: bytes | None) -> None:
        self.own.rows[where.prefix + key] = self.own.newest[where.table, key] = (where, value)

    def place(self, table: str, expires: int | None) -> Partition:
        """Where a new key goes."""
        found = self._places.get((table, expires))
        if found is None:
            found = self._places[table, expires] = self._partitions.get(table, expires)
        return found

    def write(self, key: bytes, value: bytes | None, where: Partition) -> None:
        """Write, or delete (None), in a table that no call looks into."""
        self.own.rows[where.prefix + key] = (where, value)


@dataclass(slots=True)
class _Call:
    """A piece of work. `alone`: it drops whole days, so nothing may be pending. `keys` of `table`: what it looks at."""

    work: Callable[[Changes], object]
    result: "asyncio.Future[object]"
    sync: bool
    alone: bool
    table: str
    keys: Sequence[bytes] = field(repr=False)


_Answer = tuple["asyncio.Future[object]", object, StoreError | None]


class Writer:
    """The thread, from construction to `stop`."""

    def __init__(self, partitions: Partitions, reopened: Callable[[], None]) -> None:
        """`reopened` is called by the thread when the database was opened again."""
        self._partitions = partitions
        self._reopened = reopened
        self._failure: StoreError | None = None
        self._next_try = 0.0
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-write", daemon=True)
        self._thread.start()

    def call(
        self,
        work: Callable[[Changes], _T],
        sync: bool = True,
        alone: bool = False,
        table: str = "",
        keys: Sequence[bytes] = (),
    ) -> "asyncio.Future[_T]":
        """Have a piece of work done, which looks at these keys of a table; its result, once what it changed is durable.
        StoreError if that failed. Work whose future was cancelled before it began is not done. For the event loop."""
        result: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._calls.put(_Call(work, result, sync, alone, table, keys))  # type: ignore[arg-type]  # Future is invariant
        return result

    def stop(self) -> None:
        """Finish what was called before, then end the thread."""
        self._calls.put(None)
        self._thread.join()

    def _run(self) -> None:
        following = self._calls.get()
        while following is not None:
            calls, following = [following], None
            while not calls[-1].alone and len(calls) < _MAX_IN_ONE_COMMIT:
                try:
                    following = self._calls.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    self._calls.put(None)  # the end, once this batch is done
                    break
                if following.alone:
                    break
                calls.append(following)
                following = None
            self._commit(calls)
            following = following or self._calls.get()

    def _commit(self, calls: Sequence[_Call]) -> None:
        """Evaluate the calls in order, write once, then answer them: nobody hears of a change that is not durable."""
        calls = [call for call in calls if not call.result.cancelled()]  # else whoever asked has gone away
        if self._failure is not None and not self._mend():
            _answer([(call.result, None, StoreError(str(self._failure))) for call in calls])
            return
        pending, known = _Pending(), self._look_up(calls)
        answers: list[_Answer] = []
        done: list[tuple[_Call, object, Changes]] = []
        for call in calls:
            changes = Changes(self._partitions, pending, known)
            try:
                value = call.work(changes)
            except Exception as error:
                answers.append((call.result, None, failed(error)))
                continue
            pending.add(changes.own)
            done.append((call, value, changes))
        try:
            self._write(pending.rows, any(call.sync for call, _, _ in done))
        except Exception as error:
            self._failure = failed(error)
            _answer([*answers, *((call.result, None, failed(error)) for call, _, _ in done)])
            return
        for call, value, changes in done:
            for action in changes.afterwards:
                action()
            answers.append((call.result, value, None))
        _answer(answers)

    def _look_up(self, calls: Sequence[_Call]) -> _Known:
        """What the database holds of all that these calls look at, in as few reads as there are tables and days. What
        cannot be read here is read, and told of, by the call that needs it."""
        wanted: dict[str, dict[bytes, None]] = {}
        for call in calls:
            wanted.setdefault(call.table, {}).update(dict.fromkeys(call.keys))
        known: _Known = {}
        for table, unique in wanted.items():
            keys = list(unique)
            with suppress(Exception):
                found = self._partitions.find(table, keys) if keys else []
                known.update({(table, key): each for key, each in zip(keys, found, strict=True)})
        return known

    def _mend(self) -> bool:
        """Open the database again, at most once a second; whether it can be written to."""
        if time.monotonic() < self._next_try:
            return False
        self._next_try = time.monotonic() + _SECONDS_BETWEEN_TRIES
        try:
            self._partitions.reopen()
            self._reopened()
        except Exception as error:
            self._failure = failed(error)
            return False
        self._failure = None
        return True

    def _write(self, pending: _Rows, sync: bool) -> None:
        if not pending:
            return
        batch = WriteBatch(raw_mode=True)
        emptied: dict[bytes, Partition] = {}
        for key, (partition, value) in pending.items():
            if value is None:
                batch.delete(key, partition.handle)
                emptied[partition.prefix] = partition
            else:
                batch.put(key, value, partition.handle)
        options = WriteOptions()
        options.sync = sync
        self._partitions.database.write(batch, options)
        self._partitions.note_deleted(emptied.values())
        if sync:
            self._partitions.acknowledge()


def _answer(answers: Sequence[_Answer]) -> None:
    """Tell whoever asked, all of one event loop at once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Answer]] = {}
    for each in answers:
        by_loop.setdefault(each[0].get_loop(), []).append(each)
    for loop, its in by_loop.items():
        with suppress(RuntimeError):  # it is closed: nobody waits any more
            loop.call_soon_threadsafe(_tell, its)


def _tell(answers: Sequence[_Answer]) -> None:
    for future, value, error in answers:
        if future.done():  # cancelled
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


def failed(error: Exception) -> StoreError:
    """Why a call failed. rocksdict raises plain Exception; whatever else comes out of a call is a fault of ours."""
    return as_store_error(error, "the store failed")

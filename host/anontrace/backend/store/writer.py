"""The writing thread of the embedded store: atomic calls, group commit.

It takes all calls that wait, evaluates them in order against the database and each other, makes their changes durable
with one write, and only then answers them. After a failed write it refuses all calls until the database could be opened
again, which takes room on the disk. Never interprets values.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from rocksdict import WriteBatch, WriteOptions

from anontrace.backend.errors import StoreError

from .partitions import Partition, Partitions
from .soundness import as_store_error

_T = TypeVar("_T")
_MAX_IN_ONE_COMMIT = 512
_SECONDS_BETWEEN_TRIES = 1.0

_Rows = dict[tuple[bytes, bytes], tuple[Partition, bytes | None]]
_Newest = dict[tuple[str, bytes], tuple[Partition, bytes | None]]


@dataclass(slots=True)
class _Pending:
    """What a commit writes: by partition's prefix and key, and what of that holds now, by table and key."""

    rows: _Rows = field(default_factory=dict)
    newest: _Newest = field(default_factory=dict)

    def add(self, other: "_Pending") -> None:
        self.rows.update(other.rows)
        self.newest.update(other.newest)


class Changes:
    """What one call changes, on top of what the calls before it in the same commit change."""

    def __init__(self, partitions: Partitions, pending: _Pending) -> None:
        self._partitions = partitions
        self._pending = pending
        self.own = _Pending()
        self._known: dict[tuple[str, bytes], tuple[Partition, bytes] | None] = {}
        self.afterwards: list[Callable[[], None]] = []  # to be done once this is durable

    def look_up(self, table: str, keys: Sequence[bytes]) -> None:
        """Have many keys at hand for `find`."""
        if len(keys) > 1:
            found = self._partitions.find(table, keys)
            self._known |= {(table, key): each for key, each in zip(keys, found, strict=True)}

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
        self._set(key, where or self._partitions.get(table, expires), value)

    def delete(self, key: bytes, where: Partition) -> None:
        self._set(key, where, None)

    def _set(self, key: bytes, where: Partition, value: bytes | None) -> None:
        self.own.rows[where.prefix, key] = self.own.newest[where.table, key] = (where, value)

    def delete_from(self, table: str, key: bytes) -> None:
        """Delete from a table that does not expire."""
        self.delete(key, self._partitions.get(table, None))


@dataclass(slots=True)
class _Call:
    """A piece of work. `alone`: it drops whole days, so nothing may be pending."""

    work: Callable[[Changes], object]
    result: "Future[object]"
    sync: bool
    alone: bool


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

    def call(self, work: Callable[[Changes], _T], sync: bool = True, alone: bool = False) -> "Future[_T]":
        """Have a piece of work done; its result, once what it changed is durable. StoreError if that failed."""
        result: Future[_T] = Future()
        self._calls.put(_Call(work, result, sync, alone))  # type: ignore[arg-type]  # Future is invariant
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
        if self._failure is not None and not self._mend():
            for call in calls:
                if call.result.set_running_or_notify_cancel():
                    call.result.set_exception(StoreError(str(self._failure)))
            return
        pending = _Pending()
        answered: list[tuple[_Call, object, Changes]] = []
        for call in calls:
            if not call.result.set_running_or_notify_cancel():
                continue  # whoever asked has gone away
            changes = Changes(self._partitions, pending)
            try:
                value = call.work(changes)
            except Exception as error:
                call.result.set_exception(failed(error))
                continue
            pending.add(changes.own)
            answered.append((call, value, changes))
        try:
            self._write(pending.rows, any(call.sync for call, _, _ in answered))
        except Exception as error:
            self._failure = failed(error)
            for call, _, _ in answered:
                call.result.set_exception(failed(error))
            return
        for call, value, changes in answered:
            for action in changes.afterwards:
                action()
            call.result.set_result(value)

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
        for (prefix, key), (partition, value) in pending.items():
            if value is None:
                batch.delete(prefix + key, partition.handle)
            else:
                batch.put(prefix + key, value, partition.handle)
        options = WriteOptions()
        options.sync = sync
        self._partitions.database.write(batch, options)
        self._partitions.note_deleted(partition for partition, value in pending.values() if value is None)
        if sync:
            self._partitions.acknowledge()


def failed(error: Exception) -> StoreError:
    """Why a call failed. rocksdict raises plain Exception; whatever else comes out of a call is a fault of ours."""
    return as_store_error(error, "the store failed")

"""The delay queues of the embedded store in memory: ids and due times only; the items stay on disk.

Belongs to RocksStore, which makes entries durable before they appear here. Safe to call from any thread.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

_MAX_SPARE = 64


class DelayQueues:
    """For each queue a heap by due time. An entry is valid in the heap only with the due time that `_due` holds for it,
    so that leasing and putting back are a push, and forgetting is a deletion. A heap is made anew when most of it is
    not valid: what waits for long keeps all that is behind it from being taken off."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._heaps: dict[str, list[tuple[float, bytes]]] = {}
        self._due: dict[str, dict[bytes, float]] = {}

    def add(self, entries: Iterable[tuple[str, bytes, float]]) -> None:
        """Queue, id and due time of each."""
        with self._lock:
            for queue, identity, due in entries:
                self._due.setdefault(queue, {})[identity] = due
                heapq.heappush(self._heaps.setdefault(queue, []), (due, identity))

    def find(self, queue: str, identity: bytes, due: float) -> None:
        """Add an entry that was found on disk, unless it is known."""
        with self._lock:
            known = identity in self._due.get(queue, {})
        if not known:
            self.add([(queue, identity, due)])

    def take(self, queue: str, now: float, limit: int, lease: float) -> tuple[list[bytes], float | None]:
        """Ids due by `now`, leased; and the due time of the first entry that was not taken (or of the first lease)."""
        with self._lock:
            heap, due = self._heaps.get(queue, []), self._due.get(queue, {})
            taken: list[bytes] = []
            while heap and len(taken) < limit and heap[0][0] <= now:
                when, identity = heapq.heappop(heap)
                if due.get(identity) == when:
                    taken.append(identity)
            while heap and due.get(heap[0][1]) != heap[0][0]:
                heapq.heappop(heap)
            next_due = heap[0][0] if heap else None
            for identity in taken:
                due[identity] = now + lease
                heapq.heappush(heap, (now + lease, identity))
            _tidy(heap, due)
            return taken, next_due

    def first(self, queue: str, limit: int) -> list[bytes]:
        """The ids that are due first, whenever that is."""
        with self._lock:
            heap, due = self._heaps.get(queue, []), self._due.get(queue, {})
            found: dict[bytes, float] = {}
            while heap and len(found) < limit:
                when, identity = heapq.heappop(heap)
                if due.get(identity) == when:
                    found[identity] = when
            for identity, when in found.items():
                heapq.heappush(heap, (when, identity))
            return list(found)

    def late(self, queue: str, latest: float, limit: int) -> list[bytes]:
        """Some ids that are due after `latest`."""
        with self._lock:
            return [identity for identity, due in self._due.get(queue, {}).items() if due > latest][:limit]

    def again(self, queue: str, identities: Sequence[bytes], when: float) -> None:
        with self._lock:
            heap, due = self._heaps.get(queue, []), self._due.get(queue, {})
            for identity in identities:
                if identity in due:
                    due[identity] = when
                    heapq.heappush(heap, (when, identity))
            _tidy(heap, due)

    def forget(self, queue: str, identities: Sequence[bytes]) -> None:
        with self._lock:
            due = self._due.get(queue, {})
            for identity in identities:
                due.pop(identity, None)
            if not due:
                self._due.pop(queue, None)
                self._heaps.pop(queue, None)

    def lengths(self) -> dict[str, int]:
        with self._lock:
            return {queue: len(due) for queue, due in self._due.items()}


def _tidy(heap: list[tuple[float, bytes]], due: Mapping[bytes, float]) -> None:
    if len(heap) > 2 * len(due) + _MAX_SPARE:
        heap[:] = [(when, identity) for identity, when in due.items()]
        heapq.heapify(heap)

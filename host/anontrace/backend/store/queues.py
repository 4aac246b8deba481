"""The delay queues of the embedded store in memory: ids and due times only; the items stay on disk.

Belongs to RocksStore, which makes entries durable before they appear here. Safe to call from any thread.
"""

import heapq
from collections.abc import Sequence
from threading import Lock


class DelayQueues:
    """For each queue a heap by due time. An entry is valid in the heap only with the due time that `_due` holds for it,
    so that leasing and putting back are a push, and forgetting is a deletion."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._heaps: dict[str, list[tuple[float, bytes]]] = {}
        self._due: dict[str, dict[bytes, float]] = {}

    def add(self, queue: str, identity: bytes, due: float) -> None:
        with self._lock:
            self._due.setdefault(queue, {})[identity] = due
            heapq.heappush(self._heaps.setdefault(queue, []), (due, identity))

    def find(self, queue: str, identity: bytes, due: float) -> None:
        """Add an entry that was found on disk, unless it is known."""
        with self._lock:
            known = identity in self._due.get(queue, {})
        if not known:
            self.add(queue, identity, due)

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
            return taken, next_due

    def again(self, queue: str, identities: Sequence[bytes], when: float) -> None:
        with self._lock:
            heap, due = self._heaps.get(queue, []), self._due.get(queue, {})
            for identity in identities:
                if identity in due:
                    due[identity] = when
                    heapq.heappush(heap, (when, identity))

    def forget(self, queue: str, identity: bytes) -> None:
        with self._lock:
            due = self._due.get(queue, {})
            due.pop(identity, None)
            if not due:
                self._due.pop(queue, None)
                self._heaps.pop(queue, None)

    def lengths(self) -> dict[str, int]:
        with self._lock:
            return {queue: len(due) for queue, due in self._due.items()}

"""Bounded tries: how often one sender may present tokens that do not exist. In memory only, by salted hash."""

import os
import time
from collections import OrderedDict
from hashlib import blake2b

from anontrace.backend.errors import Refused

WINDOW_SECONDS = 600.0
_MOST_SENDERS = 10_000


class Throttle:
    """Counts bad tries per sender within a window of ten minutes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._salt = os.urandom(32)
        self._tries: OrderedDict[bytes, list[float]] = OrderedDict()

    def check(self, sender: str) -> None:
        """Refused (429) if this sender has had its tries."""
        recent = self._recent(self._key(sender))
        if len(recent) >= self._most:
            raise Refused(429, "too many tries", int(recent[0] + WINDOW_SECONDS - time.monotonic()) + 1)

    def bad_try(self, sender: str) -> None:
        """One more token that does not exist."""
        key = self._key(sender)
        recent = self._recent(key)
        self._tries[key] = [*recent, time.monotonic()][-self._most :]
        self._tries.move_to_end(key)
        if len(self._tries) > _MOST_SENDERS:
            self._tries.popitem(last=False)

    def _recent(self, key: bytes) -> list[float]:
        since = time.monotonic() - WINDOW_SECONDS
        return [when for when in self._tries.get(key, ()) if when > since]

    def _key(self, sender: str) -> bytes:
        return blake2b(sender.encode(), key=self._salt, digest_size=16).digest()

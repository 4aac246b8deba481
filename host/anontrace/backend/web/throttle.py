"""Bounded tries: how often one sender may present what is wrong: tokens, passwords. In memory only, by salted hash.

A sender is an IPv4 address or an IPv6 /64. Each process counts for itself, and anew after a restart.
"""

import os
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

from anontrace.backend import senders
from anontrace.backend.errors import Refused

WINDOW_SECONDS = 600.0
_MAX_SENDERS = 10_000
_SOON = 1  # seconds until tries that are under way have been answered


class Throttle:
    """Counts bad tries per sender within a window of ten minutes."""

    def __init__(self, most: int, bad: int = 404) -> None:
        """`bad`: the status with which a bad try is refused."""
        self._most = most
        self._bad = bad
        self._salt = os.urandom(32)
        self._tries: OrderedDict[bytes, list[float]] = OrderedDict()
        self._underway: Counter[bytes] = Counter()

    @contextmanager
    def trying(self, sender: str) -> Iterator[None]:
        """Around one try, bad if it is Refused with that status. Refused (429) if this sender has had its tries;
        those under way count, so that trying many at once is no way around."""
        key = self._key(sender)
        recent = self._recent(key)
        if len(recent) + self._underway[key] >= self._most:
            full = len(recent) >= self._most
            wait = int(recent[0] + WINDOW_SECONDS - time.monotonic()) + 1 if full else _SOON
            raise Refused(429, "too many tries", wait)
        self._underway[key] += 1
        try:
            yield
        except Refused as refused:
            if refused.status == self._bad:
                self._remember(key)
            raise
        finally:
            self._underway[key] -= 1
            if not self._underway[key]:
                del self._underway[key]

    def _remember(self, key: bytes) -> None:
        self._tries[key] = [*self._recent(key), time.monotonic()][-self._most :]
        self._tries.move_to_end(key)
        if len(self._tries) > _MAX_SENDERS:
            self._tries.popitem(last=False)

    def _recent(self, key: bytes) -> list[float]:
        since = time.monotonic() - WINDOW_SECONDS
        return [when for when in self._tries.get(key, ()) if when > since]

    def _key(self, sender: str) -> bytes:
        address = senders.address(sender)
        site = sender if address is None else senders.site(address)
        return blake2b(site.encode(), key=self._salt, digest_size=16).digest()

"""A mix's daily keys: made ahead, used for 30 days, forgotten (docs/protocol.md section 6, "Mix keys").

The secret, sealed under the server's storage key, lies in the same partition of the store as the uniqueness entries of
its day, so that both go as one. Never hands out a secret other than to `unwrap`.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from anontrace_primitives import aead_open, aead_seal, x25519_base

from anontrace.backend.errors import StoreError
from anontrace.backend.store import Put, Store
from anontrace.mixnet import keydays

_SECRET = b"secret"  # no replay tag has this size
_NONCE = 12


@dataclass(frozen=True, slots=True)
class MixKey:
    """One day's key."""

    day: int
    public: bytes
    secret: bytes = field(repr=False)

    @property
    def table(self) -> str:
        """The table of what this key has unwrapped."""
        return _table(self.day)

    @property
    def last_day(self) -> int:
        """The last day on which the key lives."""
        return _last_day(self.day)


class MixKeys:
    """The keys of one mix. `roll` makes what is missing, expired ones go with `Store.expire`. `retire`: make none."""

    def __init__(self, store: Store, storage_key: bytes, retire: bool) -> None:
        self._store = store
        self._storage_key = storage_key
        self._retire = retire
        self._keys: dict[int, MixKey] = {}

    async def roll(self, now: float) -> None:
        """Have the keys of every published day, of a mix that retires those that it made before, and hold no other."""
        found = {day: self._keys.get(day) or await self._load_or_make(day) for day in keydays.published_days(now)}
        self._keys = {day: key for day, key in found.items() if key is not None}

    async def _load_or_make(self, day: int) -> MixKey | None:
        if not self._retire:
            made = self._seal(day, os.urandom(32))
            await self._store.put_if_absent_many(_table(day), [Put(_SECRET, made)], expires=_last_day(day))
        (sealed,) = await self._store.get_many(_table(day), [_SECRET])
        if sealed is None:
            if self._retire:
                return None
            raise StoreError("a mix key that was just stored is not there")
        secret = self._open(day, sealed)
        return MixKey(day, x25519_base(secret), secret)

    def _seal(self, day: int, secret: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + aead_seal(self._storage_key, nonce, secret, b"mix key %d" % day)

    def _open(self, day: int, sealed: bytes) -> bytes:
        try:
            return aead_open(self._storage_key, sealed[:_NONCE], sealed[_NONCE:], b"mix key %d" % day)
        except ValueError:
            raise StoreError(
                "the stored mix keys do not open: storage.key is not the one they were made with"
            ) from None

    def selected(self, key_select: int, now: float) -> MixKey | None:
        """The key that a message names, if it lives."""
        day = keydays.selected_day(key_select, now)
        return None if day is None else self._keys.get(day)

    def published(self) -> Sequence[MixKey]:
        """All keys, oldest first."""
        return [self._keys[day] for day in sorted(self._keys)]


def partitions(now: float) -> list[tuple[str, int]]:
    """The tables of the store, with their last days, that a mix needs from the start."""
    return [(_table(day), _last_day(day)) for day in keydays.published_days(now)]


def _table(day: int) -> str:
    return f"key-{day}"


def _last_day(day: int) -> int:
    return day + keydays.LIFE_DAYS - 1

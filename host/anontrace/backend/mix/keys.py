"""A mix's daily keys: made a day ahead, used for 30 days, forgotten (docs/protocol.md section 6, "Mix keys").

The secret, sealed under the server's storage key, lies in the same partition of the store as the uniqueness entries of
its day, so that both go as one. Never hands out a secret other than to `unwrap`.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
    """The keys of one mix. `roll` makes today's and tomorrow's, expired ones go with `Store.expire`. `retire`: make
    none; `key_file`: where the storage key is, for errors."""

    def __init__(self, store: Store, storage_key: bytes, retire: bool, key_file: Path) -> None:
        self._store = store
        self._storage_key = storage_key
        self._retire = retire
        self._key_file = key_file
        self._keys: dict[int, MixKey] = {}

    async def roll(self, now: float) -> None:
        """Have the keys of today and tomorrow, of a mix that retires only if it made them before, and those before that
        live; and hold no other."""
        today = keydays.day_at(now)
        days = keydays.accepted_days(now)
        found = {day: self._keys.get(day) or await self._load(day, make=day >= today) for day in days}
        self._keys = {day: key for day, key in found.items() if key is not None}

    async def _load(self, day: int, make: bool) -> MixKey | None:
        make = make and not self._retire
        if make:
            made = self._seal(day, os.urandom(32))
            await self._store.put_if_absent_many(_table(day), [Put(_SECRET, made)], expires=_last_day(day))
        (sealed,) = await self._store.get_many(_table(day), [_SECRET])
        if sealed is None:
            if not make:
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
            raise StoreError(f"{self._key_file}: does not open the mix keys in the store, which another made") from None

    def selected(self, key_select: int, now: float) -> MixKey | None:
        """The key that a message names, if it lives."""
        day = keydays.selected_day(key_select, now)
        return None if day is None else self._keys.get(day)

    def all(self) -> Sequence[MixKey]:
        """Oldest first."""
        return [self._keys[day] for day in sorted(self._keys)]


def _table(day: int) -> str:
    return f"key-{day}"


def _last_day(day: int) -> int:
    return day + keydays.LIFE_DAYS - 1

"""Which headers this nymserver has used: none goes to its first mix twice (docs/protocol.md section 7).

Whatever is sent by the header of a SURB or a reply block goes through here, and a hash (16) of the header is remembered
for as long as its key can live. A message that nobody waits for is remembered and queued in one step. A notification
claims its header first: a nym and its queue entry are one step already, and in a cluster no step spans two keys. The
claim is the notification's own, so that the same one goes on after a crash, and nothing else does. Never knows what a
message holds.
"""

import time
from collections.abc import Callable
from hashlib import blake2b

from anontrace import clock
from anontrace.backend.mix import items
from anontrace.backend.store import Entry, Put, Store
from anontrace.mixnet import keydays, packet
from anontrace.mixnet.sizes import TAG

_TABLE = "headers-used"
_FREELY = b""  # by a message that is not a nym's
_CLAIM = 8


class Headers:
    """The headers of one store. `known_mix`: whether the network has a mix of this number."""

    def __init__(self, store: Store, known_mix: Callable[[int], bool]) -> None:
        self._store = store
        self._known_mix = known_mix

    def entry(self, first_mix: int, header: bytes, payload: bytes) -> Entry | None:
        """A message of header (141) and payload (239), for the queue to its first mix. None if that would lead nowhere:
        there is no such mix, or the key that the header names is dead."""
        onward = items.onward(header + payload, clock.now())
        if onward is None or not self._known_mix(first_mix):
            return None
        return Entry(items.queue_to(first_mix), time.time(), onward.encode())

    async def send(self, header: bytes, entry: Entry) -> bool:
        """Queue what `entry` made of this header, if it was never used; remembered in the same step."""
        put = Put(_hash(header), _FREELY, entry)
        return (await self._store.put_if_absent_many(_TABLE, [put], _last_day()))[0]

    async def claim(self, header: bytes, secret: bytes) -> bool:
        """Whether a message may use this header: it is the first to ask, or has claimed it before. `secret` is what
        nobody can guess who does not know whom the message is for."""
        mine = _claim(header, secret)
        if (await self._store.put_if_absent_many(_TABLE, [Put(_hash(header), mine)], _last_day()))[0]:
            return True
        return await self._claimed_by(header) == mine

    async def is_claimed(self, header: bytes, secret: bytes) -> bool:
        """Whether this message has claimed the header."""
        return await self._claimed_by(header) == _claim(header, secret)

    async def _claimed_by(self, header: bytes) -> bytes | None:
        (value,) = await self._store.get_many(_TABLE, [_hash(header)])
        return value


def _hash(header: bytes) -> bytes:
    """Of the part that a mix tells headers apart by: two that differ elsewhere are one to it, or none. Other than what
    the mix itself remembers: two disks cannot be laid side by side."""
    return blake2b(header[packet.ADDRESS_FIELD], digest_size=TAG, person=b"anontrace/2 sent").digest()


def _claim(header: bytes, secret: bytes) -> bytes:
    return blake2b(header + secret, digest_size=_CLAIM, person=b"anontrace/2 mine").digest()


def _last_day() -> int:
    return keydays.day_at(clock.now()) + keydays.LIFE_DAYS

"""The key of the database's pages, and how an old one is destroyed.

Owns the file epoch.key, whose size never changes and which is only ever overwritten in place, so that the disk keeps no
older version of a block (docs/threat-model.md says where it may):

    block 0: magic | blocks 1 and 2: the secrets of two epochs, or random bytes | block 3: how far the database has come

The key of the pages is made of a secret and the vault key: neither opens anything without the other. A secret is
overwritten once every page that is still needed is encrypted under the next one; nothing brings back what was deleted
before.
"""

import os
import struct
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from anontrace.companion.errors import damaged
from anontrace.companion.keys import private

FILE = "epoch.key"
BLOCK = 4096
SIZE = 4 * BLOCK
SECRET = 32
_MAGIC = b"anontrace epoch 1\n"
_SLOTS = (1, 2)
_PROGRESS = 3
_SLOT = struct.Struct(f"<Q{SECRET}s32s")  # number, secret, tag
_COUNT = struct.Struct("<Q8s")  # count, checksum


@dataclass(frozen=True)
class Epoch:
    number: int
    key: bytes = field(repr=False)  # of the pages (32)


class EpochFile:
    """The open file. Only who holds the lock of the state folder calls `begin` and `keep`."""

    def __init__(self, descriptor: int, path: Path, vault_key: bytes) -> None:
        self._descriptor = descriptor
        self._path = path
        self._vault_key = vault_key

    @classmethod
    def make(cls, folder: Path, vault_key: bytes) -> "EpochFile":
        """A new file with the first epoch, durable when this returns."""
        path = folder / FILE
        made = cls(private.make(path), path, vault_key)
        made._put(0, _MAGIC + bytes(BLOCK - len(_MAGIC)))
        made._put(2, os.urandom(BLOCK))
        made._put(_PROGRESS, bytes(BLOCK))
        made._begin(1, 1)
        made.reach(0)
        os.fsync(made._descriptor)
        return made

    @classmethod
    def open(cls, folder: Path, vault_key: bytes) -> "EpochFile":
        """StateError when it is missing, damaged or another vault key's."""
        path = folder / FILE
        try:
            descriptor = private.open_file(path, for_writing=True)
        except FileNotFoundError:
            raise damaged(path, "it is missing") from None
        found = cls(descriptor, path, vault_key)
        try:
            if os.fstat(descriptor).st_size != SIZE or not found._block(0).startswith(_MAGIC):
                raise damaged(path, "it is not whole")
            if not found.epochs():
                raise damaged(path, "it does not open with this vault key")
            found.reached()
        except BaseException:
            found.close()
            raise
        return found

    def close(self) -> None:
        os.close(self._descriptor)

    def epochs(self) -> list[Epoch]:
        """The epochs whose secrets are there, the oldest first: two while one ends, else one."""
        found = []
        for slot in _SLOTS:
            number, secret, tag = _SLOT.unpack_from(self._block(slot))
            if tag == self._tag(number, secret):
                found.append(
                    Epoch(number, blake2b(secret, key=self._vault_key, digest_size=32, person=b"pages").digest())
                )
        return sorted(found, key=lambda each: each.number)

    def begin(self, after: Epoch) -> Epoch:
        """Make the secret of the next epoch, beside that of the present one; durable when this returns."""
        free = next(slot for slot in _SLOTS if self._number(slot) != after.number)
        return self._begin(free, after.number + 1)

    def keep(self, epoch: Epoch) -> None:
        """Destroy the secrets of all other epochs: overwritten in place, and on the disk when this returns."""
        for slot in _SLOTS:
            if self._number(slot) not in (None, epoch.number):
                self._put(slot, os.urandom(BLOCK))
                os.fsync(self._descriptor)

    def reached(self) -> int:
        """How many transactions the database had seen at least; StateError when that is damaged."""
        count, checksum = _COUNT.unpack_from(self._block(_PROGRESS))
        if checksum != _checksum(count):
            raise damaged(self._path, "it is not whole")
        return int(count)

    def reach(self, count: int) -> None:
        """Remember that the database has durably come so far. After a power cut it may say less, never more: it is not
        synchronised."""
        self._put(_PROGRESS, _COUNT.pack(count, _checksum(count)))

    def _begin(self, slot: int, number: int) -> Epoch:
        secret = os.urandom(SECRET)
        data = _SLOT.pack(number, secret, self._tag(number, secret))
        self._put(slot, data + os.urandom(BLOCK - len(data)))
        os.fsync(self._descriptor)
        return next(each for each in self.epochs() if each.number == number)

    def _number(self, slot: int) -> int | None:
        number, secret, tag = _SLOT.unpack_from(self._block(slot))
        return number if tag == self._tag(number, secret) else None

    def _tag(self, number: int, secret: bytes) -> bytes:
        data = number.to_bytes(8, "little") + secret
        return blake2b(data, key=self._vault_key, digest_size=32, person=b"epoch").digest()

    def _block(self, number: int) -> bytes:
        os.lseek(self._descriptor, number * BLOCK, os.SEEK_SET)
        data = os.read(self._descriptor, BLOCK)
        return data + bytes(BLOCK - len(data))

    def _put(self, block: int, data: bytes) -> None:
        os.lseek(self._descriptor, block * BLOCK, os.SEEK_SET)
        os.write(self._descriptor, data)


def _checksum(count: int) -> bytes:
    return blake2b(count.to_bytes(8, "little"), digest_size=8, person=b"progress").digest()

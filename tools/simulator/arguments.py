"""How calls carry their values from a badge to its stack, and the errno values that they are refused with."""

import errno
import struct
from typing import Any

from bumble import hci
from bumble.core import UUID

# Numbers, since the badge's errno are Linux's wherever the simulator runs.
EIO, ENOMEM, EBUSY, ENODEV, EINVAL, ENOTCONN, ETIMEDOUT, EALREADY = 5, 12, 16, 19, 22, 107, 110, 114


def require(condition: bool, number: int) -> None:
    """Refuse a call with that errno unless the condition holds."""
    if not condition:
        raise OSError(number, errno.errorcode.get(number, ""))


class Arguments:
    """Takes the arguments of a call apart."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        self.at += count
        return self.data[self.at - count : self.at]

    def fields(self, layout: str) -> Any:
        """The next fields by struct layout: one value, or a tuple of several."""
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values[0] if len(values) == 1 else values

    def uuid(self) -> UUID | None:
        """A length byte and so much of UUID; None for none."""
        size = self.fields("B")
        return UUID.from_bytes(self.take(size)) if size else None

    def rest(self) -> bytes:
        """All that has not been taken."""
        return self.data[self.at :]


def pack_uuid(uuid: UUID) -> bytes:
    """What Arguments.uuid() reads."""
    raw = uuid.to_bytes()
    return bytes((len(raw),)) + raw


def big_endian(address: hci.Address) -> bytes:
    """MicroPython writes addresses in the order in which they are read aloud, Bumble in that of the air."""
    return bytes(reversed(bytes(address)))

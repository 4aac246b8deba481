"""What is kept for a retraction: who was notified of a report, under a key that only the health authority has.

docs/protocol.md section 9. The nymserver cannot open what it keeps, and the authority has only the key; neither alone
can link two contacts. Kept for as long as the report's chain tokens count.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from anontrace_primitives import aead_open, aead_seal
from anontrace_shared.errors import AuthenticationError

from anontrace.mixnet.sizes import CONTACT_ADDRESS, KEY

_NONCE = 12
_SLOT = struct.Struct("<I")
_ROW = CONTACT_ADDRESS + _SLOT.size


@dataclass(frozen=True, slots=True)
class Notified:
    """A contact address (20) of a slot that was notified."""

    address: bytes = field(repr=False)
    slot: int = field(repr=False)


def seal(key: bytes, report_id: bytes, notified: Sequence[Notified]) -> bytes:
    """The list under the authority's key (32) for this report."""
    assert len(key) == KEY
    plain = b"".join(each.address + _SLOT.pack(each.slot) for each in notified)
    nonce = os.urandom(_NONCE)
    return nonce + aead_seal(key, nonce, plain, report_id)


def unseal(key: bytes, report_id: bytes, sealed: bytes) -> list[Notified]:
    """The list again. AuthenticationError if this is not its key."""
    try:
        plain = aead_open(key, sealed[:_NONCE], sealed[_NONCE:], report_id)
    except ValueError:
        raise AuthenticationError("this key does not open the list of who was notified") from None
    rows = [plain[at : at + _ROW] for at in range(0, len(plain), _ROW)]
    return [Notified(row[:CONTACT_ADDRESS], _SLOT.unpack_from(row, CONTACT_ADDRESS)[0]) for row in rows]

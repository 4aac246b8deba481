"""The encrypted SURB as the nymserver stores it: opened by the contact address alone (docs/protocol.md section 7)."""

from hashlib import blake2b

from anontrace_shared.errors import FormatError
from anontrace_shared.slots import slot_bytes

from . import lioness
from .sizes import BLOB, CONTACT_ADDRESS, SURB


def seal(contact_address: bytes, slot: int, surb: bytes) -> bytes:
    """The blob (174) of a SURB (174) under the contact address (20) of a slot."""
    if len(surb) != SURB:
        raise FormatError(f"a SURB has {len(surb)} bytes instead of {SURB}")
    return lioness.encrypt(_keys(contact_address, slot), surb)


def open(contact_address: bytes, slot: int, blob: bytes) -> bytes:
    """The SURB (174) in a blob. A wrong address or slot gives rubbish of the same size, which no mix will accept."""
    if len(blob) != BLOB:
        raise FormatError(f"a blob has {len(blob)} bytes instead of {BLOB}")
    return lioness.decrypt(_keys(contact_address, slot), blob)


def _keys(contact_address: bytes, slot: int) -> bytes:
    if len(contact_address) != CONTACT_ADDRESS:
        raise FormatError(f"a contact address has {len(contact_address)} bytes instead of {CONTACT_ADDRESS}")
    key = blake2b(slot_bytes(slot), digest_size=32, key=contact_address, person=b"anontrace/1 blob").digest()
    return lioness.keys_from(key)

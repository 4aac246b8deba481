"""The advertisement: 29 bytes of legacy ADV_IND that carry a contact address or a beacon (docs/protocol.md, section 2).

Its building is in `badge_advert` and stands here too; here it is taken apart. Cannot tell an address from a beacon.
"""

# ruff: noqa: F403, F405
from .badge_advert import *

SERVICE_UUID16 = 0xA7CE


def decode(data: bytes | bytearray | memoryview) -> "tuple[int, bytes] | None":
    """(tx power in dBm, address or beacon), or None for anything that is not exactly one of ours.

    Strangers' advertisements are most of what a radio hears: most fall to the length, before anything is copied.
    """
    if len(data) != SIZE or bytes(data[:TX_POWER_AT]) != PREFIX:
        return None
    tx_power = data[TX_POWER_AT]
    return (tx_power - 256 if tx_power > 127 else tx_power), bytes(data[ADDRESS_AT:])

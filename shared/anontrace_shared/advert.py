"""The advertisement: 29 bytes of legacy ADV_IND that carry a contact address or a beacon (docs/protocol.md, section 2).

Builds and takes apart; never decides when to send, and cannot tell an address from a beacon.
"""

from .errors import FormatError

SERVICE_UUID16 = 0xA7CE
VERSION = 1
SIZE = 29
PREFIX = b"\x02\x01\x06\x19\x16\xce\xa7\x01"  # flags, service data header, version: the same in every advertisement
TX_POWER_AT = 8
ADDRESS_AT = 9


def encode(tx_power: int, address: bytes) -> bytes:
    """The 29 bytes to advertise: transmit power in dBm (-128 to 127) and a contact address or beacon (20)."""
    if not -128 <= tx_power <= 127:
        raise FormatError("tx power must be -128 to 127 dBm")
    if len(address) != SIZE - ADDRESS_AT:
        raise FormatError("an advertisement carries 20 bytes")
    return PREFIX + bytes((tx_power & 0xFF,)) + address


def decode(data: bytes | bytearray | memoryview) -> "tuple[int, bytes] | None":
    """(tx power in dBm, address or beacon), or None for anything that is not exactly one of ours.

    Strangers' advertisements are most of what a radio hears: most fall to the length, before anything is copied.
    """
    if len(data) != SIZE or bytes(data[:TX_POWER_AT]) != PREFIX:
        return None
    tx_power = data[TX_POWER_AT]
    return (tx_power - 256 if tx_power > 127 else tx_power), bytes(data[ADDRESS_AT:])

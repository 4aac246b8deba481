"""What a badge needs of `advert`: building the advertisement (docs/protocol.md, section 2).

The badge loads this half only. Never decides when to send.
"""

from .errors import FormatError

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

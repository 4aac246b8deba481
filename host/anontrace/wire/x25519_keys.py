"""Which 32 bytes are an X25519 public key that a server can have. Pure."""

_P = (1 << 255) - 19
LOW_ORDER = frozenset(  # u-coordinates of the points of order 1, 2, 4 and 8 on the curve and its twist
    (
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        _P - 1,
    )
)


def checked(key: bytes) -> bytes:
    """The key (32). ValueError if X25519 would refuse it, or it is another key's encoding."""
    u = int.from_bytes(key, "little")
    if u >= _P or u in LOW_ORDER:
        raise ValueError("this is not an X25519 public key that a server can have")
    return key

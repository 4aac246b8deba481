"""A queue entry as a row of the embedded store, and of a move: under an id (16) due time and item. Pure."""

import struct

TABLE = "queues"
ID = 16
_DUE = struct.Struct("<d")


def key(queue: str, identity: bytes) -> bytes:
    """The key of an entry in the table of all queues."""
    return queue.encode() + identity


def split_key(row: bytes) -> tuple[str, bytes]:
    """Queue and id."""
    return row[:-ID].decode(), row[-ID:]


def value(due: float, item: bytes) -> bytes:
    """What an entry's key holds."""
    return _DUE.pack(due) + item


def due(row: bytes) -> float:
    """When it is due (real unix seconds)."""
    return float(_DUE.unpack_from(row)[0])


def item(row: bytes) -> bytes:
    """What it is about."""
    return row[_DUE.size :]

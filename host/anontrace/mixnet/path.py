"""A path through the mixes, as the packet format sees it (docs/protocol.md section 6). Never chooses one."""

from collections.abc import Sequence
from typing import NamedTuple

from anontrace_shared.errors import FormatError

from .sizes import KEY, MAX_HOPS, MAX_MIXES


class Hop(NamedTuple):
    """One mix on a path: its number (1 to 255), which of its keys (0 to 255), and that key (32)."""

    number: int
    key_select: int
    public_key: bytes


def check(path: Sequence[Hop]) -> None:
    """FormatError unless a header can be built for this path."""
    if not 1 <= len(path) <= MAX_HOPS:
        raise FormatError(f"a path has 1 to {MAX_HOPS} hops, not {len(path)}")
    for hop in path:
        if not 1 <= hop.number <= MAX_MIXES:
            raise FormatError(f"mixes are numbered 1 to {MAX_MIXES}, not {hop.number}")
        if not 0 <= hop.key_select <= 255:
            raise FormatError(f"key select of mix {hop.number} is one byte, not {hop.key_select}")
        if len(hop.public_key) != KEY:
            raise FormatError(f"the key of mix {hop.number} has {len(hop.public_key)} bytes instead of {KEY}")

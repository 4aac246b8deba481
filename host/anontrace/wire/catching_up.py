"""How whoever uses the directory keeps it current: what to ask discovery for, and what to make of the answers.

docs/protocol.md section 10. Asks for nothing itself, so that clients and servers do it alike.
"""

from collections.abc import Generator
from dataclasses import dataclass

from . import directory
from .directory import Directory

WHOLE = "/v2/directory"


@dataclass(frozen=True, slots=True)
class Caught:
    """The directory as it is now. `checked`: whether it is known to continue what was seen before; if not, that is too
    long ago to tell."""

    directory: Directory
    checked: bool


Asking = Generator[str, bytes | None, Caught]


def catch_up(known: Directory | None, discovery_key: bytes, now: float) -> Asking:
    """Yields the paths to be asked for, and is sent what discovery answers: None where it says that there is no such
    thing. Returns what was found.

    ForkError if discovery contradicts what was seen before, FormatError and AuthenticationError as the formats say.
    What is asked for is the same for all who have the directory of one day.
    """
    seen = None if known is None else known.seen
    if known is not None and directory.is_kept(known.seen, now):
        answer = yield f"{WHOLE}/{known.content.day}"
        if answer is not None:
            news = directory.parse_difference(answer, discovery_key)
            directory.follow(seen, news.heads, now)
            found = news.applied_to(known.content)
            if found is not None:
                return Caught(found, checked=True)
            seen = news.heads[-1].seen
    answer = yield WHOLE
    whole = directory.parse(answer or b"", discovery_key)
    return Caught(whole, directory.follow(seen, [whole.head], now))

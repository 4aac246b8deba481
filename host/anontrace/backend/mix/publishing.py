"""What a mix publishes of itself: its description, and an announcement a day, signed and handed to discovery.

docs/protocol.md section 10. Never holds a mix key's secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from anontrace.backend.config import ServerConfig
from anontrace.backend.errors import StoreError
from anontrace.backend.store import Store
from anontrace.wire import announcement, description, mixes
from anontrace.wire.content import NEWEST, Content
from anontrace.wire.description import Description

from .keys import MixKey

REFRESH_SECONDS = 6 * 3600
_TABLE, _DESCRIPTION = "publishing", b"description"
_MAX_ATTEMPTS = 64


@dataclass(frozen=True, slots=True)
class NymserverFacts:
    """What only a nymserver's description holds."""

    log_key: bytes


async def described(
    store: Store, config: ServerConfig, nymserver: NymserverFacts | None, now: float, after: int = 0
) -> bytes:
    """The description of a mix, as of now. One that says the same is left as it is, by all workers and after every
    restart: each new one would make a new directory. `after`: unix seconds than which it has to be later."""
    assert config.number is not None  # mixes have one
    written = Description(
        number=config.number,
        roles=config.mix_roles,
        issued=max(int(now), after + 1),
        name=config.name,
        url=config.url,
        retiring=config.mix.retire,
        log_key=None if nymserver is None else nymserver.log_key,
    )
    made = description.parse(written.encode())  # its roles in order
    for _ in range(_MAX_ATTEMPTS):
        (value,) = await store.get_many(_TABLE, [_DESCRIPTION])
        if value is not None:
            before = description.parse(value)
            if before.issued <= now + mixes.CLOCK_TOLERANCE:
                if before.issued > after and made.model_copy(update={"issued": before.issued}) == before:
                    return value
                # Two of one second would not tell which of them holds.
                made = made.model_copy(update={"issued": max(made.issued, before.issued + 1)})
        if await store.compare_and_swap(_TABLE, _DESCRIPTION, value, made.encode()):
            return made.encode()
    raise StoreError("the description of this mix changed under every attempt to make it")


def contradicts(found: Description | None, text: bytes) -> bool:
    """Whether discovery shows, of this mix, another description than this, and none that this one replaces."""
    return found is not None and found.encode() != text and found.issued >= description.parse(text).issued


def signed(number: int, text: bytes, keys: Sequence[MixKey], lossy: Sequence[int], signing_key: bytes) -> Content:
    """What a mix hands to discovery: its description, and its newest keys, signed with its long-term key."""
    made = {
        key.day: announcement.sign(number, key.day, key.public, lossy, text, signing_key).encode()
        for key in keys[-NEWEST:]
    }
    return Content({number: text}, {number: made})

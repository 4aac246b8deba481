"""The signed key list of a mix: made at start, at each rollover and some hours later, and handed to discovery.

docs/protocol.md section 10. Never holds a mix key's secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from anontrace.backend.config import ServerConfig
from anontrace.wire import keylist
from anontrace.wire.signed import Signed

from .keys import MixKeys

LIST_SECONDS = 2 * 86400
REFRESH_SECONDS = 6 * 3600


@dataclass(frozen=True, slots=True)
class NymserverFacts:
    """What only a nymserver's list holds."""

    log_key: bytes
    bucket_bits: int


def signed_list(
    config: ServerConfig,
    keys: MixKeys,
    nymserver: NymserverFacts | None,
    losses: Mapping[int, float],
    signing_key: bytes,
    issued: int,
) -> Signed:
    """The key list as of a second, signed with the mix's long-term key."""
    assert config.number is not None  # mixes have one
    document = keylist.KeyList(
        number=config.number,
        name=config.name,
        roles=config.mix_roles,
        url=config.url,
        issued=issued,
        expires=issued + LIST_SECONDS,
        keys=tuple(keylist.MixKey(day=key.day, key=key.public) for key in keys.published()),
        log_key=None if nymserver is None else nymserver.log_key,
        bucket_bits=None if nymserver is None else nymserver.bucket_bits,
        losses=dict(losses),
    )
    return keylist.sign(document, signing_key)

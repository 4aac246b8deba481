"""The 380-byte mix message: what a client sends forward and what a mix makes of what it receives.

docs/protocol.md section 6. Never delays, remembers or sends: the uniqueness test is the mix's, by the replay tag.
"""

import hmac
import os
from collections.abc import Sequence
from typing import NamedTuple

from anontrace_shared.errors import AuthenticationError, FormatError
from nacl import bindings
from nacl.exceptions import CryptoError

from . import header, hop_keys, lioness
from .header import RandomBytes
from .path import Hop
from .sizes import HEADER, HOP, KEY, KEY_SELECT, MAILBOX, MESSAGE, PAD, PAYLOAD, TAG

# Where a message's fields lie; key select is its first byte.
ALPHA_FIELD = slice(KEY_SELECT, KEY_SELECT + KEY)
TAG_FIELD = slice(ALPHA_FIELD.stop, ALPHA_FIELD.stop + TAG)
ROUTING_FIELD = slice(TAG_FIELD.stop, HEADER)
ADDRESS_FIELD = slice(TAG_FIELD.start, HEADER)
PAYLOAD_FIELD = slice(HEADER, MESSAGE)
_NEXT = 2  # key select and number of the next mix
_ZEROS = bytes(HOP)


class DroppedMessage(AuthenticationError):
    """A message that a mix drops without an answer."""


class MacError(DroppedMessage):
    """The header is not for this key, or was altered on the way."""


class Relay(NamedTuple):
    """A message (380) to hand on to another mix after the delay."""

    next_mix: int
    message: bytes
    replay_tag: bytes

    def __repr__(self) -> str:
        return f"Relay(next_mix={self.next_mix})"


class Delivery(NamedTuple):
    """A message for this server itself: a swap at a nymserver, else a payload (239) for a mailbox (32)."""

    mailbox: bytes
    version: int  # of the mailbox address
    payload: bytes
    replay_tag: bytes

    def __repr__(self) -> str:
        return "Delivery(...)"


def forward(path: Sequence[Hop], mailbox: bytes, payload: bytes, random_bytes: RandomBytes = os.urandom) -> bytes:
    """A message (380), to be sent to path[0], that brings the payload (239) to the last hop."""
    check_payload(payload)
    built, seeds = header.build(path, mailbox, random_bytes)
    return built + lioness.layers([hop_keys.lioness_keys(seed) for seed in seeds], payload)


def key_select(message: bytes) -> int:
    """Which of its keys the mix is to use. FormatError if this is not 380 bytes."""
    _check_message(message)
    return message[0]


def replay_tag(message: bytes) -> bytes:
    """What the uniqueness test compares (16), for a message or a header. Of use only once the tag has been checked."""
    return hop_keys.replay_tag(message[ADDRESS_FIELD])


def unwrap(secret_key: bytes, public_key: bytes, message: bytes) -> Relay | Delivery:
    """Undo one hop with the key that `key_select` names (32 each).

    FormatError if the message is not 380 bytes, MacError if its tag does not hold, DroppedMessage if its maker wrote a
    hop that does not exist.
    """
    _check_message(message)
    if len(secret_key) != KEY or len(public_key) != KEY:
        raise FormatError(f"a mix's keys have {KEY} bytes each")
    alpha = message[ALPHA_FIELD]
    if alpha[-1] & 0x80:
        raise MacError("the message's key is not in the form that X25519 gives")
    try:
        shared = bindings.crypto_scalarmult(secret_key, alpha)  # straight: a mix spends its days here
    except CryptoError:
        raise MacError("the message's key is a point of low order") from None
    keys = hop_keys.expand(hop_keys.seed_of(shared, public_key))
    routing = message[ROUTING_FIELD]
    if not hmac.compare_digest(hop_keys.tag(keys.tag_key, routing), message[TAG_FIELD]):
        raise MacError("the header's tag does not hold")
    once = hop_keys.replay_tag(message[ADDRESS_FIELD])
    plain = (int.from_bytes(routing + _ZEROS) ^ int.from_bytes(keys.pad)).to_bytes(PAD)
    payload = lioness.decrypt(keys.lioness_keys, message[PAYLOAD_FIELD])
    select, next_mix = plain[0], plain[1]
    if next_mix:
        following = plain[:KEY_SELECT] + bindings.crypto_scalarmult(keys.blinding, alpha) + plain[_NEXT:] + payload
        return Relay(next_mix, following, once)
    if select:
        raise DroppedMessage("the header names no mix, and not this server either")
    at = _NEXT + MAILBOX
    return Delivery(plain[_NEXT:at], plain[at], payload, once)


def check_payload(payload: bytes) -> None:
    """FormatError unless this is as long as a payload."""
    if len(payload) != PAYLOAD:
        raise FormatError(f"a payload has {len(payload)} bytes instead of {PAYLOAD}")


def _check_message(message: bytes) -> None:
    if len(message) != MESSAGE:
        raise FormatError(f"a mix message has {len(message)} bytes instead of {MESSAGE}")

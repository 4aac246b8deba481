"""The 380-byte mix message: what a client sends forward and what a mix makes of what it receives.

docs/protocol.md section 6. Never delays, remembers or sends: the uniqueness test is the mix's, by the replay tag.
"""

import hmac
import os
from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from anontrace_primitives import x25519, x25519_many
from anontrace_shared.errors import AuthenticationError, FormatError

from . import header, hop_keys, lioness
from .header import RandomBytes
from .path import Hop
from .sizes import HEADER, KEY, KEY_SELECT, MAILBOX, MESSAGE, MIX_NUMBER, PAD, PAYLOAD, ROUTING, TAG

# Where a message's fields lie; key select is its first byte.
ALPHA_FIELD = slice(KEY_SELECT, KEY_SELECT + KEY)
TAG_FIELD = slice(ALPHA_FIELD.stop, ALPHA_FIELD.stop + TAG)
ROUTING_FIELD = slice(TAG_FIELD.stop, HEADER)
ADDRESS_FIELD = slice(TAG_FIELD.start, HEADER)
PAYLOAD_FIELD = slice(HEADER, MESSAGE)
_MESSAGE_LAYOUT = Struct(f"{KEY_SELECT}s{KEY}s{TAG}s{ROUTING}s{PAYLOAD}s")
_LOW_ORDER = "the message's key is a point of low order"

# Where the fields of the plain routing lie; the key select of the next mix is its first byte.
_NEXT_MIX = KEY_SELECT
_NEXT = KEY_SELECT + MIX_NUMBER
_MAILBOX_FIELD = slice(_NEXT, _NEXT + MAILBOX)


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


Unwrapped = Relay | Delivery | DroppedMessage | FormatError


def forward(path: Sequence[Hop], mailbox: bytes, payload: bytes, random_bytes: RandomBytes = os.urandom) -> bytes:
    """A message (380), to be sent to path[0], that brings the payload (239) to the last hop."""
    (message,) = forward_many([path], mailbox, [payload], random_bytes)
    return message


def forward_many(
    paths: Sequence[Sequence[Hop]],
    mailbox: bytes,
    payloads: Sequence[bytes],
    random_bytes: RandomBytes = os.urandom,
) -> list[bytes]:
    """The same for each path and its payload, to one mailbox (32); `random_bytes` as by `header.build_many`."""
    for payload in payloads:
        check_payload(payload)
    built = header.build_many(paths, [mailbox] * len(paths), random_bytes)
    return [
        each.header + lioness.layers([keys.lioness_keys for keys in each.keys], payload)
        for each, payload in zip(built, payloads, strict=True)
    ]


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
    alpha, tag, routing, payload = _taken_apart(secret_key, public_key, message)
    try:
        shared = x25519(secret_key, alpha)
    except ValueError:
        raise MacError(_LOW_ORDER) from None
    plain, blinding, payload, once = _opened(shared, public_key, tag, routing, payload)
    if plain[_NEXT_MIX]:
        return _relay(plain, x25519(blinding, alpha), payload, once)
    return Delivery(plain[_MAILBOX_FIELD], plain[_MAILBOX_FIELD.stop], payload, once)


def unwrap_many(keys: Sequence[tuple[bytes, bytes]], messages: Sequence[bytes]) -> list[Unwrapped]:
    """What `unwrap` returns or raises for each message and its secret and public key (32 each), in order.

    All of them go through each of the two exchanges at once. What one message is makes no difference to the others.
    """
    results: dict[int, Unwrapped] = {}
    begun: list[tuple[int, bytes, bytes, bytes, bytes]] = []  # number, public key, tag, routing, payload
    secrets: list[bytes] = []
    alphas: list[bytes] = []
    for number, ((secret, public), message) in enumerate(zip(keys, messages, strict=True)):
        try:
            alpha, tag, routing, payload = _taken_apart(secret, public, message)
        except (DroppedMessage, FormatError) as error:
            results[number] = error
            continue
        begun.append((number, public, tag, routing, payload))
        secrets.append(secret)
        alphas.append(alpha)

    onward: list[tuple[int, bytes, bytes, bytes]] = []  # number, plain routing, payload, replay tag
    blindings: list[bytes] = []
    points: list[bytes] = []
    for (number, public, tag, routing, payload), alpha, shared in zip(
        begun, alphas, x25519_many(secrets, alphas), strict=True
    ):
        if shared is None:
            results[number] = MacError(_LOW_ORDER)
            continue
        try:
            plain, blinding, payload, once = _opened(shared, public, tag, routing, payload)
        except DroppedMessage as error:
            results[number] = error
            continue
        if plain[_NEXT_MIX]:
            onward.append((number, plain, payload, once))
            blindings.append(blinding)
            points.append(alpha)
        else:
            results[number] = Delivery(plain[_MAILBOX_FIELD], plain[_MAILBOX_FIELD.stop], payload, once)

    for (number, plain, payload, once), blinded in zip(onward, x25519_many(blindings, points), strict=True):
        assert blinded is not None  # no clamped scalar takes a point that was not of low order to zero
        results[number] = _relay(plain, blinded, payload, once)
    return [results[number] for number in range(len(messages))]


def _taken_apart(secret_key: bytes, public_key: bytes, message: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Alpha (32), tag (16), routing (92) and payload (239) of a message. FormatError, MacError as by `unwrap`."""
    _check_message(message)
    if len(secret_key) != KEY or len(public_key) != KEY:
        raise FormatError(f"a mix's keys have {KEY} bytes each")
    _, alpha, tag, routing, payload = _MESSAGE_LAYOUT.unpack(message)
    if alpha[-1] & 0x80:
        raise MacError("the message's key is not in the form that X25519 gives")
    return alpha, tag, routing, payload


def _opened(
    shared: bytes, public_key: bytes, tag: bytes, routing: bytes, payload: bytes
) -> tuple[bytes, bytes, bytes, bytes]:
    """The plain routing (110), the blinding scalar (32), the payload (239) without this hop's layer, and the replay tag
    (16). MacError, DroppedMessage as by `unwrap`."""
    tag_key, pad, blinding, lioness_keys = hop_keys.expand(hop_keys.seed_of(shared, public_key))
    if not hmac.compare_digest(hop_keys.tag(tag_key, routing), tag):
        raise MacError("the header's tag does not hold")
    # As many zeros as the routing lacks of the pad stand at its end: the more significant bytes.
    plain = (int.from_bytes(routing, "little") ^ int.from_bytes(pad, "little")).to_bytes(PAD, "little")
    if plain[0] and not plain[_NEXT_MIX]:
        raise DroppedMessage("the header names no mix, and not this server either")
    return plain, blinding, lioness.decrypt(lioness_keys, payload), hop_keys.replay_tag(tag + routing)


def _relay(plain: bytes, blinded: bytes, payload: bytes, once: bytes) -> Relay:
    """What goes on, with the blinded alpha (32)."""
    return Relay(plain[_NEXT_MIX], plain[:KEY_SELECT] + blinded + plain[_NEXT:] + payload, once)


def check_payload(payload: bytes) -> None:
    """FormatError unless this is as long as a payload."""
    if len(payload) != PAYLOAD:
        raise FormatError(f"a payload has {len(payload)} bytes instead of {PAYLOAD}")


def _check_message(message: bytes) -> None:
    if len(message) != MESSAGE:
        raise FormatError(f"a mix message has {len(message)} bytes instead of {MESSAGE}")

"""Polling many mailboxes in one request (docs/protocol.md section 8).

An empty mailbox costs 33 bytes to ask and nothing to answer.
"""

from collections.abc import Mapping, Sequence

from anontrace_shared.errors import FormatError

from anontrace.mixnet.sizes import MAILBOX, PAYLOAD

MOST_MAILBOXES = 1000  # in one request
MOST_MESSAGES = 255  # that a mailbox holds: skip is one byte
_QUESTION = MAILBOX + 1
_ANSWER_HEAD = 3


def encode_request(mailboxes: Sequence[tuple[bytes, int]]) -> bytes:
    """The body for (mailbox address, how many of its messages are already here), 1 to 1000 of them."""
    if not 1 <= len(mailboxes) <= MOST_MAILBOXES:
        raise FormatError(f"a poll asks for 1 to {MOST_MAILBOXES} mailboxes, not {len(mailboxes)}")
    parts = []
    for address, skip in mailboxes:
        if len(address) != MAILBOX or not 0 <= skip <= MOST_MESSAGES:
            raise FormatError(f"a poll names mailboxes of {MAILBOX} bytes and skips at most {MOST_MESSAGES} messages")
        parts.append(address + bytes((skip,)))
    return b"".join(parts)


def parse_request(body: bytes) -> list[tuple[bytes, int]]:
    """The mailboxes that a body asks for, with how many messages to skip. FormatError if it is no such body."""
    count, rest = divmod(len(body), _QUESTION)
    if rest or not 1 <= count <= MOST_MAILBOXES:
        raise FormatError(f"a poll is 1 to {MOST_MAILBOXES} times {_QUESTION} bytes, not {len(body)} bytes")
    return [(body[at : at + MAILBOX], body[at + MAILBOX]) for at in range(0, len(body), _QUESTION)]


def encode_reply(found: Mapping[int, Sequence[bytes]]) -> bytes:
    """The body for the payloads (239 each) found, by the index of the mailbox in the request."""
    parts = []
    for index, payloads in sorted(found.items()):
        if not payloads:
            continue
        if not 0 <= index < MOST_MAILBOXES or len(payloads) > MOST_MESSAGES:
            raise FormatError(f"a poll is answered for {MOST_MAILBOXES} mailboxes of {MOST_MESSAGES} messages at most")
        if any(len(payload) != PAYLOAD for payload in payloads):
            raise FormatError(f"a mailbox holds payloads of {PAYLOAD} bytes")
        parts += [index.to_bytes(2, "little"), bytes((len(payloads),)), *payloads]
    return b"".join(parts)


def parse_reply(body: bytes, asked: int) -> dict[int, list[bytes]]:
    """The payloads in an answer to a request for `asked` mailboxes, by index. FormatError if it is no such answer."""
    found: dict[int, list[bytes]] = {}
    at, last = 0, -1
    while at < len(body):
        index, count = int.from_bytes(body[at : at + 2], "little"), body[at + 2] if at + 2 < len(body) else 0
        at += _ANSWER_HEAD
        end = at + count * PAYLOAD
        if count == 0 or end > len(body):
            raise FormatError("the answer to a poll is cut short or holds an empty mailbox")
        if not last < index < asked:
            raise FormatError("the answer to a poll names a mailbox that was not asked for, or not in order")
        found[index] = [body[start : start + PAYLOAD] for start in range(at, end, PAYLOAD)]
        at, last = end, index
    return found

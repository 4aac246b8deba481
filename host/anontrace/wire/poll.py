"""Polling many mailboxes in one request (docs/protocol.md section 8).

The request says how many messages its answer is to have room for, and the answer is that long whatever there was: who
sees sizes learns nothing from it. With room left open, an empty mailbox costs 33 bytes to ask and nothing to answer.
"""

from collections.abc import Mapping, Sequence

from anontrace_shared.errors import FormatError

from anontrace.mixnet.sizes import MAILBOX, PAYLOAD

MOST_MAILBOXES = 1000  # in one request
MOST_MESSAGES = 255  # that a mailbox holds: skip is one byte
MOST_ROOM = 4096  # messages in one answer
OPEN = 0  # as much room as it takes, MOST_ROOM at most
ROOM = 2
QUESTION = MAILBOX + 1
ANSWER = 2 + PAYLOAD  # one message, with the mailbox that it is from
_NO_MAILBOX = 0xFFFF  # what fills an answer up
_FILLING = _NO_MAILBOX.to_bytes(2, "little") + bytes(PAYLOAD)


def encode_request(mailboxes: Sequence[tuple[bytes, int]], room: int) -> bytes:
    """The body for (mailbox address, how many of its messages are already here), 1 to 1000 of them.

    `room`: messages (0 to 4096) that the answer is to have room for, or OPEN.
    """
    if not 1 <= len(mailboxes) <= MOST_MAILBOXES:
        raise FormatError(f"a poll asks for 1 to {MOST_MAILBOXES} mailboxes, not {len(mailboxes)}")
    if not 0 <= room <= MOST_ROOM:
        raise FormatError(f"a poll is answered with at most {MOST_ROOM} messages, not {room}")
    parts = [room.to_bytes(ROOM, "little")]
    for address, skip in mailboxes:
        if len(address) != MAILBOX or not 0 <= skip <= MOST_MESSAGES:
            raise FormatError(f"a poll names mailboxes of {MAILBOX} bytes and skips at most {MOST_MESSAGES} messages")
        parts.append(address + bytes((skip,)))
    return b"".join(parts)


def parse_request(body: bytes) -> tuple[list[tuple[bytes, int]], int]:
    """The mailboxes that a body asks for, each with how many messages to skip; and the room of the answer.

    FormatError if it is no such body.
    """
    count, rest = divmod(len(body) - ROOM, QUESTION)
    if rest or not 1 <= count <= MOST_MAILBOXES:
        raise FormatError(f"a poll is {ROOM} bytes and 1 to {MOST_MAILBOXES} times {QUESTION}, not {len(body)} bytes")
    room = int.from_bytes(body[:ROOM], "little")
    if room > MOST_ROOM:
        raise FormatError(f"a poll is answered with at most {MOST_ROOM} messages, not {room}")
    return [(body[at : at + MAILBOX], body[at + MAILBOX]) for at in range(ROOM, len(body), QUESTION)], room


def encode_reply(found: Mapping[int, Sequence[bytes]], room: int) -> bytes:
    """The body for the payloads (239 each) found, by the index of the mailbox in the request: 241 for each message that
    it has room for, or, if that is OPEN, for each that was found."""
    parts = []
    for index, payloads in sorted(found.items()):
        if not 0 <= index < MOST_MAILBOXES or len(payloads) > MOST_MESSAGES:
            raise FormatError(f"a poll is answered for {MOST_MAILBOXES} mailboxes of {MOST_MESSAGES} messages at most")
        if any(len(payload) != PAYLOAD for payload in payloads):
            raise FormatError(f"a mailbox holds payloads of {PAYLOAD} bytes")
        parts += [index.to_bytes(2, "little") + payload for payload in payloads]
    if len(parts) > (room or MOST_ROOM):
        raise FormatError(f"{len(parts)} messages do not fit into an answer for {room or MOST_ROOM}")
    return b"".join(parts) + _FILLING * (room - len(parts) if room else 0)


def parse_reply(body: bytes, asked: int, room: int) -> dict[int, list[bytes]]:
    """The payloads in the answer to a request for `asked` mailboxes with so much room, by index.

    FormatError if it is no such answer.
    """
    if len(body) % ANSWER or len(body) > MOST_ROOM * ANSWER or (room and len(body) != room * ANSWER):
        raise FormatError("the answer to a poll is too short or too long")
    found: dict[int, list[bytes]] = {}
    last = 0
    for at in range(0, len(body), ANSWER):
        index = int.from_bytes(body[at : at + 2], "little")
        if not last <= index < asked and (index != _NO_MAILBOX or not room):
            raise FormatError("the answer to a poll names a mailbox that was not asked for, or not in order")
        if index != _NO_MAILBOX:
            found.setdefault(index, []).append(body[at + 2 : at + ANSWER])
        last = index
    if any(len(payloads) > MOST_MESSAGES for payloads in found.values()):
        raise FormatError("the answer to a poll holds more of a mailbox than there can be")
    return found

"""What lies in a mix's queues: messages on their way to the next mix, and deliveries for this server.

A format of this server's own store, not of the protocol. Pure.
"""

from dataclasses import dataclass, field

from anontrace.mixnet import keydays
from anontrace.mixnet.header import ALONE
from anontrace.mixnet.sizes import MAILBOX, MESSAGE, PAYLOAD

DELIVER = "deliver"
_ONWARD = "to-"
_DAY = 4


@dataclass(frozen=True, slots=True)
class Onward:
    """A message (380) that is worth sending until its key at the next mix expires."""

    last_day: int
    message: bytes = field(repr=False)

    def encode(self) -> bytes:
        return self.last_day.to_bytes(_DAY, "little") + self.message

    @classmethod
    def decode(cls, item: bytes) -> "Onward":
        assert len(item) == _DAY + MESSAGE
        return cls(int.from_bytes(item[:_DAY], "little"), item[_DAY:])


@dataclass(frozen=True, slots=True)
class Arrived:
    """A payload (239) for an address (32) of this server, which is of some version."""

    mailbox: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    version: int = ALONE

    def encode(self) -> bytes:
        return self.mailbox + self.payload + bytes((self.version,))

    @classmethod
    def decode(cls, item: bytes) -> "Arrived":
        """Also of what a server up to 0.2 has queued, which knew no versions."""
        end = MAILBOX + PAYLOAD
        assert end <= len(item) <= end + 1
        return cls(item[:MAILBOX], item[MAILBOX:end], item[end] if len(item) > end else ALONE)


def onward(message: bytes, now: float) -> Onward | None:
    """A message made ready for the queue, or None if the key it names at the next mix is dead or does not exist."""
    day = keydays.selected_day(message[0], now)
    return None if day is None else Onward(day + keydays.LIFE_DAYS - 1, message)


def queue_to(mix: int) -> str:
    """The queue of messages for a mix."""
    return f"{_ONWARD}{mix}"


def queue_number(queue: str) -> int | None:
    """The mix a queue leads to, or None for another queue."""
    return int(queue.removeprefix(_ONWARD)) if queue.startswith(_ONWARD) else None

"""A handful of mixes, and a message's way through them: what the tests of the packet format have in common."""

import os

from anontrace.mixnet import packet
from anontrace.mixnet.packet import Delivery
from anontrace.mixnet.path import Hop
from anontrace_primitives import x25519_base

SECRETS = {number: os.urandom(32) for number in (1, 9, 100, 254, 255)}
KEYS = {number: x25519_base(secret) for number, secret in SECRETS.items()}
NUMBERS = list(SECRETS)


def path(numbers: list[int]) -> list[Hop]:
    return [Hop(number, number ^ 0x5A, KEYS[number]) for number in numbers]


def travel(first: int, sent: bytes) -> tuple[list[int], list[bytes], Delivery]:
    """The mixes that a message passes, what each of them receives, and what the last one delivers."""
    number, numbers, received = first, [first], [sent]
    while True:
        assert packet.key_select(received[-1]) == number ^ 0x5A
        result = packet.unwrap(SECRETS[number], KEYS[number], received[-1])
        if isinstance(result, Delivery):
            return numbers, received, result
        number = result.next_mix
        numbers.append(number)
        received.append(result.message)

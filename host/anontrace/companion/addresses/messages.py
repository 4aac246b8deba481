"""Handing payloads for the nymserver over to the mixes, by hand: at once, in random order.

Each message goes over a path of its own behind one of a few first mixes. Never knows what a payload asks.
"""

import secrets
from collections.abc import Iterable, Iterator
from typing import TypeVar

from anontrace.companion.network.servers import Servers
from anontrace.mixnet import packet
from anontrace.mixnet.header import NO_MAILBOX

MESSAGES_A_REQUEST = 256
FIRST_MIXES = 2  # a connection costs some kB; who runs a first mix knows the sender's network address anyway

_random = secrets.SystemRandom()

T = TypeVar("T")


def hand_over(
    servers: Servers, payloads: Iterable[tuple[T, bytes]], first_mixes: int = FIRST_MIXES
) -> Iterator[list[T]]:
    """Send these payloads (239), each with what it is for; yields what has gone, batch by batch.

    A first mix that does not answer or refuses is avoided from then on; OfflineError or RefusedError when none is left.
    """
    waiting = list(payloads)
    while waiting:
        batches = _build(servers, waiting, first_mixes)
        waiting = []
        for mix, batch in batches:
            if servers.send_messages(mix, [message for _, _, message in batch]):
                yield [what for what, _, _ in batch]
            else:
                waiting += [(what, payload) for what, payload, _ in batch]


def _build(
    servers: Servers, payloads: list[tuple[T, bytes]], first_mixes: int
) -> list[tuple[int, list[tuple[T, bytes, bytes]]]]:
    """The messages for these, in batches for their first mixes."""
    by_mix: dict[int, list[tuple[T, bytes, bytes]]] = {}
    last = servers.nymserver.number
    for what, payload in payloads:
        path = servers.path_to(last)
        if path[0].number not in by_mix and len(by_mix) == first_mixes:
            path = servers.path_from(_random.choice(list(by_mix)), last)
        by_mix.setdefault(path[0].number, []).append((what, payload, packet.forward(path, NO_MAILBOX, payload)))
    batches = []
    for mix, batch in by_mix.items():
        _random.shuffle(batch)
        for at in range(0, len(batch), MESSAGES_A_REQUEST):
            batches.append((mix, batch[at : at + MESSAGES_A_REQUEST]))
    _random.shuffle(batches)
    return batches

"""Handing payloads for the nymserver over to the mixes, by hand: at once, in random order.

Each message goes over a path of its own behind one of a few first mixes. Never knows what a payload asks.
"""

import secrets
from collections.abc import Iterable, Iterator
from typing import TypeVar

from anontrace.companion.network.servers import Servers
from anontrace.mixnet import packet
from anontrace.mixnet.header import NO_MAILBOX
from anontrace.mixnet.path import Hop

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
    paths: list[list[Hop]] = []
    first: set[int] = set()
    last = servers.nymserver.number
    for _ in payloads:
        path = servers.path_to(last)
        if path[0].number not in first and len(first) == first_mixes:
            path = servers.path_from(_random.choice(list(first)), last)
        first.add(path[0].number)
        paths.append(path)
    by_mix: dict[int, list[tuple[T, bytes, bytes]]] = {}
    messages = packet.forward_many(paths, NO_MAILBOX, [payload for _, payload in payloads])
    for (what, payload), path, message in zip(payloads, paths, messages, strict=True):
        by_mix.setdefault(path[0].number, []).append((what, payload, message))
    batches = []
    for mix, batch in by_mix.items():
        _random.shuffle(batch)
        for at in range(0, len(batch), MESSAGES_A_REQUEST):
            batches.append((mix, batch[at : at + MESSAGES_A_REQUEST]))
    _random.shuffle(batches)
    return batches

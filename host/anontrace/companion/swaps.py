"""Swaps on their way: sending them through the mixes, and making sure that the nymserver has them.

A swap is one-way, so it is looked for by its fingerprint in its bucket at the nymserver; what is missing goes again
over another path, where a repeat does nothing (docs/protocol.md, sections 7 and 8). Of many that go at once a sample
is looked for, which speaks for the others when it is all there. Each step is kept in the state at once.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Sequence

from anontrace_shared import schedule

from anontrace import clock
from anontrace.companion.servers import Servers
from anontrace.companion.state import State
from anontrace.companion.store.addresses import MADE, PendingSwap
from anontrace.mixnet import message, swap
from anontrace.mixnet.path import Hop

MESSAGES_A_REQUEST = 256
FIRST_MIXES = 2  # a connection costs some kB; who runs a first mix knows the sender's network address anyway
FIRST_WAIT = 0.15  # seconds, real time, until the first look; grows to LONGEST_WAIT
LONGEST_WAIT = 5.0
PROBES = 3
SAMPLE_BYTES = 20_000  # what a sample costs; what was not there yet is looked for again, within 30 kB in all
LOOK_BYTES = 300  # of request and answer, beside the bucket
LEAST_SAMPLE, MOST_SAMPLE = 20, 60
_FINGERPRINT = 8
RESEND_SECONDS = 30.0  # without a trace for so long: sent again over another path

_random = secrets.SystemRandom()

Progress = Callable[[int, int], None]


class Swaps:
    """What is pending in one state folder, and the servers that it goes through."""

    def __init__(self, state: State, servers: Servers) -> None:
        self._state = state
        self._servers = servers
        self._bucket_bytes = 0  # of the largest bucket so far

    def send(self, pending: Iterable[PendingSwap]) -> int:
        """Send these, each over a path of its own behind one of a few first mixes, in batches and in random order.

        Returns how many. A first mix that does not answer is avoided from then on; OfflineError when none is left.
        """
        waiting = list(pending)
        total = len(waiting)
        while waiting:
            batches = self._build(waiting)
            waiting = []
            for mix, batch in batches:
                if self._servers.send_messages(mix, [built for _, built in batch]):
                    self._state.addresses.set_sent([item.surb for item, _ in batch], int(clock.now()))
                else:
                    waiting += [item for item, _ in batch]
        return total

    def _build(self, pending: list[PendingSwap]) -> list[tuple[int, list[tuple[PendingSwap, bytes]]]]:
        """The messages for these, in batches for their first mixes."""
        by_mix: dict[int, list[tuple[PendingSwap, bytes]]] = {}
        last = self._servers.nymserver.number
        for item in pending:
            path = self._servers.path_to(last)
            if path[0].number not in by_mix and len(by_mix) == FIRST_MIXES:
                path = self._servers.path_from(_random.choice(list(by_mix)), last)
            by_mix.setdefault(path[0].number, []).append((item, build(item, path)))
        batches = []
        for mix, batch in by_mix.items():
            _random.shuffle(batch)
            for at in range(0, len(batch), MESSAGES_A_REQUEST):
                batches.append((mix, batch[at : at + MESSAGES_A_REQUEST]))
        _random.shuffle(batches)
        return batches

    def confirm(self, pending: list[PendingSwap]) -> list[PendingSwap]:
        """Look for these at the nymserver once; returns those that are not there."""
        bits = self._servers.bucket_bits
        buckets: dict[int, list[tuple[PendingSwap, bytes]]] = {}
        for item in pending:
            key = schedule.nym_key(item.address.contact_address, item.address.slot)
            place = buckets.setdefault(swap.bucket_index(key, bits), [])
            place.append((item, swap.fingerprint(key, item.blob)))
        found: list[PendingSwap] = []
        missing: list[PendingSwap] = []
        for index in _random.sample(list(buckets), len(buckets)):
            stored = self._servers.bucket(index)
            self._bucket_bytes = max(self._bucket_bytes, _FINGERPRINT * len(stored))
            for item, fingerprint in buckets[index]:
                (found if fingerprint in stored else missing).append(item)
        self._state.addresses.set_confirmed([item.surb for item in found], int(clock.now()))
        return missing

    def settle(self, seconds: float, progress: Progress) -> "Settled":
        """Send and confirm all that is pending, for at most `seconds` of real time.

        Of what is sent now a few are looked for, then a sample; the rest is taken for confirmed when all these are
        there, unless something had to be sent again: then each is looked for.
        """
        pending = self._state.addresses.pending()
        total = len(pending)
        new = [item for item in pending if item.state == MADE]
        settled = Settled(sent=self.send(new))
        end = time.monotonic() + seconds
        last_sent, wait = time.monotonic(), FIRST_WAIT
        shuffled = _random.sample(new, len(new))
        missing = [item for item in pending if item.state != MADE] + shuffled[:PROBES]
        rest, sampled = shuffled[PROBES:], False
        while missing or rest:
            time.sleep(min(wait * _random.uniform(0.8, 1.2), max(end - time.monotonic(), 0)))
            wait = min(wait * 1.5, LONGEST_WAIT)
            missing = self._look(missing)
            if rest and not (missing or sampled or settled.resent):
                size, sampled = self._sample_size(), True
                missing, rest = self._look(rest[:size]), rest[size:]
            if rest and not missing and settled.resent:
                missing, rest = self._look(rest), []
            if rest and not missing:
                self._state.addresses.set_confirmed([item.surb for item in rest], int(clock.now()), seen=False)
                rest = []
            progress(total - len(missing) - len(rest), total)
            now = time.monotonic()
            if (missing or rest) and now >= end:
                break
            if missing and now - last_sent >= RESEND_SECONDS:
                settled.resent += self.send(missing)
                last_sent, wait = now, FIRST_WAIT
        settled.confirmed, settled.pending = total - len(missing) - len(rest), len(missing) + len(rest)
        return settled

    def _sample_size(self) -> int:
        return max(LEAST_SAMPLE, min(MOST_SAMPLE, SAMPLE_BYTES // (LOOK_BYTES + self._bucket_bytes)))

    def _look(self, missing: list[PendingSwap]) -> list[PendingSwap]:
        """Look for a few, and for all these once those few are there: asking early for everything is wasted traffic."""
        shuffled = _random.sample(missing, len(missing))
        not_there = self.confirm(shuffled[:PROBES])
        rest = shuffled[PROBES:]
        return not_there + (rest if not_there else self.confirm(rest))

    def advance(self) -> None:
        """One step for all that is pending, without waiting: send the new, look for the sent, repeat what got lost."""
        pending = self._state.addresses.pending()
        if not pending:
            return
        self.send(item for item in pending if item.state == MADE)
        missing = self.confirm([item for item in pending if item.state != MADE])
        now = int(clock.now())
        self.send(item for item in missing if now - item.changed >= RESEND_SECONDS)


def build(item: PendingSwap, path: Sequence[Hop]) -> bytes:
    """The message (380) that brings a swap along a path to the nymserver."""
    key = schedule.nym_key(item.address.contact_address, item.address.slot)
    payload = swap.Swap(key, item.authentication, item.blob).encode()
    return message.forward(path, secrets.token_bytes(32), payload)


class Settled:
    """What `settle` achieved."""

    def __init__(self, sent: int) -> None:
        self.sent = sent
        self.resent = 0
        self.confirmed = 0
        self.pending = 0

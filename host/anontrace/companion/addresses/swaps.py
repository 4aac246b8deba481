"""Swaps on their way, by hand: sending them through the mixes at once, and making sure that the nymserver has them.

A swap is one-way, so the nymserver is asked for it by a receipt; what is missing is sent again over another path,
where a repeat changes nothing (docs/protocol.md, section 7). Of many that are sent at once only a sample is asked for;
if all of it is held, it vouches for the others. Each step is stored in the state at once. How long a network takes is
learnt from its answers: nothing is asked or sent again before it could have been answered.
"""

import math
import secrets
import time
from collections.abc import Callable, Iterable

from anontrace_shared import schedule

from anontrace import clock
from anontrace.companion.addresses import confirming, messages, receipts, registration
from anontrace.companion.network.servers import Servers
from anontrace.companion.store.addresses import PendingSwap
from anontrace.companion.store.state import State
from anontrace.companion.store.states import MADE, SENT
from anontrace.companion.store.timetable import Sample
from anontrace.mixnet import swap

# Seconds, real time, until the first look; each wait is twice as long, up to the last or half of what an answer took.
FIRST_WAIT, MAX_WAIT = 0.15, 300.0
PROBES = 1  # asked for first, so that the others have had the time to arrive
SHARE = 32  # one of so many is asked for: with HTTP, within a twentieth of what they cost themselves
MIN_SAMPLE = 9
MAX_SAMPLE = 60
RESEND_SECONDS = 30.0  # without a trace for so long: sent again over another path
AGAIN_SECONDS = 10.0  # without an answer for so long: asked again
SLOW = 4  # so many times what an answer took, or was waited for in vain, is waited for one

_random = secrets.SystemRandom()

Progress = Callable[[int, int], None]


class Swaps:
    """What is pending in one state folder, and the servers that it goes through."""

    def __init__(self, state: State, servers: Servers) -> None:
        self._state = state
        self._servers = servers
        self._looks = receipts.Looks(state, servers)
        now = time.monotonic()
        # SURBs that were asked for: when (monotonic), and how often since their swap was sent
        self._asked = {each.surb: (now, 1) for each in state.receipts.open() if each.surb is not None}
        self._began: dict[int, float] = {}  # mailboxes of receipts, and when these were sent (monotonic)
        self._took: float | None = None  # seconds that the slowest answer took
        self._found = 0  # that were asked for and are held
        self._is_in_doubt = False  # an answer did not come in its time

    def send(self, pending: Iterable[PendingSwap]) -> int:
        """Send these in random order; returns how many. OfflineError when no mix answers."""
        sent = 0
        for surbs in messages.hand_over(self._servers, [(item.surb, payload(item)) for item in pending]):
            self._state.addresses.set_sent(surbs, int(clock.now()))
            sent += len(surbs)
        return sent

    def confirm(self, pending: list[PendingSwap]) -> list[PendingSwap]:
        """Ask the nymserver for these, and look what was answered so far; returns those that are not known to be held.

        What is not held is asked for again the next time, and what was not answered after a while.
        """
        self._take()
        now = time.monotonic()
        left = self._unconfirmed(pending)
        self._ask([item for item in left if self._is_due(item, now)])
        return left

    def _ask(self, items: list[PendingSwap]) -> None:
        """Send receipts for these."""
        if not items:
            return
        now, group = time.monotonic(), registration.group_of_today(self._state, self._servers)
        with self._state.transaction():
            asking = [receipts.ask_nym(self._state, self._servers, group, item) for item in items]
        for mailboxes in messages.hand_over(self._servers, asking, first_mixes=1):
            self._began |= dict.fromkeys(mailboxes, time.monotonic())
        for item in items:
            self._asked[item.surb] = (now, self._asked.get(item.surb, (now, 0))[1] + 1)

    def _is_due(self, item: PendingSwap, now: float) -> bool:
        if item.surb not in self._asked:
            return True
        last, times = self._asked[item.surb]
        if now - last < self._patience(AGAIN_SECONDS, times - 1):
            return False
        self._is_in_doubt |= self._took is not None
        return True

    def _patience(self, least: float, times: int) -> float:
        """Seconds to wait before something is done again that was done again so many times already."""
        return RESEND_SECONDS * SLOW**times if self._took is None else max(least, SLOW * self._took)

    def _first_wait(self) -> float:
        """Seconds until a look may find something: each costs a connection."""
        return max(FIRST_WAIT, (self._took or 0.0) / 2)

    def _take(self) -> None:
        """Fetch the answers that have come, and judge them."""
        self._looks.look()
        now = time.monotonic()
        with self._state.transaction():
            for each in self._state.receipts.answered():
                if each.surb is None:
                    continue
                held = receipts.is_held(each)
                self._state.receipts.set_judged([each.mailbox])
                if each.mailbox in self._began:
                    self._took = max(self._took or 0.0, now - self._began.pop(each.mailbox))
                if held:
                    self._found += 1
                    self._state.addresses.set_confirmed_within([each.surb], int(clock.now()))
                elif self._asked.get(each.surb, (now, 0))[1] == 1:
                    self._asked[each.surb] = (-math.inf, 1)  # the receipt may have overtaken the swap

    def _unconfirmed(self, items: list[PendingSwap]) -> list[PendingSwap]:
        pending = {item.surb for item in self._state.addresses.pending()}
        return [item for item in items if item.surb in pending]

    def settle(self, seconds: float, progress: Progress) -> "Settled":
        """Send and confirm all that is pending, for at most `seconds` of real time.

        Of what is sent now one is asked for, then a sample, and so of what was sent earlier; the rest is taken for
        confirmed when all these are held. If answers get lost, more are asked for first; if a swap had to be sent
        again, each is.
        """
        pending = self._state.addresses.pending()
        new = [item for item in pending if item.state == MADE]
        earlier = [item for item in pending if item.state != MADE]
        was_missing = False in self._state.timetable.last_samples(confirming.SAMPLES)
        settled = Settled(sent=self.send(new))
        end = time.monotonic() + seconds
        sent_now, sent_before = _Part(_random.sample(new, len(new))), _Part(self._asked_first(earlier))
        parts, left, total = (sent_now, sent_before), len(pending), len(pending)
        missing = sent_now.take(PROBES) + sent_before.take(len(earlier) if was_missing else PROBES)
        if new:
            time.sleep(FIRST_WAIT)
        steps = [_Part.take_sample, _Part.take_more]
        is_missing = False
        since, wait, times = time.monotonic(), FIRST_WAIT, 0
        while left:
            missing = self.confirm(missing)
            if not missing and any(part.left for part in parts):
                if is_missing:
                    steps = [_Part.take_all]
                elif steps and steps[0] is _Part.take_more and not self._is_in_doubt:
                    steps = []
                if steps:
                    step = steps.pop(0)
                    missing = [item for part in parts for item in step(part)]
                    since, wait, times = time.monotonic(), self._first_wait(), 0
                    continue
                vouched = [item.surb for part in parts for item in part.take_all()]
                self._state.addresses.set_confirmed(vouched, int(clock.now()), seen=False)
            left = len(missing) + sum(len(part.left) for part in parts)
            progress(total - left, total)
            now = time.monotonic()
            if not left or now >= end:
                break
            if missing and now - since >= self._patience(RESEND_SECONDS, times):
                settled.resent += self.send(missing)
                since, wait, times = time.monotonic(), wait if self._took is None else self._first_wait(), times + 1
                self._asked.clear()
                if self._took is not None and not is_missing:  # else nothing has come back yet, and nothing is known
                    is_missing = True
                    with self._state.transaction():
                        self._state.timetable.add_sample(Sample(False, successor=False))
            time.sleep(min(wait * _random.uniform(0.8, 1.2), max(end - time.monotonic(), 0)))
            wait = min(wait * 2, MAX_WAIT if self._took is None else self._first_wait())
        settled.found = self._found
        settled.confirmed, settled.pending = total - left, left
        return settled

    def _asked_first(self, items: list[PendingSwap]) -> list[PendingSwap]:
        """In random order, but first those that were asked for and not answered yet."""
        return sorted(_random.sample(items, len(items)), key=lambda item: item.surb not in self._asked)

    def advance(self) -> None:
        """One step for all that is pending and whose time has come, without waiting, after a look into all groups:
        judge what was answered, send what is new or got lost, ask for a sample of what was sent.

        However much waits, there is one request of receipts, with `MIN_SAMPLE` of them at most. They are judged
        together when all are answered: if all is held that was asked for, it speaks for what was sent no later.
        """
        now = int(clock.now())
        missing, is_in_doubt = self._judge_sample(now)
        pending = self._state.addresses.pending()
        new, successors = self._state.addresses.due(now)
        due = {*new, *successors}
        waiting = [item for item in pending if item.state != MADE]
        # What was sent later than now was so by a clock that was ahead.
        lost = [
            item
            for item in waiting
            if item.surb in missing
            or item.changed > now
            or (is_in_doubt and now - item.changed >= confirming.DOUBT_SECONDS)
        ]
        self.send([item for item in pending if item.surb in due] + lost)
        if not any(each.surb is not None for each in self._state.receipts.open()):
            self._ask(_random.sample(waiting, min(len(waiting), MIN_SAMPLE)))

    def _judge_sample(self, now: int) -> tuple[set[int], bool]:
        """The SURBs whose swaps the nymserver does not hold, and whether others may be lost with them."""
        addresses, stored = self._state.addresses, self._state.receipts
        answered = [each for each in stored.answered() if each.surb is not None]
        unanswered = [each for each in stored.open() if each.surb is not None]
        silent = [each for each in unanswered if not 0 <= now - each.made < confirming.SILENT_SECONDS]
        if len(silent) < len(unanswered):
            return set(), False  # the others may be answered yet
        held = {each.surb for each in answered if receipts.is_held(each) and each.surb is not None}
        missing = {each.surb for each in answered if each.surb is not None} - held
        sent = {each.surb: each.changed for each in addresses.under_way(SENT)}
        sample = [moment for surb, moment in sent.items() if surb in held]  # `run` asks for what is in use, too
        with self._state.transaction():
            addresses.set_confirmed_within(sorted(held), now)
            if len(sample) >= MIN_SAMPLE and not missing and not silent:
                vouched = [surb for surb, moment in sent.items() if moment <= max(sample) and surb not in held]
                addresses.set_confirmed_within(vouched, now, seen=False)
            stored.set_judged([each.mailbox for each in (*answered, *silent)])
        return missing, bool(missing) or (bool(silent) and not held)


def payload(item: PendingSwap) -> bytes:
    """The payload (239) that brings a swap to the nymserver."""
    key = schedule.nym_key(item.address.contact_address, item.address.slot)
    return swap.Swap(key, item.authentication, item.blob).encode()


class _Part:
    """Swaps that were sent together and are not asked for yet, in the order in which they will be."""

    def __init__(self, items: list[PendingSwap]) -> None:
        self.left = items
        self._sample = min(max(len(items) // SHARE, MIN_SAMPLE), MAX_SAMPLE)

    def take(self, count: int) -> list[PendingSwap]:
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def take_sample(self) -> list[PendingSwap]:
        return self.take(self._sample - PROBES)

    def take_more(self) -> list[PendingSwap]:
        return self.take(MAX_SAMPLE)

    def take_all(self) -> list[PendingSwap]:
        return self.take(len(self.left))


class Settled:
    """What `settle` achieved."""

    def __init__(self, sent: int) -> None:
        self.sent = sent
        self.resent = 0
        self.confirmed = 0
        self.found = 0  # of these, those that were asked for; they speak for the others
        self.pending = 0

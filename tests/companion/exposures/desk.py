"""A wearer's state folder with the addresses of one day, beside an honest mailbox server for it."""

import os
from dataclasses import replace
from random import Random

from anontrace.companion.exposures import polling
from anontrace.companion.exposures.looking import OneLook, Room
from anontrace.companion.exposures.polling import Polled
from anontrace.companion.store import state
from anontrace.companion.store.addresses import NewSurb
from anontrace.companion.store.badges import RATCHET
from anontrace.companion.store.expected import DUMMY
from anontrace.mixnet import keydays, notification, surb
from anontrace.mixnet.header import GROUPED
from anontrace.mixnet.path import Hop
from anontrace.wire import look
from anontrace.wire.levels import NORMAL
from anontrace_primitives import x25519_base
from anontrace_shared.slots import day_of, slot_of

from tests.companion.paper import MAILBOX, START, PaperNetwork, exposure

DAY = 86400
ROOM = Room(NORMAL.digests, NORMAL.sums)
CASE = bytes(range(16))
PATH = [Hop(number, 5, x25519_base(os.urandom(32))) for number in (1, MAILBOX)]


class Desk:
    """A state folder with addresses of one day, and an honest mailbox server for it."""

    def __init__(self, folder, count=120):
        state.create(folder)
        self.state, self.network = state.State(folder), PaperNetwork()
        slot = slot_of(START)
        badge = self.state.badges.ensure(day_of(slot))
        self.state.badges.set_provisioned(badge, RATCHET, slot - count, slot + 1, START)
        self.group = self.state.groups.of_day(MAILBOX, keydays.day_at(START), START + 30 * DAY)
        made, self.secrets, self.messages = [], {}, {}
        for number in range(count):
            address = self.group.address + os.urandom(16)
            block, kept = surb.make(PATH, address, version=GROUPED)
            self.secrets[number], self.messages[number] = kept, (address, surb.parse(block).message_key)
            new = NewSurb(MAILBOX, address, START + 30 * DAY, bytes(32), bytes(174), kept.to_bytes(), self.group.number)
            made.append((slot - number, os.urandom(20), new))
        self.state.addresses.add(badge.number, made, START)
        self.rng = Random(1)

    def dummies(self, first, end):
        """What its owner caused, and expects, arrives."""
        for number in range(first, end):
            payload = os.urandom(239)
            with self.state.transaction():
                self.state.expected.expect(number + 1, payload, DUMMY, number)
            self.network.arrive(self.messages[number][0], payload)

    def notify(self, *numbers, case=CASE, report=bytes(8), **changed):
        for number in numbers:
            address, key = self.messages[number]
            told = replace(exposure(case, report), rule_minutes=5, **changed)
            self.network.arrive(address, self.secrets[number].arrives(notification.seal(key, told)))

    def look(self, room=ROOM, start=0, answered=lambda asked, answer: answer):
        """One look, and what it brought; `answered` changes the answer."""
        (group,) = self.state.groups.live(START, 32)[MAILBOX]
        one = OneLook(self.state, MAILBOX, room, [(group, min(start, group.known))], [], self.rng)
        answer = answered(one.request, self.network._look(one.request))
        polled = Polled()
        with self.state.transaction():
            looked = one.take(look.Answer.parse(one.request, answer.encode(one.request)), START)
            polling.keep(self.state, looked, polled)
        return looked, polled

    def slots(self):
        """Slots of addresses that a notification is stored of."""
        return sorted(slot_of(START) - each.slot for each in self.state.notifications.all())

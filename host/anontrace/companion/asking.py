"""Asking mailboxes in requests of one size, with answers of one size: a part of the mailboxes each time, those asked
longest ago first.

Where there are fewer mailboxes than a request holds, random ones make up for it. What is found is kept by `polling`;
what an answer had no room for is asked for again in the next request.
"""

import secrets
from random import Random

from anontrace import clock
from anontrace.companion import polling
from anontrace.companion.levels import Level
from anontrace.companion.polling import Polled
from anontrace.companion.renewal import MOST_LOOKS, advance, slots_in_question
from anontrace.companion.servers import Servers
from anontrace.companion.state import State
from anontrace.mixnet.sizes import MAILBOX


def ask(state: State, servers: Servers, level: Level, rng: Random) -> Polled:
    """One request to one mailbox server, drawn at random."""
    advance(state, rng)
    before = polling.told_cases(state)
    now = int(clock.now())
    server = rng.choice(servers.mailbox_servers)
    own = state.addresses.to_ask(server, slots_in_question(now), now, level.questions)
    asked = [(mailbox.address, mailbox.skip) for mailbox in own]
    asked += [(secrets.token_bytes(MAILBOX), 0) for _ in range(level.questions - len(own))]
    order = list(range(len(asked)))
    rng.shuffle(order)
    answers = servers.poll(server, [asked[at] for at in order], level.room)
    if sum(len(payloads) for payloads in answers.values()) == level.room:
        del order[max(answers) + 1 :]  # whether there is anything in those was not told
    answered = [own[at] for at in order if at < len(own)]
    polled = Polled(mailboxes=len(answered), requests=1)
    found = [(own[order[index]], payloads) for index, payloads in answers.items() if order[index] < len(own)]
    with state.transaction():
        polling.keep(state, found, polled)
        numbers = [mailbox.number for mailbox in answered]
        state.addresses.set_asked(numbers, now)
        state.renewals.checked(numbers, MOST_LOOKS, now)
    polled.told = polling.told_since(state, before)
    return polled

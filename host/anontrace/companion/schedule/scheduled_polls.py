"""Looking into the mailboxes on schedule, in requests of one size with answers of one size: all groups each time, from
where they stood some days ago on, so that what earlier looks could not solve is in the sums again.

Mailboxes that are in no group, as made up to 0.2, are asked for in the same request while any is alive, a part each
time, those asked longest ago first. What is found is kept by `polling`.
"""

from random import Random

from anontrace import clock
from anontrace.companion.errors import AnswerError, OfflineError, RefusedError
from anontrace.companion.exposures import polling
from anontrace.companion.exposures.looking import OneLook, Room
from anontrace.companion.exposures.polling import Polled
from anontrace.companion.network.servers import Servers
from anontrace.companion.schedule.renewal import MAX_EMPTY_POLLS, advance, slots_in_question
from anontrace.companion.store.addresses import Mailbox
from anontrace.companion.store.groups import MailGroup
from anontrace.companion.store.state import State
from anontrace.wire.levels import Level
from anontrace.wire.look import Answer

ALONE, ALONE_ROOM = 240, 10  # mailboxes that are in no group, in a look, and messages of theirs in its answer
_DAY_SECONDS = 86400


def poll(state: State, servers: Servers, level: Level, rng: Random) -> Polled:
    """A look at each mailbox server that has mailboxes of the wearer's: nearly always one. What keeps one server from
    answering is told of in `failure`.

    Every request is ready before the first one goes out, and every answer is there before the first one is read: how
    long that takes shows at no server.
    """
    advance(state, servers, rng)
    before = polling.standing(state)
    polled = Polled()
    by_server = polling.asked_at(state, int(clock.now()))
    if not by_server:
        by_server = {servers.random_mailbox_server(): ([], [])}
    ready = [
        (server, _ready(state, server, *by_server[server], level, rng))
        for server in rng.sample(sorted(by_server), len(by_server))
    ]
    answered = []
    for server, one in ready:
        try:
            answered.append((server, one, servers.fetch(server, one.request)))
        except (OfflineError, RefusedError) as error:
            polled.failure = error
    for server, one, body in answered:
        try:
            answer = servers.read(server, one.request, body)
        except AnswerError as error:
            polled.failure = error
        else:
            _take(state, server, one, answer, polled)
    polling.note_news(state, before, polled)
    return polled


def _ready(
    state: State, server: int, groups: list[MailGroup], alone: list[Mailbox], level: Level, rng: Random
) -> OneLook:
    now = int(clock.now())
    starts = []
    for group in groups:
        start = state.groups.told_since(group.number, now - level.window_days * _DAY_SECONDS)
        starts.append((group, group.known if start is None else start))
    room = Room(level.digests, level.sums)
    if alone:
        room = Room(level.digests, level.sums, ALONE_ROOM, ALONE)
        alone = state.addresses.to_ask(server, slots_in_question(now), now, ALONE)
    return OneLook(state, server, room, starts, alone, rng)


def _take(state: State, server: int, one: OneLook, answer: Answer, polled: Polled) -> None:
    now = int(clock.now())
    looked = polling.take(state, server, one, answer, polled)
    with state.transaction():
        state.addresses.set_asked([mailbox.number for mailbox in looked.answered], now)
        asked = [mailbox.number for mailbox in looked.answered]
        if not looked.is_full:
            asked += state.renewals.in_groups(state.groups.without_unsolved(looked.groups))
        state.renewals.checked(asked, MAX_EMPTY_POLLS, now)
    polled.mailboxes += len(asked)

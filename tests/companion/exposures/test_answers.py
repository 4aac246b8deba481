"""What an answer to the health authority says, is shown to say, and what becomes of it."""

import secrets
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from anontrace.companion.errors import INTERRUPTED, USAGE, SetupError
from anontrace.companion.exposures import answering, answers, presentation
from anontrace.companion.exposures.answers import Wish
from anontrace.companion.exposures.cases import assess
from anontrace.companion.store import state
from anontrace.companion.store.notifications import StoredNotification
from anontrace.companion.store.states import ACCEPTED, READY, REFUSED, SENT
from anontrace.mixnet import contact_answer, letter, words
from anontrace.mixnet.contact_answer import ContactAnswer, OwnLog, Said
from anontrace.mixnet.surb import SurbSecrets
from anontrace_shared.slots import slot_start
from nacl.signing import SigningKey

from tests.companion.commands.test_cli import NETWORK
from tests.companion.conftest import Cli
from tests.companion.exposures.test_judging import CASE, REPORT, notified, retracted
from tests.companion.paper import START
from tests.companion.reports.test_contact_log import block
from tests.companion.terminal import talk

SLOT = START // 300 - 400
SECRET = words.secret_of(b"s" * 32)
AUTHORITY = words.key_of(bytes(SigningKey(b"s" * 32).verify_key))


def put(opened, *received):
    with opened.transaction():
        for each in received:
            content = each.notification.encode()
            opened.notifications.add(StoredNotification(each.slot, each.received, bytes(20), content))


@pytest.fixture
def opened(tmp_path):
    state.create(tmp_path / "state")
    with state.changing(tmp_path / "state") as found:
        put(found, *(notified(SLOT + number, 15, rule=5) for number in range(4)))
        yield found


def told(opened):
    (found,) = assess(opened)
    return found


def at(slot, present, attenuation):
    return slot, replace(notified(slot, present).notification, attenuation=attenuation)


@pytest.mark.parametrize(
    ("received", "classes"),
    [
        ([], (0, 0, 0, 0)),
        ([at(1, 1, 55)], (1, 0, 0, 0)),
        ([at(1, 15, 55), at(2, 1, 40), at(3, 15, 56), at(4, 15, 63)], (2, 2, 0, 0)),
        ([at(1, 15, 73), at(1, 9, 60)], (0, 1, 0, 0)),  # two badges in one slot: the nearer, the longer
        ([at(slot, 15, 74) for slot in range(25)], (0, 0, 0, 6)),
        ([at(slot, 15, 64) for slot in range(24)], (0, 0, 5, 0)),
    ],
)
def test_minutes_are_summed_over_all_addresses_in_classes_and_by_nearness(received, classes):
    assert answers.nearness(received) == classes
    assert answers.nearness(received[::-1]) == classes


def test_only_the_report_that_counts_is_in_it(opened):
    put(opened, *(notified(SLOT + 50 + number, 15, report=secrets.token_bytes(8)) for number in range(3)))
    made = answers.compose(opened, told(opened), Wish(test=True, nearness=True), START)
    assert sum(made.nearness) == 3  # twenty minutes in one bin
    without = answers.compose(opened, told(opened), Wish(test=True), START)
    assert (without.nearness, without.own_log, without.said) == ((0, 0, 0, 0), OwnLog.UNSAID, Said.TEST)


@pytest.mark.parametrize(
    ("synced", "blocks", "found"),
    [
        (None, [], OwnLog.UNSAID),
        (0, [0, 1, 2, 3], OwnLog.UNSAID),  # fetched before
        (4, [0, 1, 2, 3, 9], OwnLog.SOMEBODY),
        (2, [0, 1], OwnLog.SOMEBODY),  # as far as it was fetched
        (4, [1, 7], OwnLog.PARTLY),
        (4, [7], OwnLog.NOBODY),
        (4, [], OwnLog.NOBODY),
    ],
)
def test_her_own_log_says_whether_anybody_was_there_as_far_as_it_was_fetched(opened, synced, blocks, found):
    badge = opened.badges.ensure(SLOT // 288)
    if synced is not None:
        opened.badges.set_provisioned(badge, 1, SLOT, SLOT + 10, START)
        opened.badges.set_synced(badge, {}, slot_start(SLOT + synced))
    if blocks:
        opened.logs.append(badge.number, 0, 1, 0, b"".join(block(SLOT + each) for each in blocks), START)
    assert answers.own_log(opened, told(opened)) is found


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish(), "say what to answer"),
        (Wish(nearness=True, note="Ada"), "say what to answer"),
        (Wish(positive=True, negative=True), "not both"),
        (Wish(number="call me"), "5 to 15 digits"),
        (Wish(number="112"), "5 to 15 digits"),
        (Wish(test=True, note="x" * 25), "at most 24 bytes"),
        (Wish(test=True, note="\x1b[2J"), "control or invisible"),
    ],
)
def test_what_makes_no_answer_is_said_in_a_sentence(opened, wish, said):
    with pytest.raises(SetupError, match=said):
        answers.compose(opened, told(opened), wish, START)


def test_only_who_is_told_answers(opened):
    put(opened, retracted(SLOT))
    with pytest.raises(SetupError, match="its state is: withdrawn"):
        answers.compose(opened, told(opened), Wish(test=True), START)


def test_all_that_an_answer_says_is_shown(opened):
    wish = Wish(test=True, number="+49 30 123456", positive=True, note="Ada", nearness=True)
    said = answers.document(answers.compose(opened, told(opened), wish, START), reachable=True)
    shown = "\n".join(answers.lines(said))
    for each in (
        "a test",
        "+4930123456",
        "tested positive",
        "Ada",
        "up to 30 minutes at up to 55 dB",
        "back to you once",
    ):
        assert each in shown
    less = answers.document(answers.compose(opened, told(opened), Wish(negative=True), START), reachable=False)
    assert answers.lines(less) == ["You say that you tested negative.", "They cannot write back to you."]


class Kept:
    """An answer that is kept, with a way back."""

    def __init__(self, opened):
        self.state = opened
        self.group = opened.groups.of_day(7, START // 86400, START + 30 * 86400)
        self.tag = contact_answer.told_tag(CASE, REPORT)
        self.way = SurbSecrets((b"h" * 32,), bytes(32))
        payload, self.key = contact_answer.seal(AUTHORITY, self.tag, ContactAnswer(Said.TEST, 20000))
        self.identity = contact_answer.identity(contact_answer.split(payload)[1])
        said = answers.document(ContactAnswer(Said.TEST, 20000), reachable=True)
        with opened.transaction():
            self.mailbox = opened.addresses.add_mailbox(7, self.group.address + bytes(16), START + 9, self.group.number)
            self.number = opened.contact_answers.add(
                CASE, said, (payload, self.tag, self.identity, self.key), (self.mailbox, self.way.to_bytes()), START
            )

    @property
    def stored(self):
        return self.state.contact_answers.get(self.number)

    def is_asked_for(self):
        """A receipt asks for it, and is answered."""
        with self.state.transaction():
            box = self.state.addresses.add_mailbox(7, secrets.token_bytes(32), START + 9, self.group.number)
            self.state.receipts.add(box, bytes(64), START, contact_answer=self.number)
            self.state.receipts.set_answer(box, bytes(239))

    def arrives(self, payload):
        with self.state.transaction():
            found = answering.note_letter(self.state, self.mailbox, self.way.arrives(payload), START)
        return [] if found is None else [found]


def test_a_letter_is_the_authoritys_and_the_first_one_counts(opened):
    kept = Kept(opened)
    for no_letter in (secrets.token_bytes(239), letter.seal(secrets.token_bytes(64), kept.tag, "Come"),
                      letter.seal(kept.key, secrets.token_bytes(8), "Come")):  # fmt: skip
        assert kept.arrives(no_letter) == []
    (found,) = kept.arrives(letter.seal(kept.key, kept.tag, "Come at nine"))
    assert presentation.letter_lines(found) == [
        f"The health authority writes back to your answer about case {CASE.hex()[:8]}: Come at nine"
    ]
    assert kept.arrives(letter.seal(kept.key, kept.tag, "Come at ten")) == []
    assert kept.stored.letter == "Come at nine"
    assert "They wrote back" in presentation.answer_lines(kept.stored)[-1]


@pytest.mark.parametrize("held", [True, False])
def test_an_answer_that_does_not_arrive_is_sent_again_so_often_and_no_more(opened, monkeypatch, held):
    kept = Kept(opened)
    states = []
    monkeypatch.setattr(answering.receipts, "is_held", lambda _: held)
    for _ in range(answering.MAX_TRIES + 2):
        if kept.stored.state in (READY, SENT):
            opened.contact_answers.set_sent([kept.number], START)
            kept.is_asked_for()
            assert answering.take(opened, late=False) == ([kept.stored] if held else [])
            if not held:
                assert kept.stored.state == SENT  # it may still be on its way
                kept.is_asked_for()
                answering.take(opened, late=True)
        states.append(kept.stored.state)
    last = ACCEPTED if held else REFUSED
    assert states == [last] * 7 if held else states == [READY] * 4 + [REFUSED] * 3
    assert kept.stored.payload == b""
    said = presentation.answer_lines(kept.stored)[0]
    assert ("is kept for" in said) == held


def test_answers_to_a_case_are_few(opened):
    for _ in range(answering.MOST):
        answering.check_room(opened, told(opened))
        Kept(opened)
    with pytest.raises(SetupError, match="6 times"):
        answering.check_room(opened, told(opened))
    opened.contact_answers.forget(START + 30 * 86400)
    answering.check_room(opened, told(opened))


@pytest.fixture
def wearer(tmp_path, clock):
    """A companion of a network whose servers are all down, told of one case."""
    (tmp_path / "network.toml").write_text(NETWORK)
    cli = Cli(tmp_path / "state", clock)
    cli.do("init", str(tmp_path / "network.toml"))
    with state.reading(cli.folder) as found:
        put(found, *(notified(SLOT + number, 15, rule=5) for number in range(4)))
    return cli


def test_asked_on_a_terminal_the_wearer_sees_all_of_it_and_nothing_goes_without_a_yes(wearer):
    case = CASE.hex()[:8]
    command = ["exposures", "answer", case, "--call", "+49 30 123456", "--note", "Ada", "--nearness"]
    code, screen = talk(wearer, command, [("Send it?", "n")])
    assert code == INTERRUPTED and "nothing is sent" in screen
    for each in ("+4930123456", "Ada", "up to 30 minutes", "They may write back", "--hidden avoids that"):
        assert each in screen
    asked = wearer.run(*command)
    assert (asked.code, "to consent: --yes" in asked.err) == (USAGE, True)
    wrong = wearer.run("--json", "exposures", "answer", case, "--call", "x\x1b[2J", "--yes")
    assert (wrong.code, "5 to 15 digits" in wrong.err, "\x1b" in wrong.err) == (USAGE, True, False)
    assert f"anontrace exposures answer {case}" in wearer.run("exposures", "list").out
    assert wearer.do("exposures", "show", case)["answers"] == []


def test_number_and_name_need_not_be_among_a_commands_arguments(wearer):
    command = ["exposures", "answer", CASE.hex()[:8], "--call", "-", "--note", "-", "--yes"]
    nothing = wearer.run(*command, stdin="")
    assert (nothing.code, "say what to answer" in nothing.err) == (USAGE, True)
    screen = wearer.run(*command, stdin="+49 30 123456\r\nAda\n").err
    assert "You ask for a call: +4930123456" in screen and "You write: Ada" in screen


def test_classes_of_minutes_fit_many_where_exact_ones_would_name_one():
    """An authority that knew, which it does not, which exposures of a report are one person's: of fifty who were told,
    how many have no other who fits the same answer?"""
    rng = Random(1)
    alone = {"classes": 0, "exact": 0}
    for _ in range(40):
        people = []
        for _ in range(50):
            near = rng.choice((45, 55, 65, 75))
            met = range(rng.choice((1, 1, 2, 3, 3, 4, 6, 12)))
            people.append([at(slot, rng.randint(3, 15), round(rng.gauss(near, 6))) for slot in met])
        classes = Counter(answers.nearness(each) for each in people)
        exact = Counter(tuple(thirds(each)) for each in people)
        alone["classes"] += sum(count == 1 for count in classes.values())
        alone["exact"] += sum(count == 1 for count in exact.values())
    assert alone["classes"] / 2000 < 0.35 < 0.8 < alone["exact"] / 2000, alone


def thirds(received):
    found = [0] * 4
    for _, each in received:
        found[sum(each.attenuation > limit for limit in contact_answer.NEAR_BINS)] += each.present
    return found

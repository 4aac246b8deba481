"""What becomes of a message that was found: which notifications count, which addresses are armed again, and when."""

from random import Random

import pytest
from anontrace import clock
from anontrace.companion.exposures import polling
from anontrace.mixnet.notification import Kind
from anontrace_shared.slots import SLOT_SECONDS, slot_of

from tests.companion.paper import START

SLOT = slot_of(START)
DAY = 86400


def armed_again(desk) -> list[int]:
    """Of which addresses the reply block counts as used."""
    return sorted(SLOT - each.address.slot for each in desk.state.addresses.to_replace())


def test_only_slots_count_in_which_a_badge_of_the_wearer_may_have_sent_that_address(desk):
    """From a slot before its first one, since clocks drift, to its horizon."""
    desk.state._db.run("UPDATE badges SET first_slot = ?, horizon = ?", SLOT - 10, SLOT - 5)
    desk.notify(4, 5, 6, 10, 11, 12)
    _, polled = desk.look()
    assert desk.slots() == [6, 10, 11]
    assert (polled.notifications, polled.ignored, polled.messages) == (3, 3, 6)
    assert armed_again(desk) == [4, 5, 6, 10, 11, 12]  # whoever sent it used them all


@pytest.mark.parametrize(("slots_ahead", "counts"), [(0, True), (1, True), (2, False)])
def test_nobody_can_have_met_the_wearer_in_a_slot_to_come(desk, monkeypatch, slots_ahead, counts):
    monkeypatch.setattr(clock, "now", lambda: START - slots_ahead * SLOT_SECONDS)
    desk.notify(0)
    _, polled = desk.look()
    assert (desk.slots() == [0], polled.notifications == 1, polled.ignored == 0) == (counts,) * 3


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ({"present": 0}, False),
        ({"present": 1}, True),
        ({"present": 15}, True),
        ({"present": 16}, False),
        ({"chain_token": bytes(96)}, False),
        ({"chain_token": bytes(95) + b"\1"}, True),
        ({"kind": Kind.RETRACTION, "present": 0, "chain_token": bytes(96)}, True),
    ],
)
def test_a_notification_says_how_long_within_its_slot_and_has_a_token_and_a_retraction_need_not(desk, changed, counts):
    desk.notify(3, **changed)
    _, polled = desk.look()
    assert (desk.slots() == [3]) == counts and armed_again(desk) == [3]
    is_retraction = changed.get("kind") is Kind.RETRACTION
    assert (polled.notifications, polled.retractions, polled.ignored) == (
        counts and not is_retraction, is_retraction, not counts,
    )  # fmt: skip


def test_an_address_that_was_notified_is_renewed_within_two_days_at_a_moment_of_its_own(desk, monkeypatch):
    monkeypatch.setattr(polling, "_random", Random(1))
    desk.notify(*range(10))
    desk.network.arrive(desk.messages[11][0], bytes(239))  # garbled on its way
    for _ in range(3):
        desk.look()
    moments = desk.state._db.column("SELECT leaves FROM surbs WHERE spent")
    assert len(set(moments)) == 11 and all(START <= each < START + 2 * DAY for each in moments)

    class Latest(Random):
        def randrange(self, stop):
            return stop - 1

    monkeypatch.setattr(polling, "_random", Latest())
    desk.notify(20)
    desk.look()
    assert max(desk.state._db.column("SELECT leaves FROM surbs WHERE spent")) == START + 2 * DAY - 1


def test_a_dummy_that_somebody_else_made_spends_no_reply_block(desk):
    desk.notify(5, kind=Kind.DUMMY)
    _, polled = desk.look()
    assert (polled.dummies, polled.ignored, armed_again(desk), desk.slots()) == (1, 0, [], [])


def test_messages_of_a_mailbox_are_counted_as_far_as_a_look_can_say(desk):
    desk.dummies(7, 8)
    desk.notify(7, 8)
    desk.look()
    skips = {row["id"]: row["skip"] for row in desk.state._db.rows("SELECT id, skip FROM mailboxes")}
    assert (skips[8], skips[9], skips[10]) == (2, 1, 0)
    desk.state._db.run("UPDATE mailboxes SET skip = 254 WHERE id = 10")
    desk.dummies(9, 10)
    desk.dummies(9, 10)
    desk.notify(9)
    desk.look()
    assert desk.state._db.row("SELECT skip FROM mailboxes WHERE id = 10")["skip"] == 255

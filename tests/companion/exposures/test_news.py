"""What a poll calls news: an exposure that the wearer is told of, or was told of and is withdrawn; nothing else."""

import pytest
from anontrace import clock
from anontrace.companion.days import moment_text, slot_text
from anontrace.companion.exposures import judging, polling, presentation
from anontrace.companion.exposures.polling import Polled
from anontrace.companion.store import state
from anontrace.companion.store.notifications import StoredNotification
from anontrace_shared.slots import slot_start

from tests.companion.exposures.test_judging import CASE, notified, retracted

SLOT = 5_892_000
FOUR_TWO_THIRDS, FIVE = 14, 15  # minutes, in thirds


@pytest.fixture
def opened(tmp_path):
    state.create(tmp_path / "state")
    state.State(tmp_path / "state").close()
    with state.changing(tmp_path / "state") as found:
        yield found


def news(opened, *received):
    """What is new once these have been received."""
    before = polling.standing(opened)
    with opened.transaction():
        for each in received:
            content = each.notification.encode()
            opened.notifications.add(StoredNotification(each.slot, each.received, bytes(20), content))
    polled = Polled()
    polling.note_news(opened, before, polled)
    return [each.case_id for each in polled.told], [each.case_id for each in polled.withdrawn]


def test_what_the_wearer_was_told_and_is_withdrawn_is_news_once(opened):
    assert news(opened, notified(SLOT, FIVE, rule=5)) == ([CASE], [])
    assert news(opened, retracted(SLOT)) == ([], [CASE])
    assert news(opened, retracted(SLOT + 1)) == ([], [])


def test_a_retraction_of_what_was_below_the_rule_is_no_news(opened):
    assert news(opened, notified(SLOT, FOUR_TWO_THIRDS, rule=5)) == ([], [])
    assert news(opened, retracted(SLOT)) == ([], [])


def test_a_retraction_of_what_was_never_heard_of_is_no_news(opened):
    assert news(opened, retracted(SLOT)) == ([], [])


@pytest.mark.parametrize(
    ("thirds", "rule", "state_name", "shown"),
    [
        (FOUR_TWO_THIRDS, 5, judging.BELOW, "4.7"),
        (13, 5, judging.BELOW, "4"),
        (FIVE, 5, judging.TOLD, "5"),
        (14, 4, judging.TOLD, "5"),
    ],
)
def test_minutes_are_not_rounded_up_to_a_rule_that_they_do_not_reach(thirds, rule, state_name, shown):
    (exposure,) = judging.assess([notified(SLOT, thirds, rule=rule)], set(), set())
    assert exposure.state == state_name
    assert f"Time      about {shown} minutes (the rule is {rule})" in presentation.detail_lines(exposure, exact=False)


def test_what_a_badge_says_of_itself_is_in_local_time_and_words(monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: slot_start(SLOT))
    info = {
        "badge": 2, "firmware": "0.2.0", "build": 7, "flags": ["time known", "provisioned"], "time": 1_767_600_000,
        "uptime": 7300, "boot": 3, "horizon": SLOT + 12, "first_segment": 4, "open_segment": 6, "log_bytes": 9000,
        "records_dropped": 0, "battery_mv": 3870, "crash_log": "",
    }  # fmt: skip
    shown = "\n".join(presentation.info_lines(info))
    for expected in (moment_text(info["time"]), slot_text(info["horizon"]), "3 hours", "3.87 V", "0.2.0 (build 7)"):
        assert expected in shown
    assert str(info["time"]) not in shown and str(info["horizon"]) not in shown
    new = "\n".join(presentation.info_lines(info | {"flags": [], "time": 0, "horizon": 0}))
    assert "not set" in new and "1970" not in new and "nothing, it has no confirmed address" in new
    over = "\n".join(presentation.info_lines(info | {"horizon": SLOT}))
    assert f"nothing since {slot_text(SLOT)}" in over

"""Badges as far as no Bluetooth is needed: presets, several of them, forgetting, updating."""

import pytest
from anontrace.companion.commands import badge_care
from anontrace.companion.errors import FAILED, INTERRUPTED, USAGE
from anontrace.companion.exposures import presentation
from anontrace.companion.store import state
from anontrace_shared import presets

from tests.companion.commands.test_cli import NETWORK
from tests.companion.store.test_state import surb
from tests.companion.terminal import talk


@pytest.fixture
def wearer(cli, tmp_path):
    (tmp_path / "network.toml").write_text(NETWORK)
    cli.do("init", str(tmp_path / "network.toml"))
    return cli


def test_the_presets_offered_are_those_that_exist():
    assert list(badge_care.PRESETS) == list(presets.PRESETS)


@pytest.mark.parametrize(
    ("millivolts", "text"), [(0, "not measured"), (3870, "3.87 V"), (3420, "3.42 V (low: charge it)")]
)
def test_a_battery_is_shown_in_volts_and_told_to_be_charged(millivolts, text):
    assert presentation.battery_text(millivolts) == text


def test_a_forgotten_badge_leaves_nothing_and_the_others_stay(wearer):
    with state.changing(wearer.folder) as opened:
        for number in (1, 2):
            badge = opened.badges.add(2_000_000)
            assert badge.number == number
            opened.addresses.add(badge.number, [(number, bytes(20), surb(number, 2**31))], 0)
            opened.logs.append(badge.number, 1, 1, 0, b"piece %d" % number, 2_000_000_000)
    code, screen = talk(wearer, ["badge", "forget", "2"], [("Go on?", "n")])
    assert (code, "anontrace: nothing is changed" in screen) == (INTERRUPTED, True)
    assert talk(wearer, ["badge", "forget", "2"], [("Go on?", "y")])[0] == 0
    with state.reading(wearer.folder) as opened:
        assert [badge.number for badge in opened.badges.all()] == [1]
        assert opened.logs.segments() == [[b"piece 1"]]
        assert [mailbox.address for mailbox in opened.addresses.alone(0)] == [(1).to_bytes(32, "big")]
    assert wearer.run("badge", "forget", "2").code == USAGE


def test_each_badges_log_is_kept_for_as_many_days_as_its_wearer_says(wearer):
    now = 2_000_000_000
    with state.changing(wearer.folder) as opened:
        kept, short = (opened.badges.add(2_000_000) for _ in range(2))
        opened.badges.set_keep_days(short, 3)
        for badge in (kept, short):
            for days in (1, 2, 3, 30):
                opened.logs.append(badge.number, 1, days, 0, b"%d" % days, now - days * 86400)
        opened.logs.forget(now)
        assert opened.logs.segments() == [[b"1", b"2", b"3"], [b"1", b"2"]]
        assert [badge.keep_days for badge in opened.badges.all()] == [30, 3]


def test_an_update_without_sources_or_without_a_badge_says_what_to_do(wearer, tmp_path):
    result = wearer.run("badge", "update", "--usb", "/dev/ttyUSB7", "--source", str(tmp_path))
    assert (result.code, "make update" in result.err) == (USAGE, True)
    result = wearer.run("badge", "update", "--usb", "/dev/ttyUSB7")
    assert (result.code, "there is no /dev/ttyUSB7" in result.err) == (FAILED, True)
    assert len(result.err.splitlines()) == 1

"""What a wearer leaves out of the log, as an option and when asked; what is said of a disease; the desktop's note."""

import os
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from anontrace.clock import duration_text
from anontrace.companion.errors import INTERRUPTED, OFFLINE, USAGE, SetupError
from anontrace.companion.exposures import diseases, presentation
from anontrace.companion.exposures.judging import TOLD, WITHDRAWN, Exposure
from anontrace.companion.reports import periods
from anontrace.companion.reports.contact_log import gather, summarise
from anontrace.companion.store import state
from anontrace.companion.store.states import REFUSED
from anontrace.companion.store.tests import POSITIVE
from anontrace.companion.store.uploads import REPORT
from anontrace.companion.system import notify
from anontrace.wire import onetime
from anontrace_shared import log
from anontrace_shared.slots import slot_of

from tests.companion.commands.test_cli import NETWORK
from tests.companion.conftest import START
from tests.companion.reports.test_contact_log import block
from tests.companion.terminal import talk
from tests.patience import HANG_SECONDS

SLOT = START // 300  # 2026-01-05 08:00 UTC
TOKEN = onetime.new_token()


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_day_and_a_part_of_a_day():
    assert periods.parse("2026-01-05").slots == set(range(SLOT - 96, SLOT + 192))
    assert periods.parse(" 2026-01-05 8:00 - 9:30 ").slots == set(range(SLOT, SLOT + 18))
    assert periods.parse("2026-01-05 23:00-01:00").slots == set(range(SLOT + 180, SLOT + 204))
    assert periods.parse("2026-01-05 23:00-24:00").slots == set(range(SLOT + 180, SLOT + 192))
    assert periods.parse("2026-01-05 8:00\u20139:30").slots == set(range(SLOT, SLOT + 18))
    assert periods.parse("2026-01-05 08:02-08:03").slots == {SLOT}
    assert periods.parse("2026-01-05 08:04-08:06").touches(SLOT + 1)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-02-30", "2026-01-05 8-9", "2026-01-05 25:00-26:00", "2026-01-05 23:00-24:01", "05.01.2026"],
)
def test_what_is_no_period_is_said_with_an_example(text):
    with pytest.raises(SetupError, match="write 2026-01-31"):
        periods.parse(text)


ZONES = {  # and days on which their clocks changed, or the days beside them
    "Europe/Berlin": ("2026-03-29", "2026-10-24", "2026-10-25"),
    "Africa/Cairo": ("2026-04-23", "2026-04-24", "2026-10-29"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-03"),
    "America/Sao_Paulo": ("2017-10-14", "2017-10-15", "2018-02-17", "2018-02-18"),
    "America/St_Johns": ("2006-04-01", "2006-10-28", "2006-10-29"),
    "Asia/Kathmandu": ("2026-01-05",),
    "UTC": ("2026-01-05",),
}
TIMES = ("", "00:00-00:01", "01:30-02:30", "02:00-03:00", "02:12-02:13", "03:00-03:05", "22:50-23:10", "23:30-00:30")


@pytest.mark.parametrize(("zone", "day"), [(zone, day) for zone, days in ZONES.items() for day in days])
@pytest.mark.parametrize("times", TIMES)
def test_whatever_was_recorded_at_a_local_time_of_the_period_is_left_out(monkeypatch, zone, day, times):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    found = periods.parse(f"{day} {times}").slots
    begin, end = (datetime.fromisoformat(f"{day} {each}") for each in (times or "00:00-00:00").split("-"))
    end += timedelta(days=end <= begin)
    noon, place = int(begin.replace(hour=12, tzinfo=UTC).timestamp()), ZoneInfo(zone)
    seconds = range(noon - 3 * 86400, noon + 3 * 86400, 30)
    shown = [s for s in seconds if begin <= datetime.fromtimestamp(s, place).replace(tzinfo=None) < end]
    assert {slot_of(second) for second in shown} <= found
    assert found and found == set(range(min(found), max(found) + 1))
    # What is left out beside that is in between, or within the hour by which the clocks jumped.
    assert not shown or (slot_of(shown[0]) - min(found) <= 12 and max(found) - slot_of(shown[-1]) <= 12)
    if not times:
        assert (min(found), max(found)) == (slot_of(shown[0]), slot_of(shown[-1]))


@pytest.mark.parametrize(
    ("zone", "text", "first", "last"),
    [
        ("Europe/Berlin", "2026-10-25 01:30-02:30", "2026-10-25T01:30+02:00", "2026-10-25T02:25+01:00"),
        ("Europe/Berlin", "2026-10-25 01:00-02:00", "2026-10-25T01:00+02:00", "2026-10-25T01:55+02:00"),
        ("Europe/Berlin", "2026-10-25", "2026-10-25T00:00+02:00", "2026-10-25T23:55+01:00"),
        ("Africa/Cairo", "2026-04-23", "2026-04-23T00:00+02:00", "2026-04-23T23:55+02:00"),
        ("Africa/Cairo", "2026-04-24", "2026-04-24T01:00+03:00", "2026-04-24T23:55+03:00"),
        ("Africa/Cairo", "2026-10-29", "2026-10-29T00:00+03:00", "2026-10-29T23:55+02:00"),
        # What the clock never showed may have been read from one that had not been put forward, or too early.
        ("Europe/Berlin", "2026-03-29 02:15-02:45", "2026-03-29T01:15+01:00", "2026-03-29T03:40+02:00"),
        ("Europe/Berlin", "2026-03-29 01:30-02:30", "2026-03-29T01:30+01:00", "2026-03-29T03:25+02:00"),
        ("Pacific/Apia", "2011-12-30", "2011-12-29T00:00-10:00", "2011-12-31T23:55+14:00"),
    ],
)
def test_when_the_clocks_change_a_period_is_as_long_as_may_be_meant(monkeypatch, zone, text, first, last):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    found = periods.parse(text).slots
    expected = [slot_of(datetime.fromisoformat(each).timestamp()) for each in (first, last)]
    assert [min(found), max(found)] == expected


def test_both_passes_of_a_repeated_hour_stay_out_of_the_log(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    quarters = [slot_of(datetime(2026, 10, 24, 23, tzinfo=UTC).timestamp()) + 3 * n for n in range(13)]  # from 01:00
    blocks = [block(slot) for slot in quarters]
    now = datetime(2026, 10, 26, tzinfo=UTC).timestamp()
    kept = gather([[b"".join(blocks)]], now, [periods.parse("2026-10-25 01:30-02:30")])
    assert kept == b"".join(blocks[:2] + blocks[10:])


def test_blocks_of_the_period_stay_behind_and_with_them_those_without_time():
    first, second, third = block(SLOT), block(SLOT + 1), block(SLOT + 20)
    lost = block(7 << 16, kind=log.UNKNOWN_SLOT)
    segments = [[first + second + third + lost]]
    assert gather(segments, START) == first + second + third + lost
    assert gather(segments, START, [periods.parse("2026-01-05 08:06-08:10")]) == first + third
    assert gather(segments, START, [periods.parse("2026-01-05 07:00-08:10")]) == third
    assert gather(segments, START, [periods.parse("2026-01-04")]) == first + second + third
    assert gather(segments, START, [periods.parse("2026-01-05")]) == b""


@pytest.fixture
def untested(cli, tmp_path):
    """A companion with a log of two hours, whose servers are all down."""
    (tmp_path / "network.toml").write_text(NETWORK)
    cli.do("init", str(tmp_path / "network.toml"))
    with state.changing(cli.folder) as opened:
        badge = opened.badges.ensure(2_000_000)
        data = b"".join(block(slot) for slot in range(SLOT, SLOT + 24))
        opened.logs.append(badge.number, 1, 1, 0, data, START + 2**28)
    return cli


@pytest.fixture
def wearer(untested):
    """The same, told that the test was positive."""
    with state.changing(untested.folder) as opened:
        opened.tests.add(onetime.token_hash(TOKEN), START + 2**28)
        opened.tests.set_state(onetime.token_hash(TOKEN), POSITIVE, START + 2**28)
    return untested


def fixed_log(cli):
    with state.reading(cli.folder) as opened:
        (upload,) = opened.uploads.all()
    return summarise(upload.log)


def test_what_the_option_names_is_never_part_of_the_upload(wearer):
    token = ["report", "--token", TOKEN, "--yes"]
    result = wearer.run(*token, "--without", "2026-01-05 08:00-09:00", "--without", "2026-01-05 09:30-10:00")
    assert result.code == OFFLINE
    assert fixed_log(wearer).blocks == 6
    result = wearer.run(*token, "--without", "2026-01-05")
    assert (result.code, "its log is fixed" in result.err) == (USAGE, True)


def test_asked_on_a_terminal_the_wearer_sees_what_is_left(wearer):
    answers = [
        ("Leave out", "last Monday"),
        ("Leave out", "2026-01-05 08:00-09:00"),
        ("Leave out", ""),
        ("Send it?", "n"),
    ]
    code, screen = talk(wearer, ["report", "--token", TOKEN], answers)
    assert code == INTERRUPTED
    assert "Your log: 48 sealed records of 2026-01-05." in screen
    assert "is no period" in screen
    assert "Your log: 24 sealed records of 2026-01-05." in screen
    assert "To be sent to the nymserver: 24 sealed contact records" in screen
    assert "anontrace: nothing is sent" in screen


def test_a_token_that_is_asked_for_or_read_is_not_among_the_arguments(untested):
    result = untested.run("report", "--yes")
    assert (result.code, "--token -" in result.err) == (USAGE, True)
    result = untested.run("report", "--token", "-", "--yes", stdin="")
    assert (result.code, "Traceback" in result.err) == (USAGE, False)
    assert talk(untested, ["report"], [("one-time token", TOKEN)])[0] == OFFLINE
    assert untested.run("report", "--token", "-", "--yes", stdin=TOKEN.lower() + "\n").code == OFFLINE
    (waits,) = untested.do("result", "list")["tests"]
    assert waits["state"] == "waiting"
    assert untested.run("report").code == OFFLINE  # whose token is known now
    with state.reading(untested.folder) as opened:
        assert opened.uploads.all() == []


def test_once_the_result_is_known_nobody_is_asked_for_the_token(wearer):
    assert talk(wearer, ["report"], [("Leave out", ""), ("Send it?", "n")])[0] == INTERRUPTED


def test_while_the_wearer_thinks_everything_else_goes_on(wearer):
    def other_work():
        with state.changing(wearer.folder) as opened:
            opened.badges.ensure(2_000_000)
        return "n"

    assert talk(wearer, ["report", "--token", TOKEN], [("Leave out", ""), ("Send it?", other_work)])[0] == INTERRUPTED


def test_nothing_is_sent_but_what_the_wearer_has_seen(wearer):
    def begin_with_less():
        assert wearer.run("report", "--token", TOKEN, "--yes", "--without", "2026-01-05 08:00-09:00").code == OFFLINE
        return "y"

    code, screen = talk(wearer, ["report", "--token", TOKEN], [("Leave out", ""), ("Send it?", begin_with_less)])
    assert (code, "another command has begun this upload" in screen) == (USAGE, True)
    assert fixed_log(wearer).blocks == 12


def test_a_token_that_is_typed_is_asked_for_until_it_is_free_of_slips(untested):
    slip = TOKEN.replace("-", "")[:15]
    answers = [("one-time token", slip), ("one-time token", TOKEN.lower())]
    code, screen = talk(untested, ["report"], answers)
    assert code == OFFLINE
    assert "That is no token yet: a token has 16 symbols, this has 15." in screen


def test_asked_for_a_hidden_upload_the_wearer_sees_how_long_it_takes(wearer):
    answers = [("Leave out", ""), ("Send it?", "n")]
    for level, takes in ((None, "19 hours at its level, normal"), ("low", "6 days at its level, low")):
        if level is not None:
            with state.changing(wearer.folder) as opened:
                opened.timetable.set_level(level)
        code, screen = talk(wearer, ["report", "--token", TOKEN, "--hidden"], answers)
        said = " ".join(screen.split())
        assert (code, f"takes about {takes}; without --hidden it goes at once" in said) == (INTERRUPTED, True)


def test_of_a_report_that_was_refused_while_nobody_looked_status_tells_until_another_one(wearer):
    wanted = "anontrace report --token TOKEN"
    with state.reading(wearer.folder) as opened:  # `changing` would keep house by the clock of this process
        refused = opened.uploads.add(REPORT, b"s" * 32, b"u" * 16, b"log", START)
        opened.uploads.finish(refused, REFUSED)
    assert wanted in wearer.do("status")["next"]
    assert "your report was refused; ask for a new token" in wearer.run("status").out
    with state.reading(wearer.folder) as opened:
        opened.uploads.add(REPORT, b"t" * 32, b"v" * 16, b"log", START)
    assert wanted not in wearer.do("status")["next"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 minute"), (61, "2 minutes"), (7199, "120 minutes"), (7201, "3 hours"), (172_801, "3 days")],
)
def test_a_length_of_time_in_the_unit_that_fits(seconds, text):
    assert duration_text(seconds) == text


def test_diseases_by_name_and_unknown_ones_as_such():
    assert diseases.name_of("U07.1") == "COVID-19 (U07.1)"
    assert diseases.name_of("B05.9") == "measles (B05.9)"
    assert diseases.name_of("Z99") == "a disease with the code Z99 (ICD-10)"


def exposure(state_name):
    return Exposure(b"c" * 16, b"r" * 8, state_name, "U07.1", {SLOT: 600}, 15, 50, "Call 116117", START, False)


def test_an_exposure_says_day_disease_meaning_what_to_do_and_no_time_of_day():
    said = "\n".join(presentation.told_lines(exposure(TOLD)))
    for expected in (
        "On 2026-01-05",
        "COVID-19",
        "10 minutes",
        "Call 116117",
        "What it means",
        "What to do",
        "pass-on",
    ):
        assert expected in said
    assert "08:00" not in said
    shown = "\n".join(presentation.detail_lines(exposure(TOLD), exact=False))
    assert "What to do" in shown and "08:00" not in shown.replace("2026-01-05 08:00", "", 1)  # when it was received
    assert "Times of day, which may tell you who it was" in "\n".join(presentation.detail_lines(exposure(TOLD), True))
    assert "withdrawn" in "\n".join(presentation.detail_lines(exposure(WITHDRAWN), exact=False))


@pytest.fixture
def desktop(tmp_path, monkeypatch):
    """A desktop whose notify-send writes down its arguments."""
    program = tmp_path / "notify-send"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/part && mv {tmp_path}/part {tmp_path}/shown\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(notify.platform, "system", lambda: "Linux")
    return tmp_path / "shown"


def test_the_desktop_says_that_there_is_something_and_nothing_more(desktop):
    notify.there_is_news()
    end = time.monotonic() + HANG_SECONDS
    while not desktop.exists():  # nobody waits for the program
        assert time.monotonic() < end
        time.sleep(0.02)
    shown = desktop.read_text()
    assert "Anontrace" in shown and "anontrace status" in shown
    assert "positive" not in shown and "COVID" not in shown


def test_without_a_desktop_or_with_a_broken_one_nothing_happens(desktop, monkeypatch):
    (desktop.parent / "notify-send").write_text("no program at all")
    notify.there_is_news()
    monkeypatch.setenv("PATH", "/nonexistent")
    notify.there_is_news()
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert notify.command() is None
    notify.there_is_news()


@pytest.mark.parametrize(("system", "program"), [("Darwin", "osascript"), ("Windows", "powershell")])
def test_other_systems_use_what_they_bring(monkeypatch, system, program):
    monkeypatch.setattr(notify.platform, "system", lambda: system)
    assert notify.command()[0] == program

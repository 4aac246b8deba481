"""Places from end to end: named by who runs one, noted by who wants to, read by staff, told to those who were there."""

import re
from pathlib import Path

import pytest
from anontrace.companion.errors import INTERRUPTED, OFFLINE, USAGE, StateError
from anontrace.companion.reports import noted
from anontrace.companion.reports.periods import Period
from anontrace.companion.store import state
from anontrace.companion.store.badges import RATCHET
from anontrace.companion.store.tests import POSITIVE
from anontrace.wire import onetime, places
from anontrace.wire.places import NOWHERE, Places

from tests.companion.commands.test_cli import NETWORK
from tests.companion.commands.test_run_cli import keep_log, read_log_key
from tests.companion.conftest import START, Cli
from tests.companion.reports.test_contact_log import block
from tests.companion.terminal import talk
from tests.patience import eventually

SLOT = START // 300  # 2026-01-05 08:00 UTC
TOKEN = onetime.new_token()
CAFE = "Café Sol, Hauptstraße 1"


def pages(cli):
    """The size of the state folder's database."""
    return (cli.folder / "companion.db").stat().st_size


def test_visitors_are_told_that_it_was_a_place_and_staff_read_notes_unless_they_are_left_out(
    cli, network, clock, tmp_path
):
    visitor, wearer, silent = (Cli(tmp_path / name, clock) for name in ("visitor", "wearer", "silent"))
    for each in (cli, visitor, wearer, silent):
        each.do("init", str(network.file))
    visitor.do("register", "--slots", "4")
    first = clock.slot
    with state.reading(visitor.folder) as opened:
        met = opened.addresses.contact_addresses(1, first, first + 3)
        opened.badges.set_provisioned(opened.badges.get(), RATCHET, first, first + 4, int(clock.now))
        log_key = read_log_key(opened)
    wearer.do("place", "notes", "on")
    wearer.do("place", "at", CAFE, "--minutes", "10")
    clock.advance(600)
    wearer.do("place", "at", "Tram 4", "--minutes", "60")
    clock.advance(300)
    wearer.do("place", "leave")
    silent.do("place", "notes", "on")
    silent.do("place", "at", CAFE)
    clock.advance(300)
    heard = [block(slot, 1, address=address, log_key=log_key) for slot, address in met.items()]
    for each in (cli, wearer, silent):
        keep_log(each, clock, *heard)

    def handed_in(who, *options):
        done = who.do("report", "--token", network.token(), "--yes", *options)
        return done, network.pending_report(done["case"])

    # Whoever runs a place names it; its visitors are told that it was one, and what staff write.
    cli.do("place", "name", CAFE, "--kind", "restaurant")
    of_place, report = handed_in(cli)
    assert report["place"] == {"name": CAFE, "kind": "restaurant"} and report["notes"] == []
    assert {each["at"] for each in report["exposures"]} == {None}
    shown = network._server("authority", "show", report["report"], "--config", str(network.folder / "authority"))
    assert f"It is the log of a place: {CAFE} (restaurant)" in shown
    network.approve(of_place["case"], minutes=15)
    eventually("the visitor to be told", lambda: visitor.do("poll")["told"] == [of_place["case"]])
    (told,) = visitor.do("exposures", "list")["exposures"]
    assert (told["state"], told["place"], told["message"]) == ("told", True, "Call 116117")
    shown = visitor.run("exposures", "show", of_place["case"]).out
    assert "at a place" in shown and "near somebody" not in shown and "Sol" not in shown
    assert "near somebody" not in visitor.run("exposures", "list").out

    # Who notes places has staff read them, at each contact too; once it is decided nobody keeps them.
    with_notes, report = handed_in(wearer)
    day = first // 288
    notes = [{"label": CAFE, "day": day, "minutes": 10}, {"label": "Tram 4", "day": day, "minutes": 10}]
    assert (report["place"], report["notes"]) == (None, notes)
    assert sorted(each["at"] for each in report["exposures"]) == [CAFE, CAFE, "Tram 4"]
    shown = network._server("authority", "show", report["report"], "--config", str(network.folder / "authority"))
    assert f"10 minutes at {CAFE}" in shown and "Tram 4" in shown
    network.approve(with_notes["case"], minutes=15)

    def after_the_decision():
        (decided,) = [each for each in network.staff("reports")["reports"] if each["report"] == report["report"]]
        return decided

    eventually("the notes to be gone", lambda: not after_the_decision()["notes"])
    assert {each["at"] for each in after_the_decision()["exposures"]} == {None}

    for each in (cli, wearer):
        with state.reading(each.folder) as opened:
            assert [(upload.log, upload.places) for upload in opened.uploads.all()] == [(b"", b"")]

    # And --without places leaves all of it out; the log is of the same size.
    without, report = handed_in(silent, "--without", "places")
    assert (report["place"], report["notes"], {each["at"] for each in report["exposures"]}) == (None, [], {None})
    assert len({(each["bytes"], each["fragments"]) for each in (of_place, with_notes, without)}) == 1
    assert [each["places"]["notes"] for each in (of_place, without)] == [[], []]
    assert [each["label"] for each in with_notes["places"]["notes"]] == [CAFE, "Tram 4"]


@pytest.fixture
def wearer(cli, tmp_path, clock):
    """A companion with a log of two hours and a positive test, whose servers are all down."""
    clock.advance(SLOT * 300 + 7200 - clock.now)
    (tmp_path / "network.toml").write_text(NETWORK)
    cli.do("init", str(tmp_path / "network.toml"))
    keep_log(cli, clock, *(block(slot) for slot in range(SLOT, SLOT + 24)))
    with state.reading(cli.folder) as opened:
        opened.tests.add(onetime.token_hash(TOKEN), int(clock.now))
        opened.tests.set_state(onetime.token_hash(TOKEN), POSITIVE, int(clock.now))
    return cli


def test_notes_are_off_until_switched_on_and_off_forgets_them(wearer):
    off = wearer.run("place", "at", "Café")
    assert (off.code, "anontrace place notes on" in off.err) == (USAGE, True)
    assert wearer.do("place", "list") == {"noting": False, "place": None, "notes": []}
    before = pages(wearer)
    wearer.do("place", "notes", "on")
    for at in range(14):
        wearer.do("place", "at", f"Place {at} " + "x" * 30, "--when", f"2026-01-05 {at % 8:02}:{at:02}-{at % 8:02}:40")
    assert len(wearer.do("place", "list")["notes"]) >= 10
    assert pages(wearer) == before
    assert wearer.do("place", "notes", "off")["notes"] == wearer.do("place", "list")["notes"] == []
    assert "Notes are off." in wearer.run("place", "list").out


def test_a_note_takes_the_place_of_another_and_is_forgotten_by_its_time(wearer, clock):
    wearer.do("place", "notes", "on")
    wearer.do("place", "at", "Library", "--when", "2026-01-05 08:00-10:00")
    wearer.do("place", "at", "Café", "--when", "2026-01-05 08:30-09:00")
    shown = wearer.run("place", "list").out
    assert "2026-01-05 08:00 to 2026-01-05 08:30, Library" in shown
    assert "2026-01-05 08:30 to 2026-01-05 09:00, Café" in shown
    wearer.do("place", "forget", "--when", "2026-01-05 08:00-09:00")
    (left,) = wearer.do("place", "list")["notes"]
    assert left == {"slot": SLOT + 12, "slots": 12, "label": "Library"}
    wearer.do("place", "at", "Park")
    assert wearer.do("place", "leave")["notes"][-1] == {"slot": clock.slot, "slots": 1, "label": "Park"}
    assert wearer.do("place", "forget")["notes"] == []


@pytest.mark.parametrize("name", ["", "   ", "a\tb", "a\x1b[2J", "a\u202eb", "a\u2028b", "ü" * 22, "x" * 43])
def test_what_is_no_name_is_refused_and_changes_nothing(wearer, name):
    wearer.do("place", "notes", "on")
    wearer.do("place", "name", " Inn ", "--kind", "lodging")
    for words in (["place", "name", name], ["place", "at", name]):
        result = wearer.run(*words)
        assert (result.code, result.err.count("\n")) == (USAGE, 1) and "the name of a place" in result.err
        assert "\x1b" not in result.err
    assert wearer.do("place", "list")["place"] == {"name": "Inn", "kind": "lodging"}
    assert wearer.do("place", "list")["notes"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["name"], "--none"),
        (["name", "Inn", "--none"], "--none"),
        (["name", "Inn", "--kind", "pub"], "it is one of: other, restaurant"),
        (["at", "Inn", "--when", "yesterday"], "is no period"),
        (["at", "Inn", "--when", "2025-12-01"], "of the last 14 days"),
        (["at", "Inn", "--when", "2026-01-07"], "the next 12 hours"),
        (["at", "Inn", "--minutes", "10", "--when", "2026-01-05"], "not both"),
        (["at", "Inn", "--minutes", "0"], "0 is not in the range"),
        (["forget", "--when", "x"], "is no period"),
        (["notes", "perhaps"], "'perhaps' is not one of"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_sentence(wearer, words, said):
    wearer.do("place", "notes", "on")
    result = wearer.run("place", *words)
    assert (result.code, said in result.err) == (USAGE, True), result.err


def test_more_notes_than_go_with_a_log_are_refused(wearer):
    wearer.do("place", "notes", "on")
    with state.changing(wearer.folder) as opened:
        labels = {SLOT - 2 * each: "Inn" for each in range(places.MAX_NOTES)}
        opened.places.put(places.of_slots(labels), True)
    result = wearer.run("place", "at", "Café")
    assert (result.code, "32 at most" in result.err, "place forget" in result.err) == (USAGE, True, True)


def test_before_anything_is_handed_in_the_wearer_sees_all_of_it_and_may_leave_it_out(wearer):
    wearer.do("place", "name", "Inn", "--kind", "lodging")
    wearer.do("place", "notes", "on")
    wearer.do("place", "at", CAFE, "--when", "2026-01-05 08:00-09:00")
    wearer.do("place", "at", "Tram 4", "--when", "2026-01-05 09:00-09:30")
    lines = [
        "It says that it is the log of a place: Inn (lodging).",
        f"It says where you were: 2026-01-05 08:00 to 2026-01-05 09:00, {CAFE}",
        "It says where you were: 2026-01-05 09:00 to 2026-01-05 09:30, Tram 4",
    ]
    report = ["report", "--token", TOKEN]
    code, screen = talk(wearer, report, [("Leave out", ""), ("Send it?", "n")])
    said = " ".join(screen.split())
    assert code == INTERRUPTED and all(said.count(each) == 2 for each in lines)
    assert "The health authority reads what it says of places" in said
    code, screen = talk(wearer, report, [("Leave out", " Places"), ("Leave out", ""), ("Send it?", "n")])
    assert code == INTERRUPTED and "It says" not in screen.rpartition("Leave out")[2]
    code, screen = talk(wearer, [*report, "--without", "2026-01-05 08:00-08:30"], [("Send it?", "n")])
    assert "2026-01-05 08:30 to 2026-01-05 09:00" in " ".join(screen.split())
    # Told also where nobody is asked, and kept with the log as it was consented to.
    result = wearer.run(*report, "--yes")
    assert result.code == OFFLINE and all(each in result.err for each in lines)
    wearer.do("place", "notes", "off")
    result = wearer.run(*report, "--yes")
    assert result.code == OFFLINE and all(each in result.err for each in lines)
    assert "its log is fixed" in wearer.run(*report, "--yes", "--without", "places").err


def test_nothing_is_sent_of_places_but_what_the_wearer_has_seen(wearer):
    wearer.do("place", "notes", "on")

    def note_and_begin():
        wearer.do("place", "at", CAFE, "--when", "2026-01-05 08:00-09:00")
        assert wearer.run("report", "--token", TOKEN, "--yes").code == OFFLINE
        return "y"

    code, screen = talk(wearer, ["report", "--token", TOKEN], [("Leave out", ""), ("Send it?", note_and_begin)])
    assert (code, "another command has begun this upload" in screen) == (USAGE, True)


def test_nothing_but_these_commands_and_the_hand_in_reads_what_is_said_of_places():
    # What goes over the air, and every request but an upload, is made without it.
    host = Path(places.__file__).parents[1]
    readers = {
        path.relative_to(host).as_posix()
        for path in host.rglob("*.py")
        if re.search(r"state\.places|wire(\.places| import .*\bplaces\b)", path.read_text())
    }
    assert readers == {
        "backend/nymserver/judging.py",  # which leaves it aside
        "backend/nymserver/opening.py",
        "backend/nymserver/reports.py",
        "companion/commands/leaving_out.py",
        "companion/commands/place.py",
        "companion/reports/noted.py",
        "companion/reports/preparing.py",
        "companion/store/contact_logs.py",
        "companion/store/places.py",
    }


def test_notes_of_what_is_to_come_or_too_long_ago_stay_behind():
    now, long_ago = SLOT * 300, SLOT - noted.HANDED_IN_DAYS * 288
    said = places.of_slots({long_ago - 1: "old", long_ago: "young", SLOT: "now", SLOT + 1: "to come"})
    assert [each.label for each in noted.handed_in(said, now).notes] == ["young", "now"]
    assert noted.handed_in(said, now, [Period(frozenset((long_ago, SLOT)))]) == NOWHERE
    named = noted.named(NOWHERE, "Inn", "lodging")
    assert noted.handed_in(named, now) == named


def test_notes_are_forgotten_after_14_days(wearer, clock):
    wearer.do("place", "notes", "on")
    wearer.do("place", "name", "Inn")
    wearer.do("place", "at", "Park", "--when", "2026-01-05 08:00-09:00")
    with state.reading(wearer.folder) as opened:
        opened.places.forget((SLOT + 14 * 288) * 300)
        assert opened.places.get().notes[0].slots == 12
        opened.places.forget((SLOT + 14 * 288 + 6) * 300)
        assert opened.places.get().notes[0].slots == 6
        opened.places.forget((SLOT + 14 * 288 + 12) * 300)
        assert (opened.places.get(), opened.places.is_noting()) == (Places("Inn", "other"), True)
        opened._db.run("UPDATE places SET document = x'00'")
        with pytest.raises(StateError, match="places is damaged"):
            opened.places.get()


def test_what_is_noted_of_other_times_than_a_log_can_be_of_is_left_out():
    notes = places.of_slots(dict.fromkeys((10, 11, 20, 21, 30), CAFE), CAFE, "shop")
    assert notes.within(11, 29).at() == {20: CAFE, 21: CAFE} and notes.within(11, 29).name == CAFE
    assert notes.within(10, 30) == notes and notes.within(31, 40).notes == ()

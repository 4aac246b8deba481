"""What the wearer's pages show, and what their forms do and refuse."""

import os
import re
import threading
import time
from pathlib import Path

import pytest
from anontrace import clock
from anontrace.companion import words
from anontrace.companion.commands import status
from anontrace.companion.context import Context
from anontrace.companion.doctor import Check
from anontrace.companion.errors import ServiceError
from anontrace.companion.keys import keyfile, passphrase
from anontrace.companion.keys.passphrase import SALT, Stretching
from anontrace.companion.output import Output
from anontrace.companion.page import figures, overview, visit
from anontrace.companion.reports.contact_log import by_hour
from anontrace.companion.store.carried import Carried
from anontrace.companion.store.lock import RUN_FILE, WAIT_SECONDS, exclusive
from anontrace.companion.store.notifications import StoredNotification
from anontrace.companion.store.tests import POSITIVE
from anontrace.companion.store.uploads import PASS_ON, REPORT
from anontrace.companion.system import service_managers
from anontrace.wire import commitment, onetime
from anontrace_shared.slots import slot_of
from nacl.pwhash.argon2id import MEMLIMIT_MIN, OPSLIMIT_MIN

from tests.backend.portal.browser import read
from tests.companion.commands.test_cli import NETWORK
from tests.companion.exposures.test_judging import CASE, notified
from tests.companion.page.conftest import Served, companion
from tests.companion.reports.test_contact_log import block
from tests.patience import eventually

HANDS = Path(__file__).parents[3] / "firmware" / "badge" / "hands.py"
HOSTILE = "<script>alert(1)</script>\n\u202eevil\x1b[31m"


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def today() -> int:
    """The slot of noon, so that an hour back and forth is the same day."""
    return slot_of(time.time()) // 288 * 288 + 144


@pytest.fixture(scope="module")
def heard(served: Served) -> int:
    """A badge, and a log of two hours of yesterday: 5 and 2 records. The first slot of it."""
    first = today() - 288
    with served.context.changing() as state:
        badge = state.badges.ensure(first // 288)
        data = block(first, 3) + block(first + 1, 2) + block(first + 12, 2)
        state.logs.append(badge.number, 1, 1, 0, data, int(time.time()))
        state.badges.set_provisioned(badge, 1, first, first, int(time.time()))
    return first


def posted(served: Served, wearer, place: str, **fields: str):
    return wearer.post(place, data=served.form(**fields))


@pytest.mark.parametrize(
    ("place", "fields", "said"),
    [
        ("/register", {"days": "0"}, "a whole number from 1 to 14"),
        ("/register", {"days": "15"}, "a whole number from 1 to 14"),
        ("/register", {"days": "\u00b2"}, "a whole number from 1 to 14"),
        ("/register", {"days": "1" * 5000}, "too long"),
        ("/badges/sync", {"badge": "x"}, "no such badge"),
        ("/badges/set", {"preset": "loud"}, "no such preset"),
        ("/badges/provision", {"way": "cable"}, "give the port"),
        ("/badges/provision", {"way": "by post"}, "choose how the badge is reached"),
        ("/report", {"way": "at once", "token": "7K2M"}, "16 symbols, this has 4"),
        ("/report", {"way": "by post"}, "choose how it is to go"),
        ("/report", {"way": "at once", "token": "7K2M-9QXR-44TD-0ZCV", "more": "yesterday"}, "is no period"),
        ("/pass-on/zz", {"way": "at once"}, "4 hex digits"),
        ("/pass-on/abcd1234", {"way": "at once"}, "no such case"),
        ("/answer/zz", {"test": "yes"}, "4 hex digits"),
        ("/answer/abcd1234", {"test": "yes"}, "no such case"),
        ("/settings/level", {"level": "loud"}, "no such level"),
        ("/settings/service", {"service": "break"}, "choose whether your system is to do it"),
        ("/settings/lock", {"protect": "hope"}, "choose what locks your secrets"),
        ("/settings/lock", {"protect": "passphrase", "passphrase": "12345678", "again": "1234567"}, "not the same"),
        ("/settings/lock", {"protect": "passphrase", "passphrase": "1234567", "again": "1234567"}, "8 characters"),
        ("/settings/backup", {"passphrase": "12345678", "again": "12345678"}, "give the backup a name"),
        ("/settings/backup", {"file": "here", "passphrase": "12345678", "again": "12345678"}, "whole path"),
        ("/settings/erase", {"sure": "yes"}, "nothing was erased"),
        ("/first", {"protect": "file"}, "choose the network file"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence_and_nothing_begins(served, wearer, place, fields, said):
    before = served.site.tasks.last
    answer = posted(served, wearer, place, **fields)
    assert (answer.status_code, said.lower() in answer.text.lower()) == (409, True), answer.text
    assert served.site.tasks.last == before
    read(answer.text)


def test_what_fails_in_a_task_is_said_on_the_page_without_a_traceback(served, wearer):
    answer = posted(served, wearer, "/register", days="1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/working")
    eventually("it has ended", lambda: not served.site.tasks.is_busy)
    shown = wearer.get("/working").text
    assert "cannot be reached" in shown and "Traceback" not in shown
    assert 'data-ended="true"' in shown


def test_an_answer_is_shown_in_full_and_exactly_that_is_sent_once(served, wearer):
    case = CASE.hex()
    with served.context.changing() as state, state.transaction():
        for each in (notified(today() - 300 + back, 15, rule=5, received=int(time.time())) for back in range(2)):
            content = each.notification.encode()
            state.notifications.add(StoredNotification(each.slot, each.received, bytes(20), content))
    assert f'href="/answer/{case}"' in wearer.get("/exposures").text
    read(wearer.get(f"/answer/{case}").text)
    for wrong, said in (
        ({}, "say what to answer"),
        ({"call": "x"}, "5 to 15 digits"),
        ({"note": "\x07", "test": "yes"}, "control"),
    ):
        answer = posted(served, wearer, f"/answer/{case}", **wrong)
        assert (answer.status_code, said in answer.text.lower()) == (409, True)
    fields = {"call": "030 123456", "note": "<i>Ada</i>", "nearness": "yes", "way": "at once"}
    shown = posted(served, wearer, f"/answer/{case}", **fields).text
    read(shown)
    assert "030123456" in shown and "&lt;i&gt;Ada" in shown and "up to 15 minutes" in shown and "cannot write" in shown
    draft = re.search(r'name="draft" value="([^"]+)"', shown)
    assert draft
    answer = posted(served, wearer, "/answers/send", draft=draft[1])
    assert answer.headers["location"] == "/working"
    eventually("it has ended", lambda: not served.site.tasks.is_busy)
    assert "key is none" in wearer.get("/working").text  # of this network, with which nothing can be sealed to it
    assert posted(served, wearer, "/answers/send", draft=draft[1]).headers["location"] == "/exposures"
    with served.context.changing() as state:
        state.notifications.forget_cases({CASE})


def test_what_is_wrong_around_the_wearer_is_found_on_the_page(served, wearer, monkeypatch):
    monkeypatch.setattr("anontrace.companion.doctor.bluetooth", lambda _: Check("bluetooth", False, "it is off", "on"))
    assert posted(served, wearer, "/settings/around").headers["location"] == "/working"
    eventually("it has ended", lambda: not served.site.tasks.is_busy)
    shown = wearer.get("/working").text
    assert "WRONG, bluetooth: it is off \u2192 on" in shown and "well, versions: anontrace" in shown


def test_the_code_for_a_test_is_shown_as_symbols_and_as_a_picture(served, wearer, heard):
    refused = posted(served, wearer, "/commit")
    assert (refused.status_code, "badge sync" in refused.text) == (409, True)
    with served.context.changing() as state:
        state.badges.set_synced(state.badges.get(), {}, int(clock.now()))
    shown = posted(served, wearer, "/commit").text
    read(shown)
    (code,) = re.findall(r"<code>([0-9A-Z-]{19})</code>", shown)
    assert "<svg" in shown and "7 sealed records" in shown
    with served.context.reading() as state:
        assert state.commitments.find(commitment.read(code)) is not None
    with served.context.changing() as state, state.transaction():
        state.badges._db.run("UPDATE badges SET last_sync = NULL")  # as the others know it


def test_hours_are_chosen_and_exactly_what_is_shown_is_kept_to_be_sent(served, wearer, heard):
    with served.context.changing() as state:
        state.tests.add(onetime.token_hash("7K2M-9QXR-44TD-0ZCV"), int(clock.now()))
        state.tests.set_state(onetime.token_hash("7K2M-9QXR-44TD-0ZCV"), POSITIVE, int(clock.now()))
    page = wearer.get("/report").text
    day = time.strftime("%Y-%m-%d", time.gmtime(heard * 300))
    hours = re.findall(rf'value="({day} \d\d:00-\d\d:00)"', page)
    assert hours == [f"{day} 12:00-13:00", f"{day} 13:00-14:00"]
    fields = {"token": "7K2M-9QXR-44TD-0ZCV", "way": "at once"}
    shown = posted(served, wearer, "/report", out=hours[1], **fields).text
    assert "5 of 7 records" in shown and "5 sealed records" in shown
    assert "13:00\u201314:00: 0 of 2" in shown
    (found,) = re.findall(r'name="draft" value="([^"]+)"', shown)
    draft = served.site.shared.drafts[found]
    assert sum(by_hour(draft.intent.log)[day].values()) == 5
    assert "7K2M" not in shown and "7K2M" not in repr(draft)
    half = posted(served, wearer, "/report", more=f"{day} 12:00-12:01", **fields).text
    assert "4 of 7 records" in half
    nothing = posted(served, wearer, "/report", out=day, **fields)
    assert (nothing.status_code, "there is nothing to send" in nothing.text.lower()) == (409, True)
    for _ in range(20):
        posted(served, wearer, "/report", **fields)
    assert len(served.site.shared.drafts) == 8
    old = posted(served, wearer, "/send", draft=found)
    assert (old.status_code, old.headers["location"]) == (303, "/report")  # it is to be looked at again


def test_pages_are_shown_at_once_while_another_command_has_the_state_folder(served, wearer):
    began = time.monotonic()
    with exclusive(served.context.folder), exclusive(served.context.folder, file=RUN_FILE):
        assert all(wearer.get(place).status_code == 200 for place in ("/", "/badges", "/days", "/exposures"))
        assert "It goes by itself now" in wearer.get("/settings").text
    assert time.monotonic() - began < WAIT_SECONDS


def test_a_passphrase_chosen_at_the_first_step_is_not_asked_for_again_and_erasing_leads_back(tmp_path, monkeypatch):
    cheap = lambda: Stretching(os.urandom(SALT), OPSLIMIT_MIN, MEMLIMIT_MIN)  # noqa: E731
    monkeypatch.setattr(Stretching, "fresh", cheap)
    folder = tmp_path / "state"
    new = Served(Context(folder, "system", Output(as_json=True)))
    try:
        client = new.wearer()
        fields = {"protect": "passphrase", "passphrase": " eight and more ", "again": " eight and more "}
        files = {"file": ("network.toml", NETWORK.encode())}
        assert client.post("/first", data=new.form(**fields), files=files).headers["location"] == "/working"
        eventually("it has ended", lambda: not new.site.tasks.is_busy)
        assert client.get("/settings").status_code == 200
        assert keyfile.protection(folder) == "passphrase"
        monkeypatch.setattr(passphrase, "ask", lambda _: " eight and more ")
        assert len(keyfile.load(folder)) == 32  # with its spaces
        assert client.post("/settings/erase", data=new.form(sure="erase")).headers["location"] == "/working"
        eventually("it has ended", lambda: not new.site.tasks.is_busy)
        assert "Erased." in client.get("/working").text
        assert client.get("/").headers["location"] == "/first"
        assert not (folder / "companion.db").exists()
    finally:
        new.close()


def test_a_fault_is_a_page_with_a_sentence_and_nothing_of_the_program(served, wearer, monkeypatch):
    def broken(_: object) -> None:
        raise RuntimeError("the key is 0123456789abcdef")

    monkeypatch.setattr(overview.cases, "assess", broken)
    answer = wearer.get("/exposures")
    assert (answer.status_code, "A fault of the program (RuntimeError)" in answer.text) == (500, True)
    assert "0123456789abcdef" not in answer.text and "Traceback" not in answer.text


def test_how_far_a_task_is_is_said_in_the_language_of_who_began_it(served):
    goes_on, shown = threading.Event(), []

    def work(context: Context) -> None:
        with context.output.progress("fetching the log", "looking for the badge") as progress:
            shown.append(served.site.tasks.last)
            progress(3, 4)
            shown.append(served.site.tasks.last)
            with context.output.progress("") as nothing:
                nothing(1, 2)
            shown.append(served.site.tasks.last)
        context.output.show({}, lambda: [words.spoken("Erased.")])
        goes_on.set()

    with words.spoken_in("de"):
        served.site.tasks.start("task", work)
    assert goes_on.wait(30)
    eventually("it has ended", lambda: not served.site.tasks.is_busy)
    assert [(each.doing, each.done, each.total) for each in shown] == [
        ("das Abzeichen wird gesucht", 0, 0),
        ("das Protokoll wird geholt", 3, 4),
        ("", 1, 2),
    ]
    assert served.site.tasks.last.lines == ("Gelöscht.",)


def test_what_was_handed_in_fills_the_bars_of_its_days_and_costs_are_kept_for_thirty_days(served, wearer, heard):
    day = time.strftime("%Y-%m-%d", time.gmtime(heard * 300))
    now = int(time.time())
    with served.context.changing() as state:
        state.uploads.add(REPORT, b"s" * 32, b"u" * 16, b"log", now, b"", {day: 5})
        state.uploads.add(PASS_ON, b"t" * 32, b"v" * 16, b"log", now, b"", {day: 4})
        for back in (0, 29, 30):
            for _ in range(2):
                state.carried.add(now // 86400 - back, Carried(1, 1000, 500))
    with served.context.changing() as state:
        days, handed_in = overview.heard_days(state)
        assert (days[day], handed_in) == (7, {day: 5})
        kept = state.carried.by_day()
        assert list(kept) == [now // 86400 - 29, now // 86400]
        assert (kept[now // 86400 - 29].requests, kept[now // 86400 - 29].bytes) == (2, 3000)
    text = wearer.get("/days").text
    assert "<td>7</td><td>5</td>" in text and "<td>2.0</td><td>1.0</td>" in text


def test_what_others_chose_is_shown_as_one_plain_line():
    shown = visit._environment("en").from_string("<p>{{ said }}</p>").render(said=HOSTILE)
    assert "evil" in shown and shown.count("<") == 2
    assert not {"\u202e", "\x1b", "\n"} & set(shown)


def test_the_pages_speak_german_too_and_so_do_the_words_of_commands(served, wearer, heard):
    shown = wearer.get("/settings", headers={"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}).text
    assert '<html lang="de">' in shown and "Stufe des Verkehrs" in shown
    assert '<html lang="en">' in wearer.get("/settings", headers={"Accept-Language": "fr"}).text
    answer = wearer.post("/language", data=served.form(language="de", back="/days"))
    assert (answer.headers["location"], "language=de" in answer.headers["set-cookie"]) == ("/days", True)
    astray = wearer.post("/language", data=served.form(language="xx", back="//evil.example"))
    assert (astray.headers["location"], "set-cookie" in astray.headers) == ("/", False)


def test_the_guide_leads_from_nothing_to_a_badge_that_goes_by_itself(served, tmp_path, heard):
    begun = overview.steps(status.look(companion(tmp_path / "state")))
    assert [each.is_done for each in begun] == [True, False, False, False, False]
    assert [each.is_done for each in overview.steps(status.look(served.context))] == [True, False, True, False, False]


def test_every_thing_to_do_next_leads_to_a_page(served, wearer):
    for command, _ in status.todo(status.look(served.context)):
        assert any(command.startswith(begin) for begin in overview._PLACES), command
    assert all(wearer.get(place.partition("#")[0]).status_code == 200 for place in overview._PLACES.values())


def test_without_a_state_every_page_leads_to_the_first_step(tmp_path, served):
    empty = Served(Context(tmp_path / "none", "system", Output(as_json=True)))
    try:
        client = empty.wearer()
        for place in ("/", "/badges", "/days", "/exposures", "/report", "/settings"):
            assert client.get(place).headers["location"] == "/first", place
        assert client.post("/register", data=empty.form(days="1")).status_code == 303
        eventually("it has ended", lambda: not empty.site.tasks.is_busy)
        assert "begin with: anontrace init" in client.get("/working").text
        bad = client.post("/first", data=empty.form(protect="file"), files={"file": ("n.toml", b"\xff\xfe\x00")})
        assert bad.status_code in (303, 409)
        eventually("it has ended", lambda: not empty.site.tasks.is_busy)
        assert not (tmp_path / "none" / "companion.db").exists()
    finally:
        empty.close()


def test_the_pictures_of_the_light_are_those_of_the_firmware():
    hands = HANDS.read_text()

    def number(name: str) -> int:
        return int(re.search(rf"^{name} = const\((\d+)\)", hands, re.MULTILINE)[1])  # type: ignore[index]

    states = [number(each) for each in ("_BROADCASTING", "_NOTHING_TO_BROADCAST", "_NOT_PROVISIONED", "_SAFE")]
    assert [(flashes, every) for flashes, every, _ in figures.LIGHTS[:4]] == [
        (each, number("_REST_S")) for each in states
    ]
    assert figures.LIGHTS[4][:2] == (1, number("_SECOND_MS") / 1000)
    assert round(figures._GAP * 1000) == number("_FLASH_MS") + number("_GAP_MS")
    assert figures.light(3, 8.0).count('class="flash"') == 6  # in nine seconds


def test_a_service_that_cannot_be_asked_is_said(served, wearer, monkeypatch):
    def nobody(_: str) -> None:
        raise ServiceError("there is no systemd")

    monkeypatch.setattr(service_managers, "manager", nobody)
    assert "keep anontrace run going" in wearer.get("/settings").text

"""The replay of a contact list: who is told, with each person on it as the patient, is who the list says."""

import json
from pathlib import Path

import pytest
from anontrace.epidemic.contacts import lists

from tools.demo import contacts
from tools.replay import wearers
from tools.replay.__main__ import main
from tools.replay.playing import Case, Told

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "primaryschool.csv.gz"
MORNING = 31_200  # 08:40 in seconds, as lists have it


def lines(one: str, other: str, thirds: range) -> list[str]:
    return [f"{MORNING + 20 * (third + 1)}\t{one}\t{other}" for third in thirds]


# Ada met Ben for 15 minutes over two slots and a gap, Cleo for one third less, and Dan next day, for as long as Cleo.
STORY = [
    *lines("ada", "ben", range(5, 30)),
    *lines("ada", "ben", range(40, 60)),
    *lines("cleo", "ada", range(44)),
    *lines("ada", "dan", range(4320, 4364)),
    *lines("dan", "cleo", range(4320, 4410)),
]
DUE = {("ada", "ben"): 15.0, ("ben", "ada"): 15.0, ("cleo", "dan"): 30.0, ("dan", "cleo"): 30.0}


def listed(folder: Path, rows: list[str]) -> Path:
    path = folder / "list.tsv"
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


def test_with_each_person_as_the_patient_those_are_told_whom_the_list_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--contacts", str(listed(tmp_path, STORY)), "--workers", "2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["whole"] and answer["faults"] == []
    told = {
        (case["patient"], each["person"]): each["told"]
        for case in answer["cases"]
        for each in case["people"]
        if each["told"] is not None
    }
    assert told == DUE
    # A record for each person and slot; all of them are told of, whether or not they reach the rule.
    assert {case["patient"]: case["records"] for case in answer["cases"]} == {"ada": 10, "ben": 4, "cleo": 9, "dan": 9}
    assert all(case["notifications"] == case["records"] for case in answer["cases"])


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded contact list is not beside the checkout")
def test_ten_minutes_of_a_whole_school(capsys: pytest.CaptureFixture[str]) -> None:
    """`make replay CONTACTS=...` plays both days, and everybody as the patient."""
    window = ["--from", "31220", "--to", "31820", "--patient", "1564", "--rule", "2", "--workers", "1"]
    assert main(["--contacts", str(RECORDED), *window, "--json"]) == 0
    (case,) = json.loads(capsys.readouterr().out)["cases"]
    told = [each for each in case["people"] if each["told"] is not None]
    assert told and all(each["due"] and each["told"] == each["minutes"] for each in told)


def test_one_patient_and_another_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--contacts", str(listed(tmp_path, STORY)), "--patient", "ada", "--rule", "14", "--workers", "1"]
    assert main([*arguments, "--json"]) == 0
    (case,) = json.loads(capsys.readouterr().out)["cases"]
    told = {each["person"]: each["told"] for each in case["people"]}
    assert told == {"ben": 15.0, "cleo": pytest.approx(44 / 3), "dan": pytest.approx(44 / 3)}


def test_somebody_told_wrongly_missed_or_with_other_minutes_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    people = (
        Told("ben", 15.0, 15.0, True),
        Told("cleo", 14.0, 15.0, False),
        Told("dan", 20.0, None, True),
        Told("eve", 20.0, 19.5, True),
    )
    monkeypatch.setattr("tools.replay.__main__.play", lambda *_: iter([Case("ada", 9, 9, people)]))
    assert main(["--contacts", str(listed(tmp_path, STORY))]) == 1
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        "wrong: ada's contact cleo (14.0 min) was told",
        "wrong: ada's contact dan (20.0 min) was not told",
        "wrong: ada's contact eve was told 19.5 min instead of 20.0",
    ]
    assert "exactly the right people" not in shown.out


def test_an_interrupted_replay_says_what_it_has_and_that_it_is_not_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> object:
        yield Case("ada", 9, 9, (Told("ben", 15.0, 15.0, True),))
        raise KeyboardInterrupt

    monkeypatch.setattr("tools.replay.__main__.play", interrupted)
    assert main(["--contacts", str(listed(tmp_path, STORY)), "--json"]) == 130
    shown = capsys.readouterr()
    assert "interrupted: this is of 1 patient" in shown.err
    answer = json.loads(shown.out)
    assert not answer["whole"] and len(answer["cases"]) == 1


@pytest.mark.parametrize(
    ("rows", "more", "fault"),
    [
        (["what", "is", "this"], [], "list.tsv"),
        (STORY, ["--patient", "zoe"], "'zoe' is on no line"),
        (STORY, ["--to", "5"], "no line of the contact list lies in that window"),
        ([*STORY, *lines("ada", "ben", range(60_000, 60_001))], [], "a log holds at most 11"),
    ],
)
def test_what_cannot_be_played_is_refused_in_words(
    tmp_path: Path, rows: list[str], more: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--contacts", str(listed(tmp_path, rows)), *more]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and fault in said


def test_who_was_near_is_counted_in_thirds_of_slots(tmp_path: Path) -> None:

    recording = contacts.cut(lists.read(listed(tmp_path, STORY)).lines, "ada")
    first = (recording.origin + MORNING) // 300
    assert wearers.near(recording)["ben"] == {
        first: {"ada": set(range(5, 15))},
        first + 1: {"ada": set(range(15))},
        first + 2: {"ada": set(range(10, 15))},
        first + 3: {"ada": set(range(15))},
    }

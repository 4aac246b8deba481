"""The yardstick: who is to be told, from the contact list alone; and the table that compares."""

import io

from anontrace.epidemic.contacts.lists import parse
from rich.console import Console

from tools.demo import story, table, truth
from tools.demo.contacts import Recording, cut
from tools.demo.truth import Expectation


def recording(*texts: str) -> Recording:
    return cut(list(parse(texts, "list")), "a")


def met(one: str, other: str, minutes: int, start: int = 0) -> list[str]:
    return [f"{start + second} {one} {other}" for second in range(0, 60 * minutes, 20)]


def test_the_rule_is_reached_not_passed() -> None:
    played = recording(*met("a", "b", 15), *met("a", "c", 14), "840 a c", "860 a c")
    assert truth.told(played, "a", 15, set()) == {"b"}
    assert played.seconds("a", "c") == 880


def test_minutes_need_not_be_in_one_piece() -> None:
    assert truth.told(recording(*met("a", "b", 8), *met("a", "b", 8, start=6000)), "a", 15, set()) == {"b"}


def test_the_second_generation_is_counted_with_the_one_who_passed_on() -> None:
    played = recording(*met("a", "b", 20), *met("b", "c", 20), *met("a", "d", 8), *met("b", "d", 8))
    generations = {expected.person: expected.generation for expected in truth.expect(played, "a", "b", 15)}
    assert generations == {"b": 1, "c": 2, "d": None}


def test_nobody_passes_on_when_nobody_is_told() -> None:
    played = recording(*met("a", "b", 5))
    assert truth.choose_passer(played, "a", 15) is None
    assert truth.expect(played, "a", None, 15) == [Expectation("b", 5.0, 0.0, None)]


def test_the_passer_is_the_one_with_most_to_tell() -> None:
    played = recording(*met("a", "b", 20), *met("a", "c", 20), *met("c", "d", 20))
    assert truth.choose_passer(played, "a", 15) == "c"


def test_the_story_has_two_generations_and_every_near_miss() -> None:
    played = story.recording()
    passer = truth.choose_passer(played, story.PATIENT, story.RULE_MINUTES)
    assert passer == "Cleo"
    expected = {row.person: row for row in truth.expect(played, story.PATIENT, passer, story.RULE_MINUTES)}
    assert {person: row.generation for person, row in expected.items()} == {
        "Ben": 1,
        "Cleo": 1,
        "Dan": 2,
        "Eve": None,
        "Finn": None,
        "Gus": None,
    }
    assert expected["Ben"].minutes_with_patient == story.RULE_MINUTES
    assert expected["Eve"].minutes_with_patient + expected["Eve"].minutes_with_passer > story.RULE_MINUTES
    assert 14 < expected["Gus"].minutes_with_passer < story.RULE_MINUTES
    assert played.seconds("Finn", "Dan") >= 60 * story.RULE_MINUTES


def test_the_table_shows_what_is_wrong() -> None:
    right = table.Outcome(Expectation("b", 20.0, 0.0, 1), 20.0, 1)
    missed = table.Outcome(Expectation("c", 1.0, 20.0, 2), None, None)
    false = table.Outcome(Expectation("d", 1.0, 2.0, None), 15.0, 1)
    assert table.faults([right]) == []
    assert table.faults([right, missed, false]) == [
        "c was not told, but belongs to generation 2",
        "d was told (generation 1), but should not have been",
    ]
    output = io.StringIO()
    Console(file=output, width=100).print(table.build([right, missed, false], "a", "b"))
    rows = [" ".join(line.replace("│", " ").split()) for line in output.getvalue().splitlines()]
    assert "b 20.0 min yes, 20.0 min 1 yes" in rows
    assert "c 1.0 min 20.0 min no NO" in rows
    assert "d 1.0 min 2.0 min yes, 15.0 min 1 NO" in rows

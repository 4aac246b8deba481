"""`make mutants`: what it makes of the tool's results; and that what tests/mutants.toml names is still there."""

import json

import pytest

from tools import mutants
from tools.mutants import JUSTIFIED, ROOT, Mutant, Reason

MODULE = "host/anontrace/mixnet/relay.py"


def dumped(outcome: str, worker: str = "normal") -> str:
    mutation = {"module_path": MODULE, "operator_name": "core/Operator"}
    diff = "--- mutation diff ---\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n context\n-    a < b\n+    a <= b\n"
    return json.dumps([{"mutations": [mutation]}, {"worker_outcome": worker, "test_outcome": outcome, "diff": diff}])


def test_what_survived_is_known_by_its_line() -> None:
    lines = [dumped("killed"), dumped("survived"), dumped("killed", "skipped"), json.dumps([{}, None])]
    assert mutants.survivors("\n".join(lines)) == (2, [Mutant(MODULE, "core/Operator", "a < b", "a <= b")])


@pytest.mark.parametrize(
    ("before", "after", "is_the_same"),
    [
        ("at = ID + NUMBER", "at = ID | NUMBER", True),
        ("at = ID + NUMBER", "at = ID - NUMBER", False),
        ("if a[ID + NUMBER :] == b:", "if a[ID ^ NUMBER :] == b:", True),
        ("if a[ID + NUMBER :] == b:", "if a[ID ^ NUMBER :] != b:", False),
        ("at = ID + length", "at = ID | length", False),
        ("before = 1", "before = 2", False),
        ("a = ID", "b = ID", False),
        ("return ID / NUMBER", "return ID % 0", False),
        ('raise Error(f"{ID + NUMBER} bytes")', 'raise Error(f"{ID ^ NUMBER} bytes")', True),
        ("x = (", "y = (", False),
    ],
)
def test_a_number_that_is_written_in_another_way_is_no_mutant(before: str, after: str, is_the_same: bool) -> None:
    assert mutants.is_the_same(Mutant(MODULE, "", before, after), {"ID": 16, "NUMBER": 4}) == is_the_same


def test_a_survivor_without_a_reason_and_a_reason_without_a_survivor_are_told() -> None:
    survivor = Mutant(MODULE, "core/Operator", "a < b", "a <= b")
    assert mutants.unexplained([survivor], [Reason("a < b", "so")], [MODULE]) == []
    assert mutants.unexplained([survivor], [Reason("a < b", "so", MODULE, "a <= b")], [MODULE]) == []
    assert len(mutants.unexplained([survivor], [Reason("a < b", "so", after="a > b")], [MODULE])) == 1
    assert len(mutants.unexplained([survivor], [Reason("a < c", "so")], [MODULE])) == 1
    (told,) = mutants.unexplained([], [Reason("a < b", "so", MODULE)], [MODULE])
    assert "take that out" in told
    assert mutants.unexplained([], [Reason("a < b", "so", MODULE)], ["another"]) == []


def test_every_reason_is_for_a_line_that_is_there() -> None:
    for reason in mutants.reasons(JUSTIFIED.read_text(encoding="utf-8")):
        assert reason.why
        if reason.module:
            text = (ROOT / reason.module).read_text(encoding="utf-8")
            assert reason.line in [each.strip() for each in text.splitlines()]


def test_a_room_or_a_module_is_chosen() -> None:
    assert mutants.modules_of(MODULE) == [([MODULE], "tests/mixnet")]
    ((names, tests),) = mutants.modules_of("wire")
    assert tests == "tests/wire" and "host/anontrace/wire/look.py" in names
    assert len(mutants.modules_of("")) == len(mutants.ROOMS)
    assert mutants.modules_of("nothing") == []

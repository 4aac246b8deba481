"""`make mutants`: what it makes of the tool's results; and that what tests/mutants.toml names is still there."""

import json

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

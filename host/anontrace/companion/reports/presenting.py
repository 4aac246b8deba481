"""Results of tests as the wearer reads them, and for --json."""

import time
from typing import Any

from anontrace.companion.days import moment_text
from anontrace.companion.exposures.diseases import name_of
from anontrace.companion.store.tests import ENDED, NEGATIVE, WAITING, StoredTest
from anontrace.companion.words import spoken
from anontrace.wire import result
from anontrace.wire.result import Statement

_DAY_SECONDS = 86400


def day_text(day: int) -> str:
    """A day (UTC, number since 1970), as 2026-01-31."""

    return time.strftime("%Y-%m-%d", time.gmtime(day * _DAY_SECONDS))


def statement_document(found: Statement) -> dict[str, Any]:
    """What a statement says."""
    return {"disease": found.disease, "day": day_text(found.day), "serial": found.serial.hex()}


def document(test: StoredTest) -> dict[str, Any]:
    """How a test stands. It holds no token."""
    said: dict[str, Any] = {"state": test.state, "given": test.made, "since": test.changed}
    if test.state == NEGATIVE:
        said |= {**statement_document(result.parse(test.statement)), "statement": test.statement.hex()}
    return said


def lines(test: StoredTest) -> list[str]:
    """The same in words."""
    given = moment_text(test.made)
    if test.state == WAITING:
        return [
            spoken(
                "There is no result yet of the test whose token you gave on %(moment)s. `anontrace run` asks for it and"
                " tells you; or repeat: anontrace report",
                moment=given,
            )
        ]
    if test.state == NEGATIVE:
        found = result.parse(test.statement)
        return [
            spoken(
                "Negative: the test for %(disease)s of %(day)s. Nothing is to be handed in.",
                disease=name_of(found.disease),
                day=day_text(found.day),
            ),
            spoken("The health authority's signed statement, which anybody can check with: anontrace result check"),
            test.statement.hex(),
        ]
    if test.state == ENDED:
        return [spoken("The token that you gave on %(moment)s is not valid, or not any more.", moment=given)]
    return [spoken("Positive. To hand in your log, so that those whom you met can be told: anontrace report")]

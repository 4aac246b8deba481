"""What the authority's staff may write to people: as long as a notification has room for it, and all of it seen."""

import pytest
from anontrace.backend.errors import Refused
from anontrace.backend.nymserver.records import Decision, check_note


@pytest.mark.parametrize("kind", ["decision", "retraction"])
@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("x" * 43, "message: it has 43 bytes in UTF-8, and there is room for 42"),
        ("\u00fc" * 22, "it has 44 bytes in UTF-8"),
        ("a\0b", "a zero byte"),
        ("\x1b[2J", r"U\+001B, which does not print"),
        ("a\nb", r"U\+000A"),
        ("a\u202eb", r"U\+202E"),
        ("a\u200bb", r"U\+200B"),
        ("a\x9bb", r"U\+009B"),
        ("\u00fc" * 21, None),
    ],
)
def test_a_message_that_does_not_fit_is_told_the_limit(kind: str, message: str, told: str | None) -> None:
    def check() -> None:
        if kind == "decision":
            Decision(approve=True, message=message).check_message()
        else:
            check_note(message)

    if told is None:
        check()
        return
    with pytest.raises(Refused, match=told) as caught:
        check()
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("minutes", "most"), [(0, 42), (5, 42), (6, 76), (10, 76), (15, 114), (60, 456), (61, 456), (65535, 456)]
)
def test_a_message_may_be_as_long_as_what_everybody_gets_who_is_told_by_the_rule(minutes: int, most: int) -> None:
    Decision(approve=True, minutes=minutes, message="x" * most).check_message()
    with pytest.raises(Refused, match=f"there is room for {most}"):
        Decision(approve=True, minutes=minutes, message="x" * (most + 1)).check_message()

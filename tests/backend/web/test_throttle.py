"""Tries of tokens that do not exist: so many for one sender, whatever its addresses, also all at once."""

import pytest
from anontrace.backend.errors import Refused
from anontrace.backend.web.throttle import Throttle

MAX_TRIES = 3


def status_of(throttle: Throttle, sender: str, answer: int = 404) -> int:
    """What a try is answered by somebody who answers `answer` to those that are let through."""
    try:
        with throttle.trying(sender):
            raise Refused(answer, "an answer")
    except Refused as refused:
        return refused.status


@pytest.mark.parametrize(
    ("others", "another"),
    [
        (["192.0.2.1", "::ffff:192.0.2.1"], "192.0.2.2"),
        ([f"2001:db8::{number:x}" for number in range(1, 9)], "2001:db8:0:1::1"),
        (["", ""], "10.0.0.1"),
    ],
)
def test_the_addresses_of_one_client_have_its_tries_together(others: list[str], another: str) -> None:
    throttle = Throttle(MAX_TRIES)
    answers = [status_of(throttle, others[number % len(others)]) for number in range(MAX_TRIES + 2)]
    assert answers == [404] * MAX_TRIES + [429] * 2
    assert status_of(throttle, another) == 404


def test_only_tokens_that_do_not_exist_count() -> None:
    throttle = Throttle(MAX_TRIES)
    assert [status_of(throttle, "192.0.2.1", 409) for _ in range(2 * MAX_TRIES)] == [409] * 2 * MAX_TRIES


def test_tries_at_once_are_no_more_than_one_after_the_other() -> None:
    throttle = Throttle(MAX_TRIES)
    assert status_of(throttle, "192.0.2.1") == 404
    with throttle.trying("192.0.2.1"), throttle.trying("192.0.2.1"):
        with pytest.raises(Refused) as refused, throttle.trying("192.0.2.1"):
            pass
        assert (refused.value.status, refused.value.retry_after) == (429, 1)
        with throttle.trying("192.0.2.2"):
            pass
    with throttle.trying("192.0.2.1"):
        pass

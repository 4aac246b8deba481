"""The look: bounds, sizes that depend on nothing but what was asked, and answers that are not to this request."""

import os
from dataclasses import replace
from typing import Any

import pytest
from anontrace.wire import look
from anontrace.wire.look import Answer, Group, Look
from anontrace_shared.errors import FormatError
from hypothesis import given
from hypothesis import strategies as st

groups = st.lists(
    st.builds(
        lambda address, start, more: Group(address, start, start + more),
        st.binary(min_size=16, max_size=16),
        st.integers(0, 60000),
        st.integers(0, 250),
    ),
    max_size=look.MAX_GROUPS,
)
alone = st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.integers(0, 255)), max_size=20)
looks = st.builds(
    Look,
    st.integers(0, look.MAX_DIGESTS),
    st.integers(0, look.MAX_SUMS),
    st.integers(0, look.MAX_PLAIN),
    st.binary(min_size=16, max_size=16),
    groups,
    alone,
)


def ask(digests: int = 5, sums: int = 2, plain: int = 3, count: int = 2, old: int = 2) -> Look:
    groups = [Group(os.urandom(16), n, 2 * n) for n in range(count)]
    return Look(digests, sums, plain, os.urandom(16), groups, [(os.urandom(32), n) for n in range(old)])


def answer_to(asked: Look) -> Answer:
    """One that holds something of everything."""
    told = [[os.urandom(6)] * 2, *([] for _ in asked.groups[1:])]
    plain = [(1, os.urandom(243)), (look.FIRST_GROUP, os.urandom(243))]
    return Answer(told, [os.urandom(243) for _ in range(asked.sums)], plain)


@given(looks)
def test_a_look_survives_its_encoding(asked: Look) -> None:
    body = asked.encode()
    assert len(body) == asked.size <= look.MAX_BODY
    assert Look.parse(body) == asked


@given(looks)
def test_the_size_of_an_answer_is_the_one_asked_for_whatever_was_found(asked: Look) -> None:
    nothing = Answer([[]] * len(asked.groups), [bytes(243)] * asked.sums, [])
    body = nothing.encode(asked)
    assert len(body) == asked.answer_size
    assert Answer.parse(asked, body) == nothing
    if asked.groups:
        told = [[os.urandom(6)] * asked.digests, *([] for _ in asked.groups[1:])]
        place = look.FIRST_GROUP + len(asked.groups) - 1
        full = Answer(told, [os.urandom(243)] * asked.sums, [(place, os.urandom(243))] * asked.plain)
        body = full.encode(asked)
        assert len(body) == asked.answer_size
        assert Answer.parse(asked, body) == full


def test_4032_live_mailboxes_of_a_fortnight_are_asked_for_in_one_look_of_less_than_10_kilobytes() -> None:
    """A day's mailboxes are one group: 14 of them and two days to come, of 32 that a look always asks for."""
    asked = ask(192, 10, 0, 32, 0)
    assert len(asked.encode()) == 661 and asked.answer_size == 16 + 64 + 192 * 6 + 10 * 243 == 3662
    with_old = ask(192, 10, 10, 32, 240)  # while mailboxes of their own are alive
    assert len(with_old.encode()) < 10_000


@pytest.mark.parametrize(
    "changed",
    [
        {"digests": 1025}, {"sums": 65}, {"plain": 65}, {"seed": bytes(15)}, {"digests": -1}, {"sums": 256},
        {"groups": [Group(bytes(16), 0, 0)] * 65}, {"groups": [Group(bytes(15), 0, 0)]},
        {"groups": [Group(bytes(16), 2, 1)]}, {"groups": [Group(bytes(16), 0, 65536)]},
        {"groups": [Group(bytes(16), 0, 10_000)] * 2}, {"old": [(bytes(32), 0)] * 301},
        {"old": [(bytes(31), 0)]}, {"old": [(bytes(32), 256)]}, {"seed": bytes(17)}, {"old": [(bytes(33), 0)]},
        {"groups": [Group(bytes(17), 0, 0)]}, {"old": [(bytes(32), -1)]}, {"groups": [Group(bytes(16), -1, 0)]},
        {"groups": [Group(bytes(16), 0, 8192), Group(bytes(16), 1, 8194)]},
        {"groups": [Group(bytes(16), 0, 0)] * 64, "old": [(bytes(32), 0)] * 290},
    ],
)  # fmt: skip
def test_a_look_that_asks_for_too_much_is_not_made(changed: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        replace(ask(), **changed).encode()


@pytest.mark.parametrize(
    "changed",
    [
        {"digests": 0, "sums": 0, "plain": 0, "groups": [], "old": []},
        {"digests": 1024, "sums": 64, "plain": 64},
        {"groups": [Group(bytes(16), 5, 5)] * 64},
        {"groups": [], "old": [(bytes(32), 255)] * 300},
        {"groups": [Group(bytes(16), 0, 8192)] * 2},
        {"groups": [Group(bytes(16), 65535, 65535)]},
        {"groups": [Group(bytes(16), 0, 0)] * 16, "old": [(bytes(32), 0)] * 299},  # 10204 bytes
    ],
)
def test_a_look_may_ask_for_just_as_much_as_is_allowed(changed: dict[str, Any]) -> None:
    asked = replace(ask(), **changed)
    assert Look.parse(asked.encode()) == asked


def test_bodies_that_are_no_look_are_refused() -> None:
    body = ask().encode()
    wrong = [b"", body[:-1], body + b"\0", body[: look.HEAD], body[:20] + b"\x41" + body[21:], bytes(look.MAX_BODY + 1)]
    wrong += [b"\x01\x04" + body[2:], body[:2] + b"\x41" + body[3:], body[:3] + b"\x41" + body[4:]]
    wrong.append(ask(count=1, old=0).encode()[:-4] + b"\1\0\0\0")  # begins behind what it knows
    for each in wrong:
        with pytest.raises(FormatError):
            Look.parse(each)


def test_an_answer_that_is_short_or_long_or_to_another_look_is_refused() -> None:
    asked = ask()
    body = answer_to(asked).encode(asked)
    Answer.parse(asked, body)
    another_group = replace(asked, groups=[Group(os.urandom(16), 0, 0), *asked.groups[1:]])
    for other in (another_group, replace(asked, seed=os.urandom(16))):
        with pytest.raises(FormatError, match="another look"):
            Answer.parse(other, body)
    for wrong in (b"", body[:-1], body + b"\0", body[:16], body * 2):
        with pytest.raises(FormatError):
            Answer.parse(asked, wrong)


def test_an_answer_that_contradicts_itself_is_refused() -> None:
    asked = ask()
    body = answer_to(asked).encode(asked)
    at = len(body) - 3 * look.PLAIN
    counts = look.BOUND
    wrong = [
        body[:counts] + b"\6\0\0\0" + body[counts + 4 :],  # more digests than there is room for
        body[:counts] + b"\xff\xff\xff\xff" + body[counts + 4 :],
        body[:at] + b"\2\0" + body[at + 2 :],  # a mailbox that was not asked for
        body[:at] + b"\2\2" + body[at + 2 :],  # a group that was not
        body[:at] + b"\1\2" + body[at + 2 :],  # not in order
        body[:at] + b"\xff\xff" + body[at + 2 :],  # something after the filling
    ]
    for each in wrong:
        with pytest.raises(FormatError):
            Answer.parse(asked, each)
    for known, fits in ((65533, True), (65534, False)):  # of which two more are told
        nearly_full = replace(ask(), groups=[Group(bytes(16), known, known), Group(bytes(16), 0, 0)])
        body = answer_to(nearly_full).encode(nearly_full)
        if fits:
            Answer.parse(nearly_full, body)
        else:
            with pytest.raises(FormatError, match="more messages than it has room for"):
                Answer.parse(nearly_full, body)


def test_an_answer_is_not_made_that_does_not_fit() -> None:
    asked = ask()
    good = answer_to(asked)
    for wrong in (
        replace(good, told=[[bytes(6)] * 6, []]),
        replace(good, told=[[]]),
        replace(good, told=[[bytes(5)], []]),
        replace(good, sums=good.sums[1:]),
        replace(good, sums=[bytes(242)] * 2),
        replace(good, plain=[(0, bytes(243))] * 4),
    ):
        with pytest.raises(FormatError):
            wrong.encode(asked)
    for size in (242, 244):
        with pytest.raises(FormatError, match=f"243 bytes, not {size}"):
            look.digest(bytes(size))

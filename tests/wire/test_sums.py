"""Sums of messages: a few unknown ones come out for certain, of many some, and garbage never fits."""

import os
import random

import pytest
from anontrace.wire import look, sums
from anontrace.wire.sums import Equation

ROWS = 140


def asked(rows: list[bytes], unknown: set[int], count: int, seed: bytes | None = None) -> list[Equation]:
    """What is left of sums over one group for who knows all but some of its messages."""
    seed = os.urandom(look.SEED) if seed is None else seed
    marks = [look.is_marked(look.digest(row)) for row in rows]
    whole = sums.add_up(seed, count, [rows], [marks], look.ROW)
    some = [b"" if n in unknown else row for n, row in enumerate(rows)]
    known = sums.add_up(seed, count, [some], [marks], look.ROW)
    left = []
    for number, (all_of_it, part) in enumerate(zip(whole, known, strict=True)):
        drawn = sums.coefficients(seed, number, 0, marks)
        value = bytes(one ^ other for one, other in zip(all_of_it, part, strict=True))
        left.append(Equation({n: drawn[n] for n in unknown if drawn[n]}, value))
    return left


def some_rows() -> list[bytes]:
    return [random.randbytes(look.ROW) for _ in range(ROWS)]


@pytest.mark.parametrize(("count", "unknown"), [(10, 1), (10, 6), (10, 8), (16, 12), (64, 48)])
def test_as_many_unknown_messages_as_three_quarters_of_the_sums_are_solved(count: int, unknown: int) -> None:
    rows, solved = some_rows(), 0
    for _ in range(50):
        wanted = set(random.sample(range(ROWS), unknown))
        found = sums.solve(asked(rows, wanted, count))
        assert found.fits
        assert all(rows[n] == row for n, row in found.found.items())
        solved += found.found.keys() == wanted
    assert solved >= 47  # 1 in 255 systems falls short where there are just as many sums as messages


def test_of_very_many_unknown_messages_thin_sums_tell_some_long_before_all_are_known() -> None:
    rows = some_rows()
    marked = [n for n, row in enumerate(rows) if look.is_marked(look.digest(row))]
    while len(marked) != 6:  # as many as are to be expected among a hundred
        rows = some_rows()
        marked = [n for n, row in enumerate(rows) if look.is_marked(look.digest(row))]
    wanted = {*marked, *random.sample([n for n in range(ROWS) if n not in marked], 90)}
    left: list[Equation] = []
    known: list[int] = []
    for _ in range(10):  # 12 sums in each that take up all messages, and 3 that take up those that are marked
        found = sums.solve([*left, *asked(rows, wanted, 15)])
        left = list(found.left)
        assert found.fits and len(left) <= len(wanted)
        assert all(rows[n] == row for n, row in found.found.items())
        known.append(len(found.found))
    assert known[0] == 0
    assert 6 in known[1:3] and known[5] == 6
    assert known[-1] == len(wanted)


def test_a_sum_that_lies_shows_where_nothing_or_little_is_unknown_and_never_passes_for_a_message() -> None:
    rows = some_rows()
    for unknown in (0, 1, 5):
        given = asked(rows, set(range(unknown)), 10)
        lie = Equation(given[0].unknown, random.randbytes(look.ROW))
        assert not sums.solve([lie, *given[1:]]).fits
    for unknown in (9, 20):  # too many for that: what comes out has to fit the digest
        given = asked(rows, set(range(unknown)), 10)
        lies = [Equation(each.unknown, random.randbytes(look.ROW)) for each in given]
        for n, row in sums.solve(lies).found.items():
            assert look.digest(row) != look.digest(rows[n])


def test_what_each_sum_takes_up_follows_from_the_seed_its_number_the_place_of_the_group_and_the_marks() -> None:
    seed, marks = os.urandom(16), [n % 3 == 0 for n in range(1000)]
    drawn = {
        (which, number, group): sums.coefficients(each, number, group, marks)
        for which, each in enumerate((seed, os.urandom(16)))
        for number in range(8)
        for group in range(3)
    }
    assert len(set(drawn.values())) == len(drawn)
    for (_, number, _), each in drawn.items():
        assert sum(map(bool, each[::3])) > 300
        others = sum(map(bool, each)) - sum(map(bool, each[::3]))
        assert others == 0 if number % 4 == 3 else others > 640


def test_one_message_in_sixteen_is_marked_always_the_same() -> None:
    digests = [os.urandom(look.DIGEST) for _ in range(8000)]
    marks = [look.is_marked(each) for each in digests]
    assert 380 < sum(marks) < 620
    assert marks == [look.is_marked(each) for each in digests]


def test_messages_that_are_all_zeros_and_groups_that_are_empty_add_nothing() -> None:
    assert sums.add_up(bytes(16), 3, [[], [bytes(243)], [b""]], [[], [True], [True]], 243) == [bytes(243)] * 3
    assert sums.add_up(bytes(16), 0, [[bytes(243)]], [[True]], 243) == []
    assert sums.solve([]).fits and not sums.solve([]).found

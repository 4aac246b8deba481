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
    whole = sums.add_up(seed, count, [rows], look.ROW)
    known = sums.add_up(seed, count, [[b"" if n in unknown else row for n, row in enumerate(rows)]], look.ROW)
    left = []
    for number, (all_of_it, part) in enumerate(zip(whole, known, strict=True)):
        drawn = sums.coefficients(seed, number, 0, len(rows))
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


def test_of_sixty_unknown_messages_ten_sums_tell_some_now_and_then_and_seven_more_answers_all() -> None:
    rows, wanted = some_rows(), set(random.sample(range(ROWS), 60))
    assert sum(len(sums.solve(asked(rows, wanted, 10)).found) for _ in range(60)) >= 3
    left: list[Equation] = []
    for _ in range(8):  # 8 sums in each that take up all messages
        found = sums.solve([*left, *asked(rows, wanted, 10)])
        left = list(found.left)
        assert found.fits and len(left) <= 60
        assert all(rows[n] == row for n, row in found.found.items())
    assert found.found.keys() == wanted


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


def test_what_each_sum_takes_up_follows_from_the_seed_its_number_and_the_place_of_the_group() -> None:
    seed = os.urandom(16)
    drawn = {
        (which, number, group): sums.coefficients(each, number, group, 1000)
        for which, each in enumerate((seed, os.urandom(16)))
        for number in range(8)
        for group in range(3)
    }
    assert len(set(drawn.values())) == len(drawn)
    shares = [1 - drawn[0, number, 0].count(0) / 1000 for number in range(8)]
    assert all(share > 0.98 for number, share in enumerate(shares) if number % 4 != 3)
    assert 0.08 < shares[3] < 0.17 and 0.01 < shares[7] < 0.06


def test_messages_that_are_all_zeros_and_groups_that_are_empty_add_nothing() -> None:
    assert sums.add_up(bytes(16), 3, [[], [bytes(243)], [b""]], 243) == [bytes(243)] * 3
    assert sums.add_up(bytes(16), 0, [[bytes(243)]], 243) == []
    assert sums.solve([]).fits and not sums.solve([]).found

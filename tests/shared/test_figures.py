"""Exposure figures in 32 bits."""

import pytest
from anontrace_shared import figures
from anontrace_shared.errors import FormatError
from hypothesis import given
from hypothesis import strategies as st


@st.composite
def thirds(draw: st.DrawFn) -> tuple[int, int, int]:
    first = draw(st.integers(0, 14))
    last = draw(st.integers(first, 14))
    return first, last, draw(st.integers(1, last - first + 1))


@given(st.booleans(), thirds(), st.integers(-127, 20), st.integers(0, 80), st.integers(-60, 30), st.integers(0, 10**6))
def test_figures_read_back_rounded_down_and_clamped(
    verified: bool, when: tuple[int, int, int], strongest: int, below: int, tx_power: int, sightings: int
) -> None:
    mean = max(strongest - below, -128)
    packed = figures.pack(verified, *when, strongest, mean, tx_power, sightings)
    assert len(packed) == 4
    read = figures.unpack(packed)
    assert (read.verified, read.first, read.last, read.present) == (verified, *when)
    for value, got in ((strongest, read.strongest), (mean, read.mean)):
        value = min(max(value, -100), -38)
        assert value - 2 < got <= value
    tx_power = min(max(tx_power, -12), 9)
    assert tx_power - 3 < read.tx_power <= tx_power
    assert read.sightings <= sightings
    assert read.sightings >= min(sightings, 7168) * 0.8


@given(thirds(), st.integers(0, 31), st.integers(0, 31), st.integers(0, 2**9 - 1), st.booleans())
def test_what_can_be_read_packs_to_the_same_bytes(
    when: tuple[int, int, int], strongest: int, mean: int, power_and_sightings: int, verified: bool
) -> None:
    first, last, present = when
    strongest, mean = max(strongest, mean), min(strongest, mean)
    bits = verified | first << 1 | last << 5 | present << 9 | strongest << 13 | mean << 18 | power_and_sightings << 23
    data = bits.to_bytes(4, "little")
    assert figures.pack(*figures.unpack(data)) == data


@given(st.binary(max_size=8))
def test_arbitrary_bytes_are_figures_or_a_format_error(data: bytes) -> None:
    try:
        read = figures.unpack(data)
    except FormatError:
        return
    assert 1 <= read.present <= 15
    assert read.mean <= read.strongest


def test_the_codes_of_sightings_rise_and_each_names_its_least() -> None:
    least = [figures.sightings_of(code) for code in range(64)]
    assert least == sorted(set(least))
    assert [figures.sightings_code(n) for n in least] == list(range(64))
    assert [figures.sightings_code(n - 1) for n in least[1:]] == list(range(63))


@pytest.mark.parametrize(
    ("first", "last", "present"), [(3, 2, 1), (0, 15, 1), (-1, 2, 1), (0, 0, 0), (0, 0, 2), (0, 14, 16)]
)
def test_thirds_that_contradict_each_other_are_refused(first: int, last: int, present: int) -> None:
    with pytest.raises(FormatError):
        figures.pack(False, first, last, present, -50, -60, 0, 1)


def test_a_mean_above_the_strongest_is_refused() -> None:
    with pytest.raises(FormatError):
        figures.pack(False, 0, 0, 1, -60, -59, 0, 1)

"""Words in parts: any few of them give the text, and what is no part of it is noticed."""

from random import Random

import pytest
from anontrace.mixnet import parts
from anontrace_shared.errors import FormatError
from hypothesis import given, settings
from hypothesis import strategies as st

TEXT = "Kommen Sie am Montag zwischen 8 und 12 Uhr ins Gesundheitsamt, Lindenstra\u00dfe 3 \u260e 555 0100"
VISIBLE = st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Cn"))


@settings(max_examples=40)
@given(
    st.text(VISIBLE, min_size=43, max_size=150),
    st.lists(st.integers(0, 65535), min_size=12, max_size=20, unique=True),
    st.randoms(use_true_random=False),
)
def test_as_many_as_it_has_give_the_text_whichever_they_are_and_in_any_order(
    text: str, places: list[int], rng: Random
) -> None:
    numbers = parts.split(text)
    made = [parts.part(numbers, place) for place in places]
    assert {len(each) for each in made} == {42} and all(map(parts.is_part, made))
    rng.shuffle(made)
    assert parts.join(made[: len(numbers)]).text == text
    assert parts.join([*made, *made[:3]]).text == text
    assert parts.join(made[: len(numbers) - 1]) == parts.Joined(None, len(numbers) - 1, len(numbers))


def test_nothing_gives_nothing() -> None:
    assert parts.join([]) == parts.Joined(None, 0, 0)


@pytest.mark.parametrize("text", ["x" * 457, "a" * 60 + "\x07", "a" * 50 + "\0" + "b" * 9, "a" * 50 + "\u202e"])
def test_what_does_not_fit_or_does_not_show_is_not_split(text: str) -> None:
    with pytest.raises(FormatError, match="of a notification"):
        parts.split(text)


def test_parts_of_two_texts_or_that_were_made_up_do_not_go_together() -> None:
    numbers, others = parts.split(TEXT), parts.split(TEXT[::-1])
    one, two, three = (parts.part(numbers, place) for place in (1, 2, 3))
    for wrong in (
        [one, two, parts.part(others, 3)],
        [one, parts.part(others, 1)],
        [one, two, three, parts.part(others, 4)],
        [one, parts.part(parts.split("y" * 150), 2)],
        [one, two, three[:3] + b"\xff" * 39],
        [parts.part(others, 1), one],
        [one, two, parts.part(others, 4), three],
        [one[:3] + parts.PRIME.to_bytes(39, "big"), two, three],
        [b"\1" + one[1:]],
        [b"\x0d" + one[1:]],
        [b"Call us".ljust(42, b"\0")],
    ):
        with pytest.raises(FormatError, match="not of one text"):
            parts.join(wrong)


def test_a_text_is_no_part_and_fits_by_the_rule() -> None:
    for text in (b"", "\u260e".encode(), b" Call"):
        assert not parts.is_part(text.ljust(42, b"\0"))
    assert [parts.most(minutes) for minutes in (0, 5, 6, 15, 60, 65535)] == [42, 42, 76, 114, 456, 456]


def test_a_text_has_two_to_twelve_parts() -> None:
    for size, count in ((1, 2), (43, 2), (76, 2), (77, 3), (114, 3), (418, 11), (419, 12), (456, 12)):
        numbers = parts.split("x" * size)
        assert len(numbers) == count
        assert parts.join([parts.part(numbers, place) for place in range(count)]).text == "x" * size


def test_a_part_that_is_smaller_or_larger_than_it_should_be_is_noticed() -> None:
    made = [parts.part(parts.split(TEXT), place) for place in range(1, 5)]
    value = int.from_bytes(made[3][3:], "big")
    for other in (0, value - 1, value + 1, parts.PRIME - 1):
        for order in ((0, 1, 2, 3), (3, 2, 1, 0)):
            changed = [*made[:3], made[3][:3] + other.to_bytes(39, "big")]
            with pytest.raises(FormatError, match="not of one text"):
                parts.join([changed[place] for place in order])
    for twice in ([made[0], made[0][:3] + bytes(39)], [made[0], made[0][:3] + b"\0" + b"\xff" * 38]):
        for each in (twice, twice[::-1]):
            with pytest.raises(FormatError, match="not of one text"):
                parts.join(each)

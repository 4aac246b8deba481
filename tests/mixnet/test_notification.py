"""What a companion keeps of a notification: the text of it open, or a part of one."""

import pytest
from anontrace.mixnet.notification import Kind, Notification
from anontrace.mixnet.parts import MOST_PARTS
from anontrace.mixnet.sizes import CASE_ID, CHAIN_TOKEN, NOTIFICATION, REPORT_ID
from anontrace.mixnet.words import NOTE


def content(words: bytes) -> bytes:
    """A notification with these words (42), as it travels."""
    made = Notification(
        Kind.NOTIFICATION, b"c" * CASE_ID, b"r" * REPORT_ID, b"t" * CHAIN_TOKEN, "U07.1", 20, 50, 15, words=words
    )
    encoded = made.encode()
    assert len(encoded) == NOTIFICATION
    return encoded


@pytest.mark.parametrize("number", range(2, MOST_PARTS + 1))
def test_a_part_of_a_longer_text_is_kept_as_it_is(number: int) -> None:
    part = bytes((number,)) + b"A" * (NOTE - 1)
    kept = Notification.decode(content(part), kept=True)
    assert (kept.words, kept.message) == (part, "")


@pytest.mark.parametrize("first", [b" ", b"A", b"\x7e"])
def test_a_text_that_was_opened_is_a_text(first: bytes) -> None:
    text = (first + b"sk for Dr. Orange").ljust(NOTE, b"\0")
    kept = Notification.decode(content(text), kept=True)
    assert (kept.words, kept.message) == (b"", text.rstrip(b"\0").decode())


@pytest.mark.parametrize("first", [1, MOST_PARTS + 1])
def test_what_is_no_part_was_a_text_and_is_made_plain(first: int) -> None:
    words = bytes((first,)) + b"\3" + b"A" * (NOTE - 2)
    kept = Notification.decode(content(words), kept=True)
    assert kept.words == b"" and set(kept.message) <= set("A?\ufffd ")


def test_as_it_travels_its_words_are_sealed_whatever_they_begin_with() -> None:
    for first in range(256):
        words = bytes((first,)) + b"A" * (NOTE - 1)
        assert Notification.decode(content(words)).words == words


def test_no_text_is_one_too() -> None:
    kept = Notification.decode(content(bytes(NOTE)), kept=True)
    assert (kept.words, kept.message) == (b"", "")

"""Recorded contact lists: every spelling of the format is read, every fault is named with its place."""

import gzip
from pathlib import Path

import pytest

from tools.demo.contacts import ContactsError, Line, cut, join, parse, read

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "primaryschool.csv.gz"


def lines(*texts: str) -> list[Line]:
    return list(parse(texts, "list.csv"))


@pytest.mark.parametrize("text", ["40\t7\t9", "40 7 9", "40  7   9\n", "40;7;9", "40, 7, 9\r\n"])
def test_every_separator_is_read(text: str) -> None:
    assert lines(text) == [Line(40, "7", "9")]


def test_classes_are_read() -> None:
    assert lines("40\t7\t9\t3B\tTeachers") == [Line(40, "7", "9", ("3B", "Teachers"))]


@pytest.mark.parametrize("header", ["Time\tid1\tid2\tc1\tc2", "t,i,j", "\ufeffTime id1 id2"])
def test_a_header_line_is_passed_over(header: str) -> None:
    assert lines(header, "40 7 9") == [Line(40, "7", "9")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("40 7", "2 fields"),
        ("40 7 9 3B", "4 fields"),
        ("4o 7 9", "time '4o'"),
        ("-40 7 9", "time '-40'"),
        ("40.5 7 9", "time '40.5'"),
        ("40 7 7", "'7' is in contact with itself"),
        ("40;;9", "'' is no id"),
        ("40 ../7 9", "'../7' is no id"),
        ("Time id1 id2", "time 'Time'"),
    ],
)
def test_a_malformed_line_names_file_line_and_fault(text: str, fault: str) -> None:
    with pytest.raises(ContactsError, match=rf"^list\.csv, line 3: .*{fault}"):
        lines("20 7 9", "", text)


def test_plain_and_compressed_files_are_read_alike(tmp_path: Path) -> None:
    plain, compressed = tmp_path / "a.csv", tmp_path / "b.gz"
    plain.write_text("20 7 9\n40 7 9\n")
    compressed.write_bytes(gzip.compress(b"20 7 9\n40 7 9\n", mtime=0))
    assert read(plain) == read(compressed) == lines("20 7 9", "40 7 9")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "no contacts"),
        (b"\x1f\x8bno gzip at all", "cannot be read"),
        (gzip.compress(b"20 7 9\n" * 999, mtime=0)[:-12], "cannot be read"),
        (b"20 7 9\n\xff\xfe\x00", "not a text file"),
    ],
)
def test_a_file_that_is_no_contact_list_is_named(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(ContactsError, match=f"list.csv.*{fault}"):
        read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContactsError, match=r"nowhere\.csv: cannot be read: No such file"):
        read(tmp_path / "nowhere.csv")


def test_steps_join_to_stretches() -> None:
    assert join([0, 20, 60, 80, 100]) == [(0, 40), (60, 120)]


def test_the_window_is_cut_and_widened_to_slots() -> None:
    recording = cut(lines("300 a b", "620 a b", "640 b a", "640 a b", "900 a b"), "a", start=600, end=900)
    assert (recording.start, recording.end) == (600, 900)
    assert recording.seconds("b", "a") == 40
    assert recording.intervals() == {("a", "b"): [(620, 660)]}


def test_people_keeps_the_patient_and_the_busiest() -> None:
    recording = cut(lines("0 c d", "20 c d", "20 c a", "40 c d", "40 b a", "60 d a"), "a", people=3)
    assert recording.people == ("a", "c", "d")
    assert ("a", "b") not in recording.meetings


def test_a_class_is_kept_alone() -> None:
    recording = cut(lines("0 a b 3B 3B", "0 a x 3B 1A", "0 x y 1A 1A"), "a", group="3B")
    assert recording.people == ("a", "b")


def test_times_off_the_grid_are_shifted_or_refused() -> None:
    assert cut(lines("611 a b", "631 a b"), "a").meetings == {("a", "b"): (600, 620)}
    with pytest.raises(ContactsError, match="611 and 630"):
        cut(lines("611 a b", "630 a b"), "a")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"patient": None}, "no patient given; those with the most lines: b, a, c"),
        ({"patient": "z"}, "'z' is on no line of that window"),
        ({"patient": "a", "start": 900}, "no line of the contact list"),
        ({"patient": "a", "group": "3B"}, "and class 3B"),
        ({"patient": "a", "people": 1}, "too few people"),
    ],
)
def test_what_cannot_be_played_is_said(arguments: dict[str, object], fault: str) -> None:
    with pytest.raises(ContactsError, match=fault):
        cut(lines("0 a b", "20 a b", "0 c b"), **arguments)  # type: ignore[arg-type]


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded contact list is not beside the checkout")
def test_a_recorded_school_morning_is_cut() -> None:
    recording = cut(read(RECORDED), "1558", start=31220, end=43200, people=25)
    assert len(recording.people) == 25
    assert recording.start % 300 == recording.end % 300 == 0
    assert recording.start <= 31220 < recording.end <= 43200

"""Recorded contact lists: every spelling of the format is read, every fault is named with its place."""

import bz2
import gzip
import io
import lzma
import os
import zipfile
from pathlib import Path

import pytest
from anontrace.epidemic.contacts import files
from anontrace.epidemic.contacts.files import ContactsError
from anontrace.epidemic.contacts.lists import Line, parse, read

from tools.demo import __main__ as demo
from tools.demo.contacts import cut, join

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "primaryschool.csv.gz"
PLAIN = b"20 7 9\n40 7 9\n"


def lines(*texts: str) -> list[Line]:
    return list(parse(texts, "list.csv"))


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("text", ["40\t7\t9", "40 7 9", "40  7   9\n", "40;7;9", "40, 7, 9\r\n", "40|7|9", " 40 7 9 "])
def test_every_separator_is_read(text: str) -> None:
    assert lines(text) == [Line(40, "7", "9")]


def test_classes_are_read() -> None:
    assert lines("40\t7\t9\t3B\tTeachers") == [Line(40, "7", "9", ("3B", "Teachers"))]


@pytest.mark.parametrize(
    "text",
    ['"40","7","9"', '40 "7" "9"', "40.0,7,9", "4e1;7;9", "40,02;7;9", "00:00:40,7,9",
     "1970-01-01T00:00:40,7,9", "1970-01-01 00:00:40+00:00,7,9", "1970-01-01 00:00:40 7 9",
     "1970-01-01T01:00:40+01:00 7 9",
     '"1970-01-01 00:00:40.000000";"7";"9"', "1970-01-01T00:00:40Z\t7\t9"],
)  # fmt: skip
def test_quoted_fields_and_times_as_numbers_or_iso_8601_are_read(text: str) -> None:
    assert lines(text) == [Line(40, "7", "9")]


@pytest.mark.parametrize("header", ["Time\tid1\tid2\tc1\tc2", "t,i,j", "\ufeffTime id1 id2"])
def test_a_header_line_is_passed_over(header: str) -> None:
    assert lines(header, "40 7 9") == [Line(40, "7", "9")]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("i,j,t", "7,9,40"),
        ("ID_1;ID_2;Time (s)", "7;9;40"),
        ('"","person1","person2","rssi","timestamp"', '"1","7","9","-71","40"'),
        ("# timestamp,user_a,user_b,rssi", "40,7,9,-71"),
        ("% i j w t", "7 9 1 40"),
        (",t,i,j", "0,40,7,9"),
        ("t i j", "1 40 7 9"),  # numbers before the rows, as R writes them
        ("source,target,weight,time", "7,9,3,40"),
    ],
)
def test_columns_go_by_the_names_in_the_header(header: str, row: str) -> None:
    assert lines(header, row) == [Line(40, "7", "9")]


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("t,i,j,duration", "line 1: its lines last as long as the column 'duration' says"),
        ("# i j t End_Time", "line 1: its lines last as long as the column 'End_Time' says"),
        ("t,i,j,Day", "line 1: a part of the time is in the column 'Day'"),
        ("Time (ms),i,j", "line 1: the times are in 'ms': give them in seconds"),
        ("t [in minutes],i,j", "line 1: the times are in 'minutes'"),
    ],
)
def test_a_header_that_says_that_lines_are_no_moments_in_seconds_is_refused(header: str, fault: str) -> None:
    with pytest.raises(ContactsError, match=rf"^list\.csv, {fault}"):
        lines(header, "20,7,9,60")


@pytest.mark.parametrize("header", ["Time (s),i,j", "t [sec],i,j", "time (in seconds since midnight),i,j"])
def test_a_header_may_say_that_times_are_in_seconds(header: str) -> None:
    assert lines(header, "40,7,9") == [Line(40, "7", "9")]


def test_times_of_day_do_not_go_back() -> None:
    assert len(lines("23:59:40 a b", "23:59:40 a c")) == 2
    assert len(lines("1970-01-02T00:00:00 a b", "1970-01-01T23:59:40 a b")) == 2
    with pytest.raises(ContactsError, match=r"line 2: the time '00:00:00' has no date, and is before"):
        lines("23:59:40 a b", "00:00:00 a b")


def test_classes_go_by_the_names_in_the_header_too() -> None:
    assert lines("c1,c2,i,j,t", "3B,1A,7,9,40") == [Line(40, "7", "9", ("3B", "1A"))]


@pytest.mark.parametrize(
    "texts",
    [
        ["40 7 9 2.5", "60 7 9 1"],  # a weight
        ["40 7 9 -71", "60 7 9 -80"],
        ["0,40,7,9", "1,60,7,9"],  # numbers of the rows
        ["1,40,7,9,3B,3B", "2,60,7,9,3B,3B"],
        ["40 7 9 3B 3B 1", "60 7 9 3B 3B 1"],
        ["# comment", "40 7 9", "% another", "", "60 7 9"],
    ],
)
def test_a_column_more_and_comments_do_no_harm(texts: list[str]) -> None:
    assert [(line.time, *line.pair) for line in lines(*texts)] == [(40, "7", "9"), (60, "7", "9")]


@pytest.mark.parametrize(
    "texts",
    [
        ["7,9,20", "8,9,20", "7,9,40", "7,8,60"],
        ["1500 1600 1 20", "1400 1700 1 20", "1500 1600 1 40"],
        ["100 200 20", "100 200 40", "100 200 60"],
        ["ada ben 20", "ada ben 40"],
    ],
)
def test_columns_in_another_order_without_a_header_are_refused(texts: list[str]) -> None:
    with pytest.raises(
        ContactsError, match=r"^list\.csv, line 1: without a header column 1 is the time, but column \d"
    ):
        lines(*texts)


def test_rows_whose_first_column_counts_no_seconds_are_refused() -> None:
    with pytest.raises(ContactsError, match=r"times 1 and 2 do not lie on one grid.* A header such as t,i,j"):
        cut(lines("1 2 40", "1 3 20", "2 3 60"), "2")


def test_a_header_that_names_no_time_and_people_says_how_to() -> None:
    with pytest.raises(ContactsError, match=r"line 1: begin, end, who, whom: .* call these columns t, i, j"):
        lines("begin,end,who,whom", "0,20,7,9")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("40 7", "2 fields"),
        ("40 7 9 3B", "4 fields"),
        ("4o 7 9", "time '4o'"),
        ("-40 7 9", "time '-40'"),
        ("40.5 7 9", "time '40.5' is not a whole number"),
        ("1353304100000 7 9", "too large for seconds"),
        ("9" * 5000 + " 7 9", "time '" + "9" * 40 + "' is neither"),
        ("1e99 7 9", "time '1e99' is too large"),
        ("inf 7 9", "time 'inf'"),
        ("2009-13-01T00:00 7 9", "time '2009-13-01T00:00'"),
        ("40;;9", "'' is no id"),
        ("40 ../7 9", "'../7' is no id"),
        ('40,"7,9', "quotes do not match"),
        ("Time id1 id2", "time 'Time'"),
    ],
)
def test_a_malformed_line_names_file_line_and_fault(text: str, fault: str) -> None:
    with pytest.raises(ContactsError, match=rf"^list\.csv, line 3: .*{fault}"):
        lines("20 7 9", "", text)


def test_the_days_of_a_spreadsheet_are_not_taken_for_seconds() -> None:
    with pytest.raises(ContactsError, match=r"line 2: the times '43891.000231' and '43891.000463' .* one second"):
        lines("43891.000231 7 9", "43891.000463 7 9")
    assert [line.time for line in lines("40.0 7 9", "40.00 8 9", "60.0 7 9")] == [40, 40, 60]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        gzip.compress(PLAIN, mtime=0),
        bz2.compress(PLAIN),
        lzma.compress(PLAIN),
        zipped(list_csv=PLAIN),
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN.decode().encode("utf-16"),
        PLAIN.replace(b"\n", b"\r"),
    ],
    ids=["plain", "gzip", "bzip2", "xz", "zip", "utf-8-mark", "utf-16", "carriage-returns"],
)
def test_a_file_is_read_however_it_is_packed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list"
    path.write_bytes(content)
    assert read(path).lines == lines("20 7 9", "40 7 9")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_names_are_read_in_both_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "list"
    path.write_text("20 Zoë Jürgen\n40 Zoë Jürgen\n", encoding=encoding)
    assert {line.first for line in read(path).lines} == {"Zoë"}


def test_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text(
        "timestamp,user_a,user_b,rssi\n0,a,-1,0\n0,a,b,-71\n300,b,b,0\n300,a,b,-80\n600,c,c,0\n600,a,-2,-90\n"
        "600,a,NA,0\n600,NaN,b,0\n600,None,null,0\n"
    )
    listed = read(path)
    assert [line.time for line in listed.lines] == [0, 300]
    assert listed.passed_over == (
        "2 lines of somebody with themselves",
        "5 lines with nobody known",
        "what is in rssi",
    )


def damaged(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(byte ^ 0x55 for byte in content[middle : middle + 20]) + content[middle + 20 :]


MUCH = "".join(f"{20 * number} {number % 97} {number % 89 + 100}\n" for number in range(2000)).encode()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "no contacts"),
        (b"20 7 7\n", "no contacts in it, only 1 line of somebody with themselves"),
        (b"\x1f\x8bno gzip at all", "cannot be read"),
        (gzip.compress(PLAIN * 999, mtime=0)[:-12], "cannot be read"),
        # What comes out before the damage is noticed may look like a bad line.
        (damaged(gzip.compress(MUCH, mtime=0)), ""),
        (damaged(lzma.compress(MUCH)), ""),
        (lzma.compress(MUCH)[:-40], "damaged or cut short"),
        (damaged(bz2.compress(MUCH)), ""),
        (damaged(zipped(list_csv=MUCH)), ""),
        (zipped(list_csv=MUCH)[:-30], "damaged or cut short"),
        (zipped(a=PLAIN, b=PLAIN), "holds 2 files instead of one"),
        (zipped(**{"[Content_Types].xml": b"", "xl": b""}), "save it as text"),
        (b"\x28\xb5\x2f\xfd" + bytes(99), "packed by zstd"),
        (bytes(257) + b"ustar\x0000" + bytes(248) + PLAIN, "is a tar archive: unpack it"),
        (gzip.compress(bytes(257) + b"ustar  \x00" + bytes(248) + PLAIN, mtime=0), "is a tar archive: unpack it"),
        (b"20 7 9\n\xff\xfe\x00", "not a text file"),
        (b"\xff\xfe2\x000", "not a text file"),
        (b"20 7 9" + b" " * 20_000, "more than 10,000 characters in line 1"),
    ],
)
def test_a_file_that_is_no_contact_list_is_named(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(ContactsError, match=f"list.csv.*{fault}") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_pipe_is_no_contact_list_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list.csv")
    with pytest.raises(ContactsError, match=r"list.csv is no regular file"):
        read(tmp_path / "list.csv")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, lambda content: zipped(a=content)])
def test_a_small_file_that_unpacks_to_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack, limit: int = 1 << 20
) -> None:
    monkeypatch.setattr(files, "MAX_CHARACTERS", limit)
    path = tmp_path / "bomb"
    for content in (bytes(16 << 20), b"20 7 9\n" * (limit // 3)):
        path.write_bytes(pack(content))
        with pytest.raises(ContactsError, match=r"characters in line 1|is larger than .* 1 MiB, unpacked"):
            read(path)
    monkeypatch.setattr(files, "MAX_LINES", 1000)
    path.write_bytes(pack(b"\n" * 1001))
    with pytest.raises(ContactsError, match="is larger than 1,000 lines"):
        read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContactsError, match=r"nowhere\.csv cannot be read: No such file"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(ContactsError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_stretches_join() -> None:
    assert join([(60, 80), (0, 20), (20, 40), (80, 100), (70, 75)]) == ((0, 40), (60, 100))


def test_a_line_stands_for_the_time_before_it_and_the_window_is_widened_to_slots() -> None:
    recording = cut(lines("300 a b", "620 a b", "640 b a", "640 a b", "900 a b"), "a", start=600, end=900)
    assert (recording.start, recording.end, recording.step) == (600, 900, 20)
    assert recording.seconds("b", "a") == 40
    assert recording.meetings == {("a", "b"): ((600, 640),)}


def test_the_grid_is_found_out() -> None:
    recording = cut(lines("300 a b", "600 a b", "1200 a c"), "a")
    assert recording.step == 300
    assert recording.meetings == {("a", "b"): ((0, 600),), ("a", "c"): ((900, 1200),)}
    assert recording.seconds("a", "b") == 600
    recording = cut(lines("307 a b", "607 a b", "1207 a c"), "a", step=20)
    assert recording.meetings == {("a", "b"): ((280, 300), (580, 600)), ("a", "c"): ((1180, 1200),)}


def test_steps_that_are_no_whole_thirds_of_a_minute_count_as_badges_count_them() -> None:
    recording = cut(lines("30 a b", "60 a c", "90 a b"), "a")
    assert recording.step == 30
    assert recording.meetings[("a", "b")] == ((0, 30), (60, 90))
    assert recording.seconds("a", "b") == 80  # four thirds, two of them half


def test_people_keeps_the_patient_and_the_busiest() -> None:
    recording = cut(lines("0 c d", "20 c d", "20 c a", "40 c d", "40 b a", "60 d a"), "a", people=3)
    assert recording.people == ("a", "c", "d")
    assert ("a", "b") not in recording.meetings


def test_a_class_is_kept_alone() -> None:
    recording = cut(lines("0 a b 3B 3B", "0 a x 3B 1A", "0 x y 1A 1A"), "a", group="3B")
    assert recording.people == ("a", "b")


def test_times_off_the_grid_are_shifted_or_refused() -> None:
    assert cut(lines("611 a b", "631 a b"), "a").meetings == {("a", "b"): ((580, 620),)}
    with pytest.raises(ContactsError, match="611 and 630"):
        cut(lines("611 a b", "630 a b"), "a")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"patient": None}, "no patient given; those with the most lines: b, a, c"),
        ({"patient": "z"}, "'z' is on no line of that window"),
        ({"patient": "a", "start": 900}, "no line of the contact list lies in that window; its times go from 0 to 20"),
        ({"patient": "a", "group": "3C"}, "no class is called '3C'; there are 1A, 3B"),
        ({"patient": "a", "group": "1A"}, "nobody of class 1A"),
        ({"patient": "a", "people": 1}, "too few people"),
    ],
)
def test_what_cannot_be_played_is_said(arguments: dict[str, object], fault: str) -> None:
    with pytest.raises(ContactsError, match=fault):
        cut(lines("0 a b 3B 3B", "20 a b 3B 3B", "0 c b 1A 3B"), **arguments)  # type: ignore[arg-type]
    with pytest.raises(ContactsError, match="times lie 86400 s apart: say STEP="):
        cut(lines("2009-10-01 a b", "2009-10-02 a b", "2009-10-03 a b"), "a")
    with pytest.raises(ContactsError, match="the list has no classes"):
        cut(lines("0 a b"), "a", group="3B")


@pytest.mark.parametrize("step", ["0", "-20", "15", "7200", "x"])
def test_a_step_that_badges_cannot_count_is_refused(step: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        demo.main(["--patient", "a", "--contacts", "list.csv", f"--step={step}"])
    assert ended.value.code == 2
    assert "--step" in capsys.readouterr().err


def test_how_a_list_is_taken_is_said_before_it_is_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "list.csv"
    path.write_text("t,i,j\n300,a,b\n600,a,b\n900,b,b\n900,a,c\n")
    assert demo.main(["--contacts", str(path), "--patient", "a", "--passer", "z"]) == 1
    said = capsys.readouterr()
    assert said.out == (
        "contact list: 3 lines, each for the 300 s before its time (their grid; STEP= overrules it); "
        "passed over: 1 line of somebody with themselves\n"
    )
    assert said.err == "error: 'z' cannot pass anything on: told by that rule are nobody\n"


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded contact list is not beside the checkout")
def test_a_recorded_school_morning_is_cut() -> None:
    listed = read(RECORDED)
    assert (len(listed.lines), listed.passed_over) == (125_773, ())
    recording = cut(listed.lines, "1558", start=31220, end=43200, people=25)
    assert (recording.step, len(recording.people)) == (20, 25)
    assert recording.start % 300 == recording.end % 300 == 0
    assert recording.start <= 31200 < recording.end <= 43200
    with pytest.raises(
        ContactsError, match="no class is called '3C'; there are 1A, 1B, 2A, 2B, 3A, 3B, 4A, 4B, 5A, 5B, T"
    ):
        cut(listed.lines, "1558", group="3C")

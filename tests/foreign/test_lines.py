"""What strangers say, on a terminal and in JSON: one line, and nothing in it that a terminal would obey."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from anontrace.companion import output
from anontrace.companion.errors import CompanionError
from anontrace.companion.exposures import presentation
from anontrace.companion.exposures.judging import TOLD, Exposure
from anontrace.companion.output import Output
from anontrace.foreign.lines import json_line, line, plain
from anontrace.mixnet.notification import Kind, Notification
from anontrace_shared.errors import FormatError

NASTY = {
    "escape": "\x1b[2J\x1b]0;owned\x07", "new line": "\nERROR all is lost", "return": "\rover", "tab": "\t",
    "backspace": "\b\b", "delete": "\x7f", "C1": "\x9b2J", "next line": "\x85", "override": "\u202egnp.exe",
    "isolate": "\u2066a\u2069", "mark": "\u200f", "zero width": "a\u200bb\u200c\u200d\ufeff",
    "separator": "\u2028x\u2029",
    "tag": "\U000e0041", "soft hyphen": "a\u00adb", "surrogate": "\udc80", "private": "\ue000",
}  # fmt: skip
WORDS = "Rufen Sie 555 0100 an: Gesundheitsamt Köln ☎ 健康"


@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY)
def test_whatever_it_is_comes_out_as_one_printable_line(nasty: str) -> None:
    for shown in (line(f"a{nasty}b"), plain(f"a{nasty}b"), json_line({"said": nasty}), json_line({nasty: 1}, False)):
        assert shown.isprintable()
    assert json.loads(json_line({"said": nasty}, only_ascii=False)) == {"said": nasty}


def test_words_of_any_language_stay_as_they_are() -> None:
    assert line(WORDS) == WORDS
    assert json_line({"said": WORDS}, only_ascii=False) == f'{{"said": "{WORDS}"}}'
    assert line("a\u00a0b\u3000c\td") == "a b c d"


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY)
def test_nothing_that_the_companion_says_is_raw(nasty: str, as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json)
    exposure = Exposure(
        case_id=bytes(16), report_id=bytes(8), state=TOLD, disease=nasty[:8], message=nasty, seconds={5_900_000: 900},
        rule_minutes=15, attenuation=60, received=1_800_000_000, passed_on=False,
    )  # fmt: skip
    out.show(presentation.document(exposure), lambda: presentation.told_lines(exposure))
    out.show({"crash_log": nasty}, lambda: [f"  {each}" for each in nasty.splitlines()])
    out.show({"name": nasty}, lambda: out.table(nasty, [nasty], [[nasty]]))
    output.warn(f"the network {nasty}")
    output.show_error(CompanionError(f"discovery refuses: {nasty}"), as_json)
    said = capsys.readouterr()
    for each in (said.out + said.err).split("\n"):
        assert each.isprintable(), each


def test_a_cell_is_no_markup() -> None:
    assert any("[red]x[/red]" in each for each in Output(False).table("t", ["c"], [["[red]x[/red]"]]))


REFUSED = {name: nasty for name, nasty in NASTY.items() if name not in ("private", "surrogate")}
SAMPLE = Notification(Kind.NOTIFICATION, bytes(16), bytes(8), bytes(96), "U07.1", 3, 60, 15, "MESSAGE")


@pytest.mark.parametrize("nasty", REFUSED.values(), ids=REFUSED)
def test_a_notification_does_not_take_it(nasty: str) -> None:
    with pytest.raises(FormatError, match=r"control or invisible"):
        dataclasses.replace(SAMPLE, message=nasty).encode()
    size = len(nasty.encode())
    forged = SAMPLE.encode().replace(b"MESSAGE" + bytes(51), nasty.encode() + bytes(58 - size))
    assert Notification.decode(forged).message == ""  # as it travels it is sealed, and nobody looks at it
    assert Notification.decode(forged, kept=True).message.isprintable()  # what was taken by an older program


def test_nor_does_its_disease_code() -> None:
    with pytest.raises(FormatError, match=r"disease code .* control"):
        dataclasses.replace(SAMPLE, disease="\x1b[2J").encode()
    forged = SAMPLE.encode().replace(b"U07.1\0\0\0", b"\x1b[2J\x7f\0\0\0")
    with pytest.raises(FormatError, match=r"disease code .* control"):
        Notification.decode(forged)


def test_words_of_any_language_are_taken() -> None:
    sent = dataclasses.replace(SAMPLE, message="Köln ☎ 健康")
    assert Notification.decode(sent.encode(), kept=True) == sent


def test_what_bleak_warns_of_does_not_reach_the_terminal_by_itself() -> None:
    code = "import logging, anontrace.companion.badge.radio; logging.getLogger('bleak.backends').warning('a name')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize(
    "command",
    [
        ["anontrace", "init"],
        ["anontrace", "--json", "init"],
        ["anontrace-server", "check"],
        ["anontrace-server", "check", "--json"],
        ["anontrace-server", "run"],
        ["anontrace-server", "authority", "reports", "--config"],
    ],
    ids=" ".join,
)
def test_a_name_on_the_command_line_comes_back_as_one_plain_line(command: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b[2J\nb\u202e"
    done = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:], str(folder)],
        env=os.environ | {"ANONTRACE_STATE": str(tmp_path / "state"), "PYTHONUTF8": "1"},
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert "b?" in done.stderr or "\\u202e" in done.stdout
    assert all(each.isprintable() for each in (done.stdout + done.stderr).splitlines())
    assert len(done.stderr.splitlines()) <= 1

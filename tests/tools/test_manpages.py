"""The man pages: everything that the command lines offer, as troff reads it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tools.manpages import PROGRAMS, context_of, page, walk

TREES = [
    (program, command, context)
    for program, group in PROGRAMS.items()
    for command, context in [
        (group, context_of(program, group)),
        *walk(group, context_of(program, group)),
    ]
]


def plain(text: str) -> str:
    """What a page says, without troff's escapes, and however its lines are broken."""
    return " ".join(text.replace("\\-", "-").replace("\\&", "").replace("\\e", "\\").split())


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    folder = tmp_path_factory.mktemp("man")
    done = subprocess.run(
        [sys.executable, "-m", "tools.manpages", str(folder)], capture_output=True, text=True, check=True
    )
    yield {Path(line).stem: Path(line) for line in done.stdout.splitlines()}


def test_each_program_has_a_page_and_each_command_is_in_it(pages: dict[str, Path]) -> None:
    assert set(pages) == {"anontrace", "anontrace-server", "anontrace-sim"}
    paths = {context.command_path for _, _, context in TREES}
    assert {"anontrace badge provision", "anontrace pass-on", "anontrace-server authority retract"} <= paths
    for program, command, context in TREES:
        said = plain(pages[program].read_text())
        assert f".B {context.command_path} {' '.join(command.collect_usage_pieces(context))}" in said


@pytest.mark.parametrize(("program", "command", "context"), TREES, ids=[each[2].command_path for each in TREES])
def test_every_option_is_there_with_what_it_does(
    program: str, command: click.Command, context: click.Context, pages: dict[str, Path]
) -> None:
    said = plain(pages[program].read_text())
    shown = [option for option in command.get_params(context) if isinstance(option, click.Option)]
    assert {"-h", "--help"} <= {name for option in shown for name in option.opts}
    for option in shown:
        record = option.get_help_record(context)
        assert record is not None
        assert f".TP .B {record[0]} {' '.join(record[1].split())}" in said
    for paragraph in (command.help or "").split("\n\n"):
        assert " ".join(paragraph.replace("\b", "").split()) in said.replace(".nf ", "").replace(".fi ", "")


def test_what_would_be_a_request_of_troff_is_text() -> None:
    @click.group()
    def program() -> None:
        """Speaks.

        .B is no request here, nor 'x, and a \\ is one.
        """

    made = page("program", program)
    assert "\\&.B is no request here, nor 'x, and a \\e is one." in made


@pytest.mark.parametrize("program", PROGRAMS)
def test_troff_finds_no_fault_with_a_page(program: str, pages: dict[str, Path]) -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("no groff here to read it")
    done = subprocess.run(
        [groff, "-man", "-ww", "-b", "-Tutf8", "-Kutf8", str(pages[program])], capture_output=True, check=True
    )
    assert done.stderr == b""
    shown = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout.decode())
    assert "SYNOPSIS" in shown and "--help" in shown

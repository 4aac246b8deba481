"""Man pages of the programs from their command lines' own help: `python -m tools.manpages FOLDER`.

Walks click's tree, commands that are loaded late too, and writes PROGRAM.1 for each program. Says nothing that --help
does not say.
"""

import inspect
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import click
from anontrace.backend.cli import group as server
from anontrace.companion.cli import anontrace
from anontrace.epidemic.cli import group as simulation

PROGRAMS: dict[str, click.Group] = {"anontrace": anontrace, "anontrace-server": server, "anontrace-sim": simulation}
_AS_IT_STANDS = "\b"  # click: what follows, up to an empty line, is not wrapped


def page(program: str, group: click.Group) -> str:
    """The man page of a program, in the language of man(7)."""
    version = metadata.version("anontrace")
    top = context_of(program, group)
    lines = [f'.TH {_escaped(program.upper())} 1 "" "anontrace {version}" "User Commands"']
    lines += [".SH NAME", f"{_escaped(program)} \\- {_escaped(_summary(group).rstrip('.'))}"]
    lines += [".SH SYNOPSIS", *_usage(group, top), ".SH DESCRIPTION", *_text(group.help), ".SH OPTIONS"]
    lines += [*_options(group, top), ".SH COMMANDS"]
    for command, context in walk(group, top):
        lines += [f".SS {_escaped(context.command_path.removeprefix(program).strip())}"]
        lines += [*_usage(command, context), *_text(command.help), *_options(command, context), *_text(command.epilog)]
    lines += [".SH NOTES", *_text(group.epilog)] if group.epilog else []
    return "\n".join(lines) + "\n"


def context_of(program: str, group: click.Group) -> click.Context:
    """The context that a program runs in, with its own settings: -h beside --help."""
    return click.Context(group, info_name=program, **group.context_settings)


def walk(group: click.Group, above: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Every command below a group, in the order of the help, a group before its commands; each with its context."""
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        if command is None or command.hidden:
            continue
        context = click.Context(command, info_name=name, parent=above)
        yield command, context
        if isinstance(command, click.Group):
            yield from walk(command, context)


def _summary(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "").partition("\n\n")[0].replace("\n", " ")


def _usage(command: click.Command, context: click.Context) -> list[str]:
    pieces = " ".join(command.collect_usage_pieces(context))
    return [f".B {_escaped(context.command_path)}", _escaped(pieces), ".PP"]


def _options(command: click.Command, context: click.Context) -> list[str]:
    lines = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:  # an argument is told of by the usage and the text
            lines += [".TP", f".B {_escaped(record[0])}", _escaped(record[1])]
    return [*lines, ".PP"] if lines else []


def _text(text: str | None) -> list[str]:
    """Paragraphs of a help text; those that click does not wrap stay as they are."""
    lines = []
    for paragraph in inspect.cleandoc(text or "").split("\n\n"):
        first, _, rest = paragraph.partition("\n")
        if first == _AS_IT_STANDS:
            lines += [".nf", *map(_escaped, rest.splitlines()), ".fi", ".PP"]
        elif paragraph.strip():
            lines += [_escaped(" ".join(paragraph.split())), ".PP"]
    return lines


def _escaped(text: str) -> str:
    """A line of text in which troff sees no request and no escape, and a dash stays the one that is typed."""
    shown = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for program, group in PROGRAMS.items():
        path = folder / f"{program}.1"
        path.write_text(page(program, group), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()

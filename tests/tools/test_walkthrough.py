"""The walkthrough in docs/ is what its tool writes: the same words and commands in the same order, and no old ones.

The story is told without being played, each output taken from the page; playing it is `python -m tools.walkthrough`.
"""

import asyncio
from unittest.mock import AsyncMock, MagicMock

import click
from anontrace.companion.cli import anontrace

from tools import walkthrough
from tools.manpages import context_of


class FromThePage(walkthrough.Pages):
    """Writes the pages anew, with the outputs that stand on the old one."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.commands: list[tuple[str, ...]] = []
        self._page = page

    async def show(self, _wearer, *arguments, answers=(), film=True):
        before = f"```console\n$ {' '.join(('anontrace', *arguments))}\n"
        assert before in self._page, f"the page does not show: {' '.join(arguments)}"
        self._page = self._page.partition(before)[2]
        output = self._page.partition("\n```\n")[0]
        self._text.append(f"{before}{output}\n```\n")
        self.commands.append(arguments)
        return output

    def written(self) -> str:
        return "\n".join(self._text)


def told() -> tuple[str, FromThePage]:
    page = (walkthrough.DOCS / "walkthrough.md").read_text()
    pages = FromThePage(page)
    people, air, backend = AsyncMock(), AsyncMock(now=0.0, set_range=MagicMock()), AsyncMock()
    backend.seconds_under_way = lambda _sent: -2
    people.run.return_value = "CODE-OF-THE-LOG"
    asyncio.run(walkthrough.story(pages, people, people, air, backend))
    return page, pages


def test_the_page_is_what_the_tool_writes():
    page, pages = told()
    assert pages.written() == page


def test_every_command_on_the_page_is_one_of_the_programs():
    _, pages = told()
    for arguments in pages.commands:
        command, rest, context = anontrace, list(arguments), context_of("anontrace", anontrace)
        while isinstance(command, click.Group):
            command = command.get_command(context, name := rest.pop(0))
            assert command is not None, arguments
            context = click.Context(command, info_name=name, parent=context)
        command.make_context(name, rest, parent=context.parent)  # takes the options, and does nothing

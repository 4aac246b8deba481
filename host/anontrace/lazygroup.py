"""A group of commands, each loaded only when it is called or its help is shown: loading all takes longer than most of
them do."""

import importlib
from collections.abc import Mapping
from typing import Any

import click

# Of every program's command line. Click keeps what the first context of a command says, so all give it these.
SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}


class LazyGroup(click.Group):
    """`modules`: in which module of `package` each command is, under its own name with underscores for dashes."""

    def __init__(self, *arguments: Any, package: str, modules: Mapping[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._package = package
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._modules:
            return None
        module = importlib.import_module(f"{self._package}.{self._modules[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:  # click looks for similar ones among those that are loaded
            raise click.NoSuchCommand(error.command_name, possibilities=self._modules, ctx=ctx) from None

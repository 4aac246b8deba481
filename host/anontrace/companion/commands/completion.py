"""`anontrace completion`: what makes a shell complete the commands."""

import click

from anontrace.companion.context import Context, pass_context
from anontrace.companion.output import AsIs

_HOW = {
    "bash": 'eval "$(anontrace completion bash)"      # in ~/.bashrc',
    "zsh": 'eval "$(anontrace completion zsh)"       # in ~/.zshrc, after compinit',
    "fish": "anontrace completion fish | source       # in ~/.config/fish/config.fish",
}


@click.command(epilog="\b\n" + "\n".join(_HOW.values()))
@click.argument("shell", type=click.Choice(list(_HOW)))
@pass_context
def completion(context: Context, shell: str) -> None:
    """Print the completion script for a shell.

    Put the line for your shell into its start-up file:
    """
    from click.shell_completion import get_completion_class

    program = click.get_current_context().find_root().command
    found = get_completion_class(shell)
    assert found is not None
    script = found(program, {}, "anontrace", "_ANONTRACE_COMPLETE").source()
    context.output.show({"shell": shell, "script": script}, lambda: [AsIs(script)])

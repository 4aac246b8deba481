"""What every command is given: the state folder, the adapter, the output, and the way to the backend."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anontrace.companion.output import Output

if TYPE_CHECKING:
    from anontrace.companion.servers import Servers
    from anontrace.companion.state import State

SYSTEM_ADAPTER = "system"


@dataclass(frozen=True)
class Context:
    """The global options. State and servers are opened by the command that needs them, and loaded only then."""

    folder: Path
    adapter: str
    output: Output

    def reading(self) -> "AbstractContextManager[State]":
        """The state, for a look."""
        from anontrace.companion import state

        return state.reading(self.folder)

    def changing(self) -> "AbstractContextManager[State]":
        """The state, for changes, with the lock held."""
        from anontrace.companion import state

        return state.changing(self.folder)

    def servers(self, state: "State") -> "Servers":
        """The servers of the network that this state folder belongs to; a context manager."""
        from anontrace.companion.servers import Servers

        return Servers(state.network)


pass_context: Callable[[Callable[..., Any]], Callable[..., Any]] = click.make_pass_decorator(Context)

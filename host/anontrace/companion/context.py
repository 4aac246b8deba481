"""What every command is given: the state folder, the adapter, the output, and the way to the backend."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anontrace.companion.output import Output

if TYPE_CHECKING:
    from anontrace.companion.network.servers import Servers
    from anontrace.companion.store.state import State

SYSTEM_ADAPTER = "system"


@dataclass(frozen=True)
class Context:
    """The global options. State and servers are opened by the command that needs them, and loaded only then."""

    folder: Path
    adapter: str
    output: Output

    @cached_property
    def _key(self) -> bytes:
        """The vault key. A command that opens the state several times asks for a passphrase once."""
        from anontrace.companion.store import state

        return state.vault_key(self.folder)

    def reading(self) -> "AbstractContextManager[State]":
        """The state, for a look; other commands go on meanwhile, so this is what to hold while somebody is asked."""
        from anontrace.companion.store import state

        return state.reading(self.folder, self._key)

    def changing(self) -> "AbstractContextManager[State]":
        """The state, for changes, with the lock held."""
        from anontrace.companion.store import state

        return state.changing(self.folder, self._key)

    def servers(self, state: "State") -> "Servers":
        """The servers of the network that this state folder belongs to; a context manager."""
        from anontrace.companion.network.servers import Servers

        return Servers(state.network)


pass_context: Callable[[Callable[..., Any]], Callable[..., Any]] = click.make_pass_decorator(Context)

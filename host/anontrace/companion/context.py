"""What every command is given: the state folder, the adapter, the output, and the way to the backend."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anontrace.companion.errors import CompanionError
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

    _vault: list[bytes] = field(default_factory=list, repr=False)  # the vault key, once it is known

    @property
    def key(self) -> bytes:
        """The vault key. A command that opens the state several times asks for a passphrase once."""
        if not self._vault:
            from anontrace.companion.store import state

            self.unlock(state.vault_key(self.folder))
        return self._vault[0]

    def unlock(self, key: bytes) -> None:
        """From now on this is the vault key."""
        self._vault[:] = [key]

    def speaking(self, output: Output) -> "Context":
        """The same, with its results going elsewhere."""
        return replace(self, output=output)

    def reading(self) -> "AbstractContextManager[State]":
        """The state, for a look; other commands go on meanwhile, so this is what to hold while somebody is asked."""
        from anontrace.companion.store import state

        return state.reading(self.folder, self.key)

    def changing(self) -> "AbstractContextManager[State]":
        """The state, for changes, with the lock held."""
        from anontrace.companion.store import state

        return state.changing(self.folder, self.key)

    @contextmanager
    def servers(self, state: "State") -> Iterator["Servers"]:
        """The servers of the network that this state folder belongs to; what they cost is noted."""
        from anontrace.companion.network.servers import Servers

        with Servers(state.network) as servers:
            try:
                yield servers
            finally:
                with suppress(CompanionError):  # it matters less than what went wrong
                    state.note_carried(servers.take_carried())


pass_context: Callable[[Callable[..., Any]], Callable[..., Any]] = click.make_pass_decorator(Context)

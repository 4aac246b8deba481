"""Whether the nodes of a cluster keep what they acknowledge: each is asked for its settings, replicas too.

A fail-over makes a master of a replica, which has settings of its own. Nothing is read from the cluster, or
acknowledged, while a node is set in a way that could lose data. Never changes a setting.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

from anontrace.backend.errors import StoreError

from .links import Address, Unanswered, Unsent
from .topology import Node, Topology

_ASK_SECONDS = 3.0
_AGAIN_SECONDS = 0.5
# Setting, the one value that keeps what was acknowledged, and what becomes of it with another.
_SETTINGS = (
    ("appendonly", "yes", "what was acknowledged lives in memory only"),
    ("appendfsync", "always", "what was acknowledged is not on the disk yet"),
    ("no-appendfsync-on-rewrite", "no", "what was acknowledged is not on the disk while it rewrites its file"),
)
_KVROCKS_SETTINGS = (("rocksdb.write_options.sync", "yes", "what was acknowledged is not on the disk yet"),)


class Durability:
    """What is known of the nodes' settings. A node that was connected to anew has to be asked again."""

    def __init__(self, topology: Topology, user: str | None) -> None:
        self._topology = topology
        self._user = user or "default"
        self._asked: dict[Address, int] = {}  # the connection of those that are set well
        self._faults: dict[Address, str] = {}
        self._silent: dict[Address, str] = {}  # why those say nothing that do not

    async def begin(self, patience: float) -> None:
        """Ask every node, and wait so many seconds for those that do not answer, since they may be about to be given
        up by the cluster. StoreError if one is not set well, or says nothing."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while True:
            await self._ask(self._topology.nodes)
            self.check()
            if not self._silent:
                return
            if loop.time() > deadline:
                address, reason = next(iter(self._silent.items()))
                raise StoreError(f"{_place(address)}: this node of the store's cluster does not answer: {reason}")
            await asyncio.sleep(_AGAIN_SECONDS)
            await self._topology.refresh(self._topology.seen)

    async def look(self) -> None:
        """Ask every node again."""
        await self._ask(self._topology.nodes)

    def check(self) -> None:
        """StoreError if a node is known not to be set well."""
        for fault in self._faults.values():
            raise StoreError(fault)

    async def vouch(self, node: Node) -> None:
        """That a node that has just answered is set well. StoreError if it is not, or does not say; then nothing that
        it did is acknowledged."""
        if self._asked.get(node.address) != node.writes.connections:
            await self._ask([node])
            self.check()
            if node.address not in self._asked:
                raise StoreError(f"{_place(node.address)}: it does not say how it is set")

    async def _ask(self, nodes: Sequence[Node]) -> None:
        connections = [node.writes.connections for node in nodes]
        found = await asyncio.gather(*(self._fault(node) for node in nodes), return_exceptions=True)
        for node, connection, fault in zip(nodes, connections, found, strict=True):
            if isinstance(fault, BaseException):
                if not isinstance(fault, Unsent | Unanswered | ResponseError | TimeoutError):
                    raise fault
                self._asked.pop(node.address, None)
                self._silent[node.address] = str(fault) or "it takes too long"
            elif fault is None:
                self._faults.pop(node.address, None)
                self._asked[node.address] = connection
            else:
                self._asked.pop(node.address, None)
                self._faults[node.address] = f"{_place(node.address)}: {fault}"
            if not isinstance(fault, BaseException):
                self._silent.pop(node.address, None)
        listed = {node.address for node in self._topology.nodes}
        self._silent = {address: reason for address, reason in self._silent.items() if address in listed}
        self._faults = {address: fault for address, fault in self._faults.items() if address in listed}

    async def _fault(self, node: Node) -> str | None:
        async with asyncio.timeout(_ASK_SECONDS):
            memory, server = await asyncio.gather(*(_info(node, section) for section in ("memory", "server")))
            policy = memory.get("maxmemory_policy", "noeviction")
            if policy != "noeviction":
                return f"maxmemory-policy is {policy}: it would forget data; set noeviction"
            settings = _KVROCKS_SETTINGS if "kvrocks_version" in server else _SETTINGS
            try:
                values = await asyncio.gather(*(_setting(node, name) for name, _, _ in settings))
            except NoPermissionError:
                return f"its settings cannot be asked for: ACL SETUSER {self._user} +config|get"
            except ResponseError as error:
                return f"its settings cannot be asked for: CONFIG GET is answered by {error}"
        for (name, right, otherwise), value in zip(settings, values, strict=True):
            if value != right:
                return f"{name} is {value or 'not told'}: {otherwise}; set {name} {right}"
        return None


async def _info(node: Node, section: str) -> dict[str, str]:
    answer = bytes(await node.reads.call(("INFO", section))).decode(errors="replace")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in answer.splitlines())}


async def _setting(node: Node, name: str) -> str:
    answer: Iterable[Any] = await node.reads.call(("CONFIG", "GET", name))
    _, value = (*answer, b"", b"")[:2]
    return bytes(value).decode(errors="replace")


def _place(address: Address) -> str:
    return f"{address[0]}:{address[1]}"

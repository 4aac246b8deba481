"""Which node of the cluster is the master of which slot, by CLUSTER SLOTS; and the links to the nodes.

Asks whichever node answers, beginning with those of the configuration. Knows nothing of tables or queues.
"""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from anontrace.backend.errors import StoreError

from .links import Access, Address, Link, Unanswered, Unsent

_SLOTS = 16384
_LOOK_AGAIN_SECONDS = 0.2
_MAX_UNSEEN = 30  # looks at the cluster, a minute or so: what was asked of a node that is not in it now has ended


@dataclass(slots=True)
class Node:
    """A master or a replica: one link for reads, so that they do not wait for replicas, and one for writes."""

    address: Address
    reads: Link
    writes: Link
    replicas: int = 0  # that the cluster believes to be alive
    last_seen: int = 0  # at which look at the cluster it was in it

    async def close(self) -> None:
        """Let go. What it was asked for is not answered."""
        await self.reads.close()
        await self.writes.close()


class Topology:
    """The cluster as it was last seen. `copies`: replicas that are to have each write, as far as there are as many."""

    def __init__(self, seeds: Sequence[Address], access: Access, copies: int) -> None:
        self._seeds = list(seeds)
        self._access = access
        self._copies = copies
        self._nodes: dict[Address, Node] = {}
        self._masters: list[Node | None] = [None] * _SLOTS
        self._listed: dict[Address, Node] = {}
        self._refreshing = asyncio.Lock()
        self.seen = 0  # how often the cluster was looked at

    @property
    def masters(self) -> list[Node]:
        """All masters that hold slots."""
        held = {id(node): node for node in self._masters if node is not None}
        return list(held.values())

    @property
    def nodes(self) -> list[Node]:
        """All masters that hold slots, and the replicas that the cluster believes to be alive."""
        return list(self._listed.values())

    def master(self, slot: int) -> Node | None:
        """The master of a slot, None if the cluster has none now."""
        return self._masters[slot]

    async def refresh(self, after: int) -> None:
        """Look at the cluster, unless that was done since `seen` was `after`. StoreError if no node answers."""
        async with self._refreshing:
            if self.seen > after:
                return
            known = list({*self._nodes, *self._seeds})
            random.shuffle(known)
            reason = "it has no nodes"
            for address in known:
                try:
                    self._take(address, await self._node(address).reads.call(("CLUSTER", "SLOTS")))
                except (Unsent, Unanswered, ResponseError) as error:
                    reason = f"{address[0]}:{address[1]}: {error}"
                    continue
                self.seen += 1
                await self._forget_gone()
                return
            raise StoreError(f"no node of the store's cluster answers ({reason})")

    def _take(self, asked: Address, ranges: Sequence[Any]) -> None:
        masters: list[Node | None] = [None] * _SLOTS
        listed: dict[Address, Node] = {}
        for first, last, master, *replicas in ranges:
            node = self._node(_address(master, asked))
            node.replicas = len(replicas)
            masters[first : last + 1] = [node] * (last - first + 1)
            for each in (node, *(self._node(_address(replica, asked)) for replica in replicas)):
                each.last_seen = self.seen
                listed[each.address] = each
        self._masters, self._listed = masters, listed

    def _node(self, address: Address) -> Node:
        node = self._nodes.get(address)
        if node is None:

            async def needed(again: bool) -> int:
                if again:
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                    with contextlib.suppress(StoreError):
                        await self.refresh(self.seen)
                return min(self._copies, made.replicas)

            reads, writes = (Link(address, self._access, needed) for _ in range(2))
            node = made = self._nodes[address] = Node(address, reads, writes, last_seen=self.seen)
        return node

    async def _forget_gone(self) -> None:
        """Let go of nodes that have long not been in it: where machines come and go, each brings another address."""
        for address, node in list(self._nodes.items()):
            if address not in self._seeds and self.seen - node.last_seen > _MAX_UNSEEN:
                del self._nodes[address]
                await node.close()

    async def close(self) -> None:
        """Let go of all nodes."""
        for node in self._nodes.values():
            await node.close()


def _address(described: Sequence[Any], asked: Address) -> Address:
    """Host and port in an answer to CLUSTER SLOTS; a node that does not know its own host leaves it empty."""
    host = described[0].decode() if described[0] else ""
    return (host if host not in ("", "?") else asked[0], int(described[1]))

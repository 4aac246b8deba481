"""What a server that is only a mix does with a message that ends at it: nobody waits for it, so it is only counted."""

from collections.abc import Sequence

from anontrace.backend.observing.counters import Counters

from .items import Arrived
from .outbox import Deliver


def for_nobody(counters: Counters) -> Deliver:
    """A delivery that counts and forgets."""

    async def deliver(arrived: Sequence[Arrived]) -> None:
        counters.add("delivered_to_nobody", len(arrived))

    return deliver

"""Any first mix, and all of them together: does the client whose network address they see turn out to be notified?

They see when a client sends and how much, each message's header, and each header that the nymserver sends. A header
that comes from both ends would say that the client's SURB was used.
"""

from tests.adversary.crowd import Life
from tests.adversary.figures import Score


def headers_from_both(life: Life) -> int:
    """How many headers came from the client and from the nymserver."""
    sent = {message.header for message in life.network.from_nymserver}
    return sum(message.header in sent for message in life.network.from_client)


def sent_at_all(life: Life) -> int:
    return len(life.network.from_client)


def moments(life: Life) -> int:
    """How many times the client has sent."""
    return len({message.time for message in life.network.from_client})


SCORES: dict[str, Score] = {
    "headers from both ends": headers_from_both, "messages of the client": sent_at_all, "times it sent": moments
}  # fmt: skip

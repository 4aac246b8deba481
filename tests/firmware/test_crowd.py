"""The whole firmware in a crowd: 500 badges and 2,000 adverts a second for a minute, then twice 700.

Within 76 kB of heap, or 100 kB where MicroPython's words have 64 bits; within 100 or 136 kB with a companion.

That pulls the log in the middle of the last. The heap is locked while the interrupt handler runs. Figures:
`python -m tools.bench --only crowd`.
"""

import asyncio

import pytest
from anontrace_shared import log

from tools.bench.crowd import LOG_SECRET, PEOPLE, SECONDS, Crowd

FIRST_SLOT = 6_000_000
TABLE = 512


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Crowd:
    return Crowd(tmp_path_factory.mktemp("compiled"))


def heard(data: bytes) -> dict[int, int]:
    """Different addresses logged in each slot; none is there twice."""
    found = {}
    for block in log.blocks(data):
        assert isinstance(block, log.Block)
        contacts = log.open_block(LOG_SECRET, block)
        assert all(contact.figures.strongest == contact.figures.mean == -66 for contact in contacts)
        found[block.slot] = len({contact.address for contact in contacts})
        assert found[block.slot] == len(contacts)
    return found


def test_every_address_up_to_512_is_logged_within_the_heap_that_the_firmware_may_take(crowd: Crowd) -> None:
    outcome = crowd.play(SECONDS)
    first, later = PEOPLE
    expected = {FIRST_SLOT: first, FIRST_SLOT + 1: TABLE}
    assert heard(outcome.pulled) == expected, "what the companion pulled while 700 were around"
    assert heard(outcome.log) == expected | {FIRST_SLOT + 2: TABLE}
    assert outcome.info.dropped == later - TABLE and outcome.figures["dropped"] == 2 * (later - TABLE)
    assert outcome.figures["heap_used"] <= crowd.max_heap
    alone = crowd.play_within(crowd.max_heap, outcome.figures, SECONDS // 2)
    assert heard(alone.log) == expected | {FIRST_SLOT + 2: TABLE}
    pulled = crowd.play_within(crowd.max_heap_session, outcome.figures, companion=True)
    assert heard(pulled.pulled) == expected
    with pytest.raises(asyncio.IncompleteReadError):  # the heap is what it is said to be
        crowd.play_within(crowd.max_heap * 3 // 4, outcome.figures, SECONDS // 2)

"""How far an upload through the mixes has come, by the state alone.

`status` tells it without loading all that it takes to send something.
"""

from anontrace.companion.store.state import State
from anontrace.companion.store.states import READY
from anontrace.companion.store.uploads import MIXES, StoredUpload
from anontrace.mixnet import fragment

ARRIVED_SECONDS = 3 * 3600  # by `run`, what was sent is taken for arrived, or lost, after so long


def count(stored: StoredUpload) -> int:
    """In how many fragments an upload goes that is ready, with its opening."""
    return 1 + fragment.count(stored.opening().log_length)


def unsent(stored: StoredUpload) -> frozenset[int]:
    """Numbers of the fragments that are to be sent still, as far as is known."""
    return frozenset(range(count(stored))) if stored.unsent is None else stored.unsent


def waiting(state: State) -> list[StoredUpload]:
    """The uploads that are ready and go through the mixes, in the order in which `run` sends them."""
    return [each for each in state.uploads.all() if each.state == READY and each.way == MIXES]

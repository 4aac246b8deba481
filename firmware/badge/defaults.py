"""What the badge's state begins with, and what is left of it when it is given up. A guest."""

import struct

from anontrace_shared import names

from . import store

# Eleven adverts in a row, 500 ms apart, fall on eleven places of the scan interval 100 ms apart, and the window always
# covers one of them: whoever stays in range is heard within 6 seconds.
_DEFAULTS = (0, store.UNPROVISIONED, 0, 0, 0, 0, 0, 500, 150, 1100, 0, 0, 0, bytes(32), bytes(32), 0, 0, 0, 30, 0)


def apply(state, content):
    """Have the state say what this content does, and else what a new badge's says. `content`: None if there is none."""
    fresh = struct.pack(store.LAYOUT, store.VERSION, names.NO_OWNER, *_DEFAULTS)
    if content is None or content[0] != store.VERSION:
        content = fresh
    values = struct.unpack(store.LAYOUT, content[: len(fresh)] + fresh[len(content) :])
    for at, name in enumerate(store.FIELDS):
        setattr(state, name, values[2 + at])


def reset(state):
    """Forget all but the counters, of which none may come twice."""
    kept = state.boot, state.segment, state.broadcast, state.barred, state.crashes
    apply(state, None)
    state.boot, state.segment, state.broadcast, state.barred, state.crashes = kept

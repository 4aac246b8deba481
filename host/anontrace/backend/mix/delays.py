"""How long a mix holds a message: the one place where that is drawn (docs/protocol.md section 6)."""

import random

_random = random.SystemRandom()


def drawn(mean: float) -> float:
    """Seconds, exponentially distributed around a mean in seconds; 0 if that is 0."""
    return _random.expovariate(1 / mean) if mean else 0.0

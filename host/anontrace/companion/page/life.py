"""How long the page's server lives: while a page is open, and until what goes on is done.

A page holds a connection for as long as it is there. Between two pages there is none for a moment; a browser that runs
no script never has one, and is given the time to read.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINGER_SECONDS = 10.0  # from one page to the next, or a page that is loaded again
FIRST_SECONDS = 300.0  # for the first page, and between two of a browser without scripts


class Life:
    """`clock`: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pages = 0
        self._was_held = False
        self._last = clock()

    def seen(self) -> None:
        """The wearer has asked for something."""
        self._last = self._clock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Around the connection of a page."""
        self._pages += 1
        self._was_held = True
        try:
            yield
        finally:
            self._pages -= 1
            self._last = self._clock()

    @property
    def is_over(self) -> bool:
        """Whether the last page was closed."""
        if self._pages:
            return False
        return self._clock() - self._last > (LINGER_SECONDS if self._was_held else FIRST_SECONDS)

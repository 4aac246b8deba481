"""Ending soon when asked to, whatever the program is waiting for.

SIGTERM ends it as Ctrl+C does: by a KeyboardInterrupt, so that connections are closed and transactions rolled back.
Python sees a signal only between its own instructions, though; a call that does not return (a resolver, a closing
connection) is given a moment, and then the process ends as in a power cut, which the state folder survives.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from anontrace.companion.errors import INTERRUPTED

GRACE_SECONDS = 1.5


class Asked:
    """Whether it was SIGTERM that ended the block."""

    terminated = False


@contextmanager
def soon() -> Iterator[Asked]:
    """SIGINT and SIGTERM end the block by a KeyboardInterrupt, or the process after `GRACE_SECONDS`."""
    asked = Asked()

    def terminate(*_: object) -> None:
        asked.terminated = True
        signal.raise_signal(signal.SIGINT)  # asyncio has a handler of its own for it, which cancels what is under way

    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.signal(signal.SIGTERM, terminate)
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()
    try:
        yield asked
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGTERM, before)
        writer.close()


def _watch(reader: socket.socket) -> None:
    """Each signal's number arrives here even while Python waits for a call; nothing, when the block has ended."""
    with reader:
        while number := reader.recv(1):
            if number[0] in (signal.SIGINT, signal.SIGTERM):
                time.sleep(GRACE_SECONDS)
                reader.setblocking(False)
                if _has_ended(reader):
                    return
                os._exit(0 if number[0] == signal.SIGTERM else INTERRUPTED)


def _has_ended(reader: socket.socket) -> bool:
    try:
        while reader.recv(64):
            pass  # further signals
    except BlockingIOError:
        return False
    return True

"""Watchdog and crash log: what brings the badge back when it hangs, and what tells the companion why.

The crash log is text in crash.txt, a few kilobytes at most, kept across reboots. Never holds keys or addresses.
"""

import io
import os
import sys

import machine
from micropython import const

from . import store
from .version import BUILD, VERSION

SAFE_AFTER = 3  # crashes in a row

_PATH = const("crash.txt")
_MAX_BYTES = const(4096)
_TIMEOUT_MS = const(180000)
_RELAXED_MS = const(3600000)


class Watchdog:
    """Resets the chip unless fed every three minutes."""

    def __init__(self):
        self._dog = machine.WDT(timeout=_TIMEOUT_MS)

    def feed(self):
        """All is well."""
        self._dog.feed()

    @staticmethod
    def relax():
        """Give an hour: the firmware was stopped from the serial console, and the chip's watchdog cannot be."""
        machine.WDT(timeout=_RELAXED_MS).feed()


def hung():
    """Whether this boot is the watchdog's doing: the badge hung, which is a crash that leaves no traceback."""
    return machine.reset_cause() == machine.WDT_RESET


def record(error, uptime):
    """Append an exception's traceback, or a sentence, to the crash log and print it on the serial console."""
    text = io.StringIO()
    text.write("version %d.%d.%d build %d, uptime %d s\n" % (VERSION + (BUILD, uptime)))
    if isinstance(error, str):
        text.write(error + "\n")
    else:
        sys.print_exception(error, text)
    text = text.getvalue()
    print(text)
    try:
        size = os.stat(_PATH)[6]
    except OSError:
        size = 0
    try:
        with open(_PATH, "a" if size + len(text) <= _MAX_BYTES else "w") as file:
            file.write(text[-_MAX_BYTES:])
    except OSError:
        pass


def crash_log():
    """The crash log's bytes, empty if nothing has crashed."""
    try:
        with open(_PATH, "rb") as file:
            return file.read()
    except OSError:
        return b""


def forget():
    """Remove the crash log."""
    store.remove(_PATH)

"""The errors of the shared modules: few, so that a caller can tell what arrived wrong from what is broken here.

MicroPython allows an exception one native base only, so the tree as a whole hangs on ValueError. Messages never carry
secrets.
"""


class AnontraceError(ValueError):
    """What arrived, or was passed in, cannot be used."""


class FormatError(AnontraceError):
    """These bytes (or these values) are not what the protocol allows here."""


class AuthenticationError(AnontraceError):
    """The tag does not hold: another key, altered on the way, or out of order."""

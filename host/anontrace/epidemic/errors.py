"""What can go wrong before or while an epidemic is simulated: each message says what to do."""

from anontrace_shared.errors import AnontraceError


class EpidemicError(AnontraceError):
    """A simulation cannot be run as it was asked for."""

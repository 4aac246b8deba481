"""What can go wrong in a server: exceptions whose messages are written for the operator and never hold a secret."""

from anontrace_shared.errors import AnontraceError


class BackendError(AnontraceError):
    """A server cannot do what it was asked to do."""


class ConfigError(BackendError):
    """A configuration file is missing, malformed or contradicts another one."""


class StoreError(BackendError):
    """The store did not take or give data; nothing was acknowledged."""


class Overloaded(BackendError):
    """A bounded queue is full. `retry_after` says after how many seconds it makes sense to come again."""

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(BackendError):
    """A request that is not answered with success: an HTTP status and one short reason."""

    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class PeerError(BackendError):
    """Another server did not answer, or answered with something that cannot be used."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after

"""The socket that a server listens on."""

import socket

from .config import ServerConfig
from .errors import ConfigError


def bind(config: ServerConfig) -> socket.socket:
    """Bound, not listening yet. ConfigError if another has the port, or the address is not of this machine."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((config.host, config.port))
    except OSError as error:
        listening.close()
        raise ConfigError(f"{config.name}: cannot listen on {config.listen}: {error.strerror}") from None
    return listening

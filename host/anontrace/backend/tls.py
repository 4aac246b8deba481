"""TLS by the server itself: the certificate and key that server.toml names."""

import os
import ssl
from pathlib import Path

from .config import TlsSettings
from .errors import ConfigError


def server_context(folder: Path, settings: TlsSettings) -> ssl.SSLContext:
    """The context to serve with. ConfigError says which file is wrong."""
    certificate, key = folder / settings.certificate, folder / settings.key
    for path in (certificate, key):
        if not path.is_file():
            raise ConfigError(f"{path}: no such file")
    if os.name == "posix" and key.stat().st_mode & 0o077:
        raise ConfigError(f"{key}: others may read this secret; chmod 600 it")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError):
        raise ConfigError(f"{certificate}, {key}: not a certificate chain and its key in PEM") from None
    except OSError as error:
        raise ConfigError(f"{certificate}, {key}: cannot be read: {error.strerror}") from None
    return context


def _no_password() -> str:
    """A key that is sealed by a password must not make a server ask for it on a terminal."""
    return ""

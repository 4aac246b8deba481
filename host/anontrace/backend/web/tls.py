"""TLS by the server itself: the certificate and key that server.toml names."""

import contextlib
import logging
import os
import ssl
from pathlib import Path

from cryptography import x509

from anontrace.backend.config import TlsSettings
from anontrace.backend.errors import ConfigError
from anontrace.wire import trust

_log = logging.getLogger("anontrace.backend")

_TURNS = 4  # of a handshake, with some to spare
_OF_ITSELF = (9, 10, 62, 64)  # OpenSSL: not yet valid, expired, another host name, another address


def server_context(folder: Path, settings: TlsSettings) -> ssl.SSLContext:
    """The context to serve with. ConfigError says which file is wrong."""
    certificate, key = folder / settings.certificate, folder / settings.key
    for path in (certificate, key):
        if not path.is_file():
            raise ConfigError(f"{path}: no such file")
    if os.name == "posix" and key.stat().st_mode & 0o077:
        raise ConfigError(f"{key}: others may read this secret; chmod 600 it")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # No session is resumed: by its ticket a client would be known again at another address, and each costs 250 bytes.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET  # nor in TLS 1.2
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError):
        raise ConfigError(f"{certificate}, {key}: not a certificate chain and its key in PEM") from None
    except OSError as error:
        raise ConfigError(f"{certificate}, {key}: cannot be read: {error.strerror}") from None
    return context


def certificate_end(folder: Path, settings: TlsSettings) -> float | None:
    """Until when the certificate is valid that a server which starts now serves, unix seconds. None if OpenSSL takes
    the file, but its date cannot be read here; the log says so, and the server serves."""
    path = folder / settings.certificate
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc.timestamp()
    except (ValueError, OSError):
        _log.warning("%s: until when this certificate is valid cannot be read; /metrics does not tell it", path)
        return None


def disbelief(serving: ssl.SSLContext, host: str, ca: str | None) -> str | None:
    """Why clients that are to reach `host` would not believe the certificate, if they would not: a handshake with
    ourselves. Without `ca` (PEM) only what is wrong with the certificate itself counts, since which authorities other
    machines know cannot be told from here."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.client_context(ca).wrap_bio(to_client, to_server, server_hostname=host)
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    try:
        for _ in range(_TURNS):
            for side in (client, server):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message if ca is not None or error.verify_code in _OF_ITSELF else None
    except ssl.SSLError as error:
        return error.reason
    return None


def _no_password() -> str:
    """A key that is sealed by a password must not make a server ask for it on a terminal."""
    return ""

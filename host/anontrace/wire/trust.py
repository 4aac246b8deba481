"""Whose TLS certificates are believed: those of the network file's own authority, else the system's and Mozilla's; and
that no server's cookies are kept.

TLS hides who asks what from the way in between; that a server is the right one is settled by the pinned keys.
"""

import ssl
from datetime import datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import NamedTuple

import certifi

TIME, HOST, SIGNER, OTHER = "time", "host", "signer", "other"
_FILLING = 0x10  # SSL_OP_TLSEXT_PADDING, which Python has no name for: half of a ClientHello
# OpenSSL's numbers for what is wrong with a certificate: kind, and what to say of it.
_WRONG = {
    9: (TIME, "it is not valid yet"),
    10: (TIME, "it has expired"),
    18: (SIGNER, "it is signed by itself alone"),
    19: (SIGNER, "it is signed by an authority that is not believed here"),
    20: (SIGNER, "it is signed by an authority that is not known here"),
    21: (SIGNER, "it is signed by an authority that is not known here"),
    62: (HOST, "it is for another host name"),
    64: (HOST, "it is for another address"),
}


class Disbelief(NamedTuple):
    """Why a certificate is not believed: the kind (TIME, HOST, SIGNER or OTHER), and in words."""

    kind: str
    said: str


def client_context(ca: str | None) -> ssl.SSLContext:
    """A context that verifies certificates and host names. `ca`: certificates in PEM that alone are believed."""
    if ca is not None:
        return ssl.create_default_context(cadata=ca)
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def small_context(ca: str | None) -> ssl.SSLContext:
    """A client_context with short handshakes, for who begins nearly every request with one: without filling, and by
    X25519 alone. Beside it, newer versions of OpenSSL offer an exchange of 2.3 kB that holds against quantum computers;
    but what they could open then are messages that are sealed by X25519 too."""
    context = client_context(ca)
    context.options &= ~_FILLING
    if ssl.OPENSSL_VERSION_INFO >= (3,):  # older ones cannot be told, and offer no such thing
        context.set_ecdh_curve("X25519")
    return context


def checked_ca(text: str) -> str:
    """The certificates, if they are some. ValueError if not."""
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError):
        raise ValueError("must be certificates in PEM") from None
    return text


def no_cookies() -> CookieJar:
    """A jar that takes none: by a cookie a server would know a client again, and many would fill the memory."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def disbelief_in(error: BaseException) -> Disbelief | None:
    """Why a certificate was not believed, if an error comes from that; None for every other error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            kind, said = _WRONG.get(cause.verify_code, (OTHER, cause.verify_message))
            by = f" by this computer's clock ({datetime.now().astimezone():%Y-%m-%d %H:%M})" if kind == TIME else ""
            return Disbelief(kind, said + by)
        cause = cause.__cause__ or cause.__context__
    return None

"""Whose TLS certificates are believed: those of the network file's own authority, else the system's and Mozilla's; and
that no server's cookies are kept.

TLS hides who asks what from the way in between; that a server is the right one is settled by the pinned keys.
"""

import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy

import certifi


def client_context(ca: str | None) -> ssl.SSLContext:
    """A context that verifies certificates and host names. `ca`: certificates in PEM that alone are believed."""
    if ca is not None:
        return ssl.create_default_context(cadata=ca)
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
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

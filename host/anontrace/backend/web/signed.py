"""Requests that a key signs one by one: a JWT bound to method, path and body, used once (docs/protocol.md section 8).

So the health authority asks a nymserver, and whoever has the authority's key files asks its server for what no account
can be asked for: the first account.
"""

import secrets
from hashlib import sha256

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from fastapi import Request

from anontrace import clock
from anontrace.backend.errors import Refused
from anontrace.backend.store import Put, Store
from anontrace.mixnet import keydays

NYMSERVER, AUTHORITY = "nymserver", "authority"  # who is asked
MAX_SECONDS = 60
_CLOCK_TOLERANCE = 60
_TABLE = "authority-requests"
_REQUIRED = ["aud", "iat", "exp", "jti", "sub", "body"]
_MAX_ID = 64


def signed(signing_key: bytes, audience: str, method: str, path: str, body: bytes) -> dict[str, str]:
    """The header by which a request of whoever has this key (Ed25519 seed, 32) is believed."""
    now = int(clock.now())
    claims = {
        "aud": audience,
        "iat": now,
        "exp": now + MAX_SECONDS,
        "jti": secrets.token_hex(16),
        "sub": f"{method} {path}",
        "body": sha256(body).hexdigest(),
    }
    token = jwt.encode(claims, Ed25519PrivateKey.from_private_bytes(signing_key), algorithm="EdDSA")
    return {"Authorization": f"Bearer {token}"}


class SignedRequests:
    """Checks that a request is the health authority's, for this server, fresh, and comes for the first time."""

    def __init__(self, store: Store, authority_key: bytes, audience: str = NYMSERVER) -> None:
        self._store = store
        self._key = Ed25519PublicKey.from_public_bytes(authority_key)
        self._audience = audience

    async def check(self, request: Request) -> None:
        """Refused (401) unless the request is the authority's."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Refused(401, "the health authority's signature is needed")
        # Times are checked below against anontrace.clock; PyJWT would take the system's.
        options = {"require": _REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
        try:
            claims = jwt.decode(token, self._key, algorithms=["EdDSA"], audience=self._audience, options=options)  # type: ignore[arg-type]
            issued, expires = float(claims["iat"]), float(claims["exp"])
        except (jwt.InvalidTokenError, TypeError, ValueError):
            raise Refused(401, "this is not signed by the health authority") from None
        now = clock.now()
        if not issued - _CLOCK_TOLERANCE <= now <= expires + _CLOCK_TOLERANCE or expires - issued > MAX_SECONDS:
            raise Refused(401, "this request is not fresh; are both clocks right?")
        path = request.url.path
        if claims["sub"] != f"{request.method} {path}" or claims["body"] != sha256(await request.body()).hexdigest():
            raise Refused(401, "the signature is for another request")
        identity = str(claims["jti"])[:_MAX_ID].encode()
        put = Put(identity, b"")
        if not (await self._store.put_if_absent_many(_TABLE, [put], expires=keydays.day_at(now) + 1))[0]:
            raise Refused(401, "this request was made before")

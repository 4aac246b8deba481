"""Passkeys (WebAuthn) as a second factor: the challenge, and what a browser answers to it. Stores nothing."""

from urllib.parse import urlsplit

import webauthn
from pydantic import BaseModel
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import PublicKeyCredentialDescriptor

from anontrace.backend.errors import Refused

_MAX = 8  # of one account


class Passkey(BaseModel):
    """What is kept of one: its id and public key (base64url), how often it has signed, and what its owner calls it."""

    id: str
    key: str
    count: int
    name: str


class Passkeys:
    """For the portal at one origin, such as https://desk.example."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._host = urlsplit(origin).hostname or ""

    def to_make(self, account: str, there: list[Passkey]) -> tuple[str, str]:
        """What the browser is asked to make a passkey with (JSON), and the challenge in it. Refused (409) if the
        account has enough."""
        if len(there) >= _MAX:
            raise Refused(409, f"an account has {_MAX} passkeys at most")
        options = webauthn.generate_registration_options(
            rp_id=self._host, rp_name="Anontrace", user_name=account, exclude_credentials=_named(there)
        )
        return webauthn.options_to_json(options), bytes_to_base64url(options.challenge)

    def made(self, answer: str, challenge: str, name: str) -> Passkey:
        """The passkey that was made. Refused (422) if this is no such answer."""
        try:
            found = webauthn.verify_registration_response(
                credential=answer,
                expected_challenge=base64url_to_bytes(challenge),
                expected_rp_id=self._host,
                expected_origin=self._origin,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError, AttributeError):
            raise Refused(422, "the browser's answer makes no passkey: try again") from None
        return Passkey(
            id=bytes_to_base64url(found.credential_id),
            key=bytes_to_base64url(found.credential_public_key),
            count=found.sign_count,
            name=name,
        )

    def to_show(self, there: list[Passkey]) -> tuple[str, str]:
        """What the browser is asked to sign with a passkey (JSON), and the challenge in it."""
        options = webauthn.generate_authentication_options(rp_id=self._host, allow_credentials=_named(there))
        return webauthn.options_to_json(options), bytes_to_base64url(options.challenge)

    def shown(self, answer: str, challenge: str, there: list[Passkey]) -> Passkey | None:
        """The passkey that signed, counted on; None if none of these did."""
        try:
            wanted = webauthn.helpers.parse_authentication_credential_json(answer).id
            passkey = next(each for each in there if each.id == wanted)
            found = webauthn.verify_authentication_response(
                credential=answer,
                expected_challenge=base64url_to_bytes(challenge),
                expected_rp_id=self._host,
                expected_origin=self._origin,
                credential_public_key=base64url_to_bytes(passkey.key),
                credential_current_sign_count=passkey.count,
            )
        except (StopIteration, WebAuthnException, ValueError, KeyError, TypeError, AttributeError):
            return None
        return passkey.model_copy(update={"count": found.new_sign_count})


def _named(there: list[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(each.id)) for each in there]

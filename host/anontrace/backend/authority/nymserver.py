"""What the authority asks of the nymserver, signed request by request (docs/protocol.md section 8)."""

import asyncio
import json
from collections.abc import Collection
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from anontrace.backend.errors import PeerError, Refused
from anontrace.backend.nymserver.records import Answers, Keys, Letter
from anontrace.backend.peers import Peers
from anontrace.backend.web.http import JSON, json_in, reason_in
from anontrace.backend.web.signed import NYMSERVER, signed
from anontrace.mixnet import parts, words
from anontrace.mixnet.notification import Kind
from anontrace.mixnet.sizes import PART_PLACE, WORDS

_PLACES = 1 << 8 * PART_PLACE
_MAX_ANSWER = 1 << 28  # bytes; a report has about 100 for each exposure


class Nymserver:
    """The nymserver, as the authority sees it."""

    def __init__(self, peers: Peers, signing_key: bytes) -> None:
        self._peers = peers
        self._key = signing_key
        self._words_key = words.secret_of(signing_key)

    async def overview(self) -> dict[str, Any]:
        """All reports, the limits of their cases, and whether sending is stopped, as of section 9."""
        answer = await self._ask("GET", "/v1/reports", b"")
        # A nymserver of an earlier version says neither.
        return {"cases": {}, "stopped": False, **answer, "reports": list(answer["reports"])}

    async def switch(self, stopped: bool) -> None:
        """Stop all sending at the nymserver, or go on with it."""
        await self._ask("POST", "/v1/sending", json.dumps({"stopped": stopped}).encode())

    async def decide(self, report: str, decision: bytes) -> dict[str, Any]:
        """Hand over a decision (JSON). Refused with the nymserver's reason if it does not take it."""
        return await self._ask("POST", f"/v1/reports/{report}/decision", decision)

    async def words(
        self, report: str, kind: Kind, message: str, exposures: Collection[str] | None = None, key: bytes | None = None
    ) -> dict[str, str]:
        """A message sealed to each contact of a report (hex), by exposure (all, or some), or, with its retraction key,
        by the number of who was notified. One that is too long for a notification: to each another part of it."""
        body = json.dumps({"key": None if key is None else key.hex()}).encode()
        answer = await self._ask("POST", f"/v1/reports/{report}/keys", body)
        try:
            keys = Keys.model_validate_json(json.dumps(answer)).keys
        except ValidationError:
            raise PeerError("nymserver: what it answers holds no keys") from None

        def sealed() -> dict[str, str]:
            found, numbers = {}, parts.split(message) if len(message.encode()) > WORDS else None
            for name, each in keys.items():
                if exposures is None or name in exposures:
                    with suppress(ValueError):  # a key of low order: nobody's
                        to, report_id = (self._words_key, each), bytes.fromhex(report)
                        if numbers is None:
                            found[name] = words.seal(*to, report_id, kind, message).hex()
                        else:
                            content = parts.part(numbers, int(name) % _PLACES)
                            found[name] = words.seal_content(*to, report_id, kind, content).hex()
            return found

        return await asyncio.to_thread(sealed)

    async def retract(self, report: str, retraction: bytes) -> dict[str, Any]:
        """Have everybody told who was notified of a report. Refused with the nymserver's reason if it does not."""
        return await self._ask("POST", f"/v1/reports/{report}/retraction", retraction)

    async def answers(self, report: str) -> Answers:
        """What contacts who were told of a report answered, sealed."""
        answer = await self._ask("GET", f"/v1/reports/{report}/answers", b"")
        try:
            return Answers.model_validate_json(json.dumps(answer))
        except ValidationError:
            raise PeerError("nymserver: what it answers holds no answers of contacts") from None

    async def letter(self, letter: Letter) -> None:
        """Have a letter sent to who has answered. Refused (409) if something went by that header before."""
        await self._ask("POST", "/v1/letters", letter.model_dump_json().encode())

    async def limit(self) -> dict[str, Any]:
        """The limit over all cases: how the day stands, what waits, how chains grow."""
        return await self._ask("GET", "/v1/limit", b"")

    async def set_limit(self, settings: bytes) -> dict[str, Any]:
        """Set it (JSON). Refused with the nymserver's reason if it does not take it."""
        return await self._ask("POST", "/v1/limit", settings)

    async def _ask(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        url = await self._peers.nymserver_url() + path
        # What the nymserver sees is the path of the URL, whatever stands before /v1 in it.
        headers = signed(self._key, NYMSERVER, method, urlsplit(url).path, body) | {"Content-Type": JSON}
        answer = await self._peers.request("nymserver", method, url, _MAX_ANSWER, content=body, headers=headers)
        if answer.is_client_error:
            raise Refused(answer.status_code, f"the nymserver refuses: {reason_in(answer.content)}")
        document = json_in(answer.content) if answer.is_success else None
        if not isinstance(document, dict):
            raise PeerError(f"nymserver: answers {answer.status_code} and nothing that can be used")
        return document

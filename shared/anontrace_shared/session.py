"""The session between companion and badge: frames, Noise handshake, transport (docs/protocol.md, section 4). Sans-IO.

    HANDSHAKE --the other side's handshake frame--> ESTABLISHED        any error, close() --> CLOSED, for good

Holds at most one frame (978 bytes) of what has arrived. Never looks into a plaintext, never retries, never
reconnects. The badge's half is in `badge_session` and stands here too.
"""

# ruff: noqa: F403, F405
from . import noise
from .badge_session import *


class CompanionSession(Session):
    """The companion's side: `open()` gives the first frame at once.

    `advertised` are the 20 bytes by which the badge was found; `ephemeral` (32) is for vectors only.
    """

    def __init__(self, owner_key: bytes, advertised: bytes, ephemeral: bytes | None = None) -> None:
        initiator = noise.Initiator(owner_key, PROLOGUE + advertised, ephemeral)

        def shake(body: bytes) -> noise.Transport:
            initiator.read(body)
            return initiator.transport()

        super().__init__(shake)
        self._opening = frame(initiator.write())

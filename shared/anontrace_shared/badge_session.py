"""The badge's half of `session`: frames, Noise handshake, transport (docs/protocol.md, section 4). Sans-IO.

    HANDSHAKE --the other side's handshake frame--> ESTABLISHED        any error, close() --> CLOSED, for good

Holds at most one frame (978 bytes) of what has arrived. Never looks into a plaintext. Apart from
`session`, so that a badge need not hold code that it cannot use.
"""

from . import badge_transport
from .errors import FormatError

try:
    from collections.abc import Callable, Iterator
except ImportError:  # MicroPython, which does not evaluate annotations
    pass

PROLOGUE = b"anontrace/2 session"
LENGTH = 2
MAX_BODY = 976
MAX_PLAINTEXT = MAX_BODY - badge_transport.TAG  # 960

HANDSHAKE, ESTABLISHED, CLOSED = "handshake awaited", "established", "closed"


class FrameBuffer:
    """Cuts a byte stream into the bodies of its frames, of `least` to `most` bytes each (least is 1 or more).

    A length outside these is refused before anything is stored, and memory is taken for one body at a time.
    """

    def __init__(self, least: int, most: int) -> None:
        self.least = least
        self.most = most
        self._part = bytearray(LENGTH)  # what is being filled: a length, or a body
        self._filled = 0
        self._in_body = False

    def feed(self, chunk: bytes) -> "Iterator[bytes]":
        """Yields each body that `chunk` completes; to be exhausted. FormatError at a length that is not allowed.

        `least` and `most` may be changed between two bodies and hold from the next length on.
        """
        view = memoryview(chunk)
        at = 0
        while at < len(view):
            take = min(len(view) - at, len(self._part) - self._filled)
            self._part[self._filled : self._filled + take] = view[at : at + take]
            self._filled += take
            at += take
            if self._filled < len(self._part):
                return
            part = self._part
            self._filled = 0
            self._in_body = not self._in_body
            if self._in_body:
                length = part[0] | part[1] << 8
                if not self.least <= length <= self.most:
                    raise FormatError("a frame of %d bytes, allowed: %d to %d" % (length, self.least, self.most))
                self._part = bytearray(length)
            else:
                self._part = bytearray(LENGTH)
                yield bytes(part)


class Session:
    """What both sides share. `open` first, then `receive` and `send`; any error closes the session."""

    def __init__(self, shake: "Callable[[bytes], badge_transport.Transport]") -> None:
        """`shake` takes the body of the other side's handshake frame; it and its keys are dropped after that."""
        self.state = HANDSHAKE
        self._shake: Callable[[bytes], badge_transport.Transport] | None = shake
        self._transport: badge_transport.Transport | None = None
        self._frames = FrameBuffer(badge_transport.HANDSHAKE, badge_transport.HANDSHAKE)
        self._opening = b""

    @property
    def established(self) -> bool:
        """Whether the handshake is through and `send` may be used."""
        return self.state == ESTABLISHED

    def open(self) -> bytes:
        """This side's handshake frame (50), once, as soon as it can be sent; b"" otherwise."""
        opening, self._opening = self._opening, b""
        return opening

    def receive(self, chunk: bytes) -> list[bytes]:
        """The plaintexts that these bytes complete. FormatError or AuthenticationError: the session is closed."""
        if self.state == CLOSED:
            raise FormatError("the session is closed")
        plaintexts = []
        try:
            for body in self._frames.feed(chunk):
                if self._transport is not None:
                    plaintexts.append(self._transport.decrypt(body))
                elif self._shake is not None:
                    self._transport = self._shake(body)
                    self._shake = None
                    self._frames.least = badge_transport.TAG + 1
                    self._frames.most = MAX_BODY
                    self.state = ESTABLISHED
        except BaseException:
            self.close()
            raise
        return plaintexts

    def send(self, plaintext: bytes) -> bytes:
        """The frame that carries this plaintext (1 to 960); FormatError if it is too long or no session stands."""
        if self._transport is None:
            raise FormatError("no session: " + self.state)
        if not 1 <= len(plaintext) <= MAX_PLAINTEXT:
            raise FormatError("one frame carries 1 to 960 bytes")
        return frame(self._transport.encrypt(plaintext))

    def close(self) -> None:
        """Forget the keys and what has arrived. Final."""
        self.state = CLOSED
        if self._transport is not None:
            self._transport.wipe()
        self._transport = None
        self._shake = None
        self._opening = b""
        self._frames = FrameBuffer(badge_transport.HANDSHAKE, badge_transport.HANDSHAKE)


class BadgeSession(Session):
    """The badge's side: after the `receive` that completes the companion's handshake, `open()` gives the answer.

    `advertised` are the 20 bytes on the air: a handshake recorded while others were is refused like another owner key,
    before any scalar multiplication. `ephemeral` (32) is for vectors only.
    """

    def __init__(self, owner_key: bytes, advertised: bytes, ephemeral: bytes | None = None) -> None:
        from . import badge_noise  # a guest on the badge: gone again when the session stands

        responder = badge_noise.Responder(owner_key, PROLOGUE + advertised, ephemeral)

        def shake(body: bytes) -> badge_transport.Transport:
            responder.read(body)
            self._opening = frame(responder.write())
            return responder.transport()

        super().__init__(shake)


def frame(body: bytes) -> bytes:
    return len(body).to_bytes(LENGTH, "little") + body

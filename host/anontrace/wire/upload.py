"""The upload of a log to the nymserver, cut into chunks or fragments of one size (docs/protocol.md sections 7 and 8).

Never judges an authorization.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256

from anontrace_shared.errors import FormatError
from anontrace_shared.slots import slot_bytes

from anontrace.mixnet.fragment import OPENING, Fragment
from anontrace.mixnet.sizes import CASE_ID, CHAIN_TOKEN, CONTACT_ADDRESS, FRAGMENT_DATA
from anontrace.mixnet.sizes import UPLOAD_ID as UPLOAD_ID

from . import permit as permits

CHUNK = 16384
MAX_DAYS = 30  # that an upload may take
CHUNK_DATA = CHUNK - UPLOAD_ID - 4 - 4 - 2
REPLY = 32
_LENGTH = 4
_LIMIT = 1 << 32
_BY_PERMIT = 1
_BY_CHAIN = 2


@dataclass(frozen=True, slots=True)
class PermitAuthorization:
    """The patient's own upload: a permit of the health authority (139, or 129 of one up to 0.2)."""

    permit: bytes = field(repr=False)

    def encode(self) -> bytes:
        """140 bytes, or 130."""
        return bytes((_BY_PERMIT,)) + _exactly("permit", self.permit, permits.size_of(self.permit))


@dataclass(frozen=True, slots=True)
class ChainAuthorization:
    """A contact's upload: case (16), contact address (20) and slot at which it was told, chain token (96)."""

    case_id: bytes = field(repr=False)
    address: bytes = field(repr=False)
    slot: int = field(repr=False)
    chain_token: bytes = field(repr=False)

    def encode(self) -> bytes:
        """137 bytes."""
        return b"".join(
            (
                bytes((_BY_CHAIN,)),
                _exactly("case-ID", self.case_id, CASE_ID),
                _exactly("contact address", self.address, CONTACT_ADDRESS),
                slot_bytes(self.slot),
                _exactly("chain token", self.chain_token, CHAIN_TOKEN),
            )
        )


Authorization = PermitAuthorization | ChainAuthorization


@dataclass(frozen=True, slots=True)
class Opening:
    """What an upload begins with, and is judged by at first: who may, and how long the log is."""

    authorization: Authorization
    log_length: int

    def encode(self) -> bytes:
        """Authorization, length of the log (4): 144, 134 or 141 bytes."""
        if not 0 <= self.log_length < _LIMIT:
            raise FormatError("this log is too long for one upload")
        return self.authorization.encode() + self.log_length.to_bytes(_LENGTH, "little")

    @property
    def total(self) -> int:
        """Bytes of the upload as a whole."""
        return len(self.encode()) + self.log_length


def parse_opening(data: bytes) -> Opening:
    """The opening at the beginning of an upload, whatever follows it. FormatError if there is none."""
    authorization: Authorization
    kind = data[0] if data else None
    if kind == _BY_PERMIT:
        at = 1 + permits.size_of(data[1:])
        authorization = PermitAuthorization(data[1:at])
    elif kind == _BY_CHAIN:
        address_at = 1 + CASE_ID
        slot_at = address_at + CONTACT_ADDRESS
        token_at = slot_at + 4
        at = token_at + CHAIN_TOKEN
        slot = int.from_bytes(data[slot_at:token_at], "little")
        authorization = ChainAuthorization(data[1:address_at], data[address_at:slot_at], slot, data[token_at:at])
    else:
        raise FormatError("an upload begins with its kind of authorization, 1 or 2")
    if len(data) < at + _LENGTH:
        raise FormatError("the upload ends before its log begins")
    return Opening(authorization, int.from_bytes(data[at : at + _LENGTH], "little"))


@dataclass(frozen=True, slots=True)
class Upload:
    """An authorization and the log, a concatenation of sealed blocks; with a proof before it (commitment.py) and what
    it says of places behind it (places.py)."""

    authorization: Authorization
    log: bytes = field(repr=False)

    @property
    def opening(self) -> Opening:
        """What it begins with."""
        return Opening(self.authorization, len(self.log))

    def encode(self) -> bytes:
        """Authorization, length of the log (4), log."""
        return self.opening.encode() + self.log

    @property
    def log_hash(self) -> bytes:
        """SHA-256 of the log (32): what a permit names."""
        return sha256(self.log).digest()


def parse(data: bytes) -> Upload:
    """The upload that chunks or fragments made up. FormatError if it is none."""
    opening = parse_opening(data)
    if len(data) != opening.total:
        raise FormatError("the upload is not as long as it says")
    return Upload(opening.authorization, data[len(data) - opening.log_length :])


def fragments(upload: Upload, upload_id: bytes) -> list[bytes]:
    """An upload as payloads (239) for the nymserver: the opening, then the log, in order."""
    parts = [upload.opening.encode()]
    parts += [upload.log[at : at + FRAGMENT_DATA] for at in range(0, len(upload.log), FRAGMENT_DATA)]
    return [
        Fragment(upload_id, number, part.ljust(FRAGMENT_DATA, b"\0")).encode()
        for number, part in enumerate(parts, OPENING)
    ]


def opening_in(fragment: Fragment) -> Opening:
    """The opening in the fragment with its number. FormatError if it holds none, or anything behind it."""
    opening = parse_opening(fragment.data)
    if any(fragment.data[len(opening.encode()) :]):
        raise FormatError("the opening of this upload is not padded as it should be")
    return opening


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of an upload: `data` belongs at `offset` of `total` bytes."""

    upload_id: bytes = field(repr=False)
    total: int
    offset: int
    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        """16384 bytes. FormatError if the piece does not lie within the whole."""
        self._check()
        head = self.upload_id + self.total.to_bytes(4, "little") + self.offset.to_bytes(4, "little")
        return (head + len(self.data).to_bytes(2, "little") + self.data).ljust(CHUNK, b"\0")

    def _check(self) -> None:
        _exactly("upload-ID", self.upload_id, UPLOAD_ID)
        if not 0 < self.total < _LIMIT or not 0 <= self.offset < self.total:
            raise FormatError("this chunk lies outside its upload")
        if not 1 <= len(self.data) <= CHUNK_DATA or self.offset + len(self.data) > self.total:
            raise FormatError("this chunk has a length that cannot be")


def parse_chunk(data: bytes) -> Chunk:
    """The chunk in 16384 bytes. FormatError if it is none."""
    if len(data) != CHUNK:
        raise FormatError(f"a chunk has {len(data)} bytes instead of {CHUNK}")
    at = CHUNK - CHUNK_DATA
    total = int.from_bytes(data[UPLOAD_ID : UPLOAD_ID + 4], "little")
    offset = int.from_bytes(data[UPLOAD_ID + 4 : UPLOAD_ID + 8], "little")
    size = int.from_bytes(data[UPLOAD_ID + 8 : at], "little")
    if size > CHUNK_DATA or any(data[at + size :]):
        raise FormatError("this chunk is not padded as it should be")
    chunk = Chunk(data[:UPLOAD_ID], total, offset, data[at : at + size])
    chunk._check()
    return chunk


def chunks(upload: bytes, upload_id: bytes) -> list[bytes]:
    """An encoded upload in chunks of 16384 bytes, in order."""
    return [
        Chunk(upload_id, len(upload), at, upload[at : at + CHUNK_DATA]).encode()
        for at in range(0, len(upload), CHUNK_DATA)
    ]


class State(IntEnum):
    """How an upload stands after a chunk."""

    RECEIVING = 0
    ACCEPTED = 1
    REFUSED = 2


class Reason(IntEnum):
    """Why an upload was refused."""

    NONE = 0
    MALFORMED = 1
    PERMIT_INVALID = 2
    EXPIRED = 3
    LOG_DOES_NOT_MATCH = 4
    ALREADY_USED = 5
    TOO_LARGE = 6
    NOT_COMMITTED = 7


@dataclass(frozen=True, slots=True)
class Reply:
    """The nymserver's answer to a chunk: which offset it waits for, or how the upload ended."""

    state: State
    next_offset: int = 0
    reason: Reason = Reason.NONE

    def encode(self) -> bytes:
        """32 bytes."""
        return (bytes((self.state,)) + self.next_offset.to_bytes(4, "little") + bytes((self.reason,))).ljust(
            REPLY, b"\0"
        )


def parse_reply(data: bytes) -> Reply:
    """The answer in 32 bytes. FormatError if it is none."""
    if len(data) != REPLY or any(data[6:]):
        raise FormatError(f"an answer to a chunk has {REPLY} bytes, the last {REPLY - 6} of them zero")
    try:
        state, reason = State(data[0]), Reason(data[5])
    except ValueError:
        raise FormatError("there is no such answer to a chunk") from None
    if (state is State.REFUSED) != bool(reason):
        raise FormatError("an answer to a chunk gives a reason if it refuses, and only then")
    return Reply(state, int.from_bytes(data[1:5], "little"), reason)


def _exactly(name: str, value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise FormatError(f"the {name} of an upload has {len(value)} bytes instead of {size}")
    return value

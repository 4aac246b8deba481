"""What a log says of places: whose log it is, if a place's, and where its wearer was (docs/protocol.md section 8).

Of one size whatever it says, and behind every log that is handed in, so that neither shows who is a place nor who notes
places. Sealed to the nymserver's log key, like the records before it. Never reads or writes a log's records.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from anontrace_shared import hpke
from anontrace_shared.errors import FormatError

LABEL = 42  # bytes of a name or label, in UTF-8
MAX_NOTES = 32
MAX_SLOTS = 31 * 288  # of one note
_NOTE = 4 + 2 + LABEL
PLAIN = 1 + LABEL + MAX_NOTES * _NOTE  # 1579
KIND = 4  # of a block
SIZE = 1 + hpke.ENC + PLAIN + hpke.TAG + 4  # 1632
INFO = b"anontrace/1 places"
_SLOT_LIMIT = 1 << 32

# What kinds of places there are, by number; 0 is no place.
KINDS = (
    "", "other", "restaurant", "shop", "school", "workplace", "care", "worship", "transport", "culture", "sport",
    "lodging",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Note:
    """Where the wearer was in so many slots from one on."""

    first: int = field(repr=False)
    slots: int = field(repr=False)
    label: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Places:
    """Name and kind of the place whose log this is, both empty of a person's; and the notes, by rising slots."""

    name: str = field(default="", repr=False)
    kind: str = field(default="", repr=False)
    notes: tuple[Note, ...] = field(default=(), repr=False)

    def encode(self) -> bytes:
        """1579 bytes. FormatError says what does not fit."""
        _check(self)
        rows = [
            note.first.to_bytes(4, "little") + note.slots.to_bytes(2, "little") + _padded(note.label)
            for note in self.notes
        ]
        return (bytes((KINDS.index(self.kind),)) + _padded(self.name) + b"".join(rows)).ljust(PLAIN, b"\0")

    def __bool__(self) -> bool:
        return bool(self.name or self.notes)

    def within(self, first: int, last: int) -> "Places":
        """The same without notes that begin before the slot `first` or end after `last`."""
        notes = tuple(each for each in self.notes if first <= each.first and each.first + each.slots - 1 <= last)
        return Places(self.name, self.kind, notes)

    def at(self) -> Mapping[int, str]:
        """The label of each slot that has one."""
        return {slot: each.label for each in self.notes for slot in range(each.first, each.first + each.slots)}


NOWHERE = Places()


def decode(data: bytes) -> Places:
    """The places in 1579 bytes. FormatError if they are none."""
    if len(data) != PLAIN or data[0] >= len(KINDS):
        raise FormatError("these bytes say nothing of places")
    notes, head = [], 1 + LABEL
    for at in range(head, PLAIN, _NOTE):
        row = data[at : at + _NOTE]
        if not any(row):
            if any(data[at:]):
                raise FormatError("a note of a place is missing among others")
            break
        notes.append(Note(int.from_bytes(row[:4], "little"), int.from_bytes(row[4:6], "little"), _text(row[6:])))
    found = Places(_text(data[1:head]), KINDS[data[0]], tuple(notes))
    _check(found)
    return found


def of_slots(labels: Mapping[int, str], name: str = "", kind: str = "") -> Places:
    """Places whose notes are the labels of these slots. FormatError beyond 32 notes, or if a label is none."""
    notes: list[Note] = []
    for slot, label in sorted(labels.items()):
        last = notes[-1] if notes else None
        if last is not None and last.label == label and last.first + last.slots == slot and last.slots < MAX_SLOTS:
            notes[-1] = Note(last.first, last.slots + 1, label)
        else:
            notes.append(Note(slot, 1, label))
    found = Places(name, kind, tuple(notes))
    _check(found)
    return found


def check_label(text: str) -> str:
    """A name or label without the spaces around it. FormatError unless it is 1 to 42 bytes that all show."""
    text = text.strip(" ")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise FormatError("the name of a place is no text in UTF-8") from None
    if not text:
        raise FormatError("the name of a place is empty")
    unseen = next((each for each in text if not each.isprintable()), None)
    if unseen is not None:
        raise FormatError(f"the name of a place holds the character U+{ord(unseen):04X}, which does not print")
    if size > LABEL:
        raise FormatError(f"the name of a place has {size} bytes in UTF-8; it takes {LABEL} at most")
    return text


def seal(log_key: bytes, plain: bytes, ephemeral: bytes | None = None) -> bytes:
    """The block (1632) that goes behind a log: kind 4, enc (32), sealed (1595), CRC-32. `ephemeral`: for vectors."""
    sender = hpke.Sender(log_key, INFO, ephemeral)
    data = bytes((KIND,)) + sender.enc + sender.seal(plain, bytes((KIND,)))
    sender.wipe()
    return data + zlib.crc32(data).to_bytes(4, "little")


def split(log: bytes) -> tuple[bytes, bytes | None]:
    """The records of a log, and the block behind them; None behind one of an older companion."""
    block = log[-SIZE:]
    if len(block) != SIZE or block[0] != KIND or zlib.crc32(block[:-4]).to_bytes(4, "little") != block[-4:]:
        return log, None
    return log[:-SIZE], block


def unseal(log_secret: bytes, block: bytes) -> Places:
    """What a block (1632) says. AuthenticationError if it does not open, FormatError if it makes no sense."""
    recipient = hpke.Recipient(log_secret, block[1 : 1 + hpke.ENC], INFO)
    try:
        return decode(recipient.open(block[1 + hpke.ENC : -4], bytes((KIND,))))
    finally:
        recipient.wipe()


def _check(places: Places) -> None:
    if bool(places.name) != bool(places.kind) or places.kind not in KINDS:
        raise FormatError(f"a place has a name and a kind, one of: {', '.join(KINDS[1:])}")
    for text in (*([places.name] if places.name else []), *(note.label for note in places.notes)):
        if check_label(text) != text:
            raise FormatError("the name of a place begins or ends with a space")
    if len(places.notes) > MAX_NOTES:
        raise FormatError(f"there are {len(places.notes)} notes of places; {MAX_NOTES} at most go with a log")
    after = 0
    for note in places.notes:
        if not (after <= note.first < _SLOT_LIMIT - MAX_SLOTS and 1 <= note.slots <= MAX_SLOTS):
            raise FormatError("the notes of places do not rise, or are too long")
        after = note.first + note.slots


def _padded(text: str) -> bytes:
    return text.encode().ljust(LABEL, b"\0")


def _text(data: bytes) -> str:
    try:
        return data.rstrip(b"\0").decode()  # a zero byte that stays is one that does not print
    except UnicodeDecodeError:
        raise FormatError("the name of a place is no text in UTF-8") from None

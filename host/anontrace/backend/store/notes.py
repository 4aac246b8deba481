"""The note that a move leaves with a store, so that no server starts from half a state, or an old one.

In a folder it is a file beside the database's, in a cluster a field of its layout (cluster_site.py).
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from anontrace.backend.errors import StoreError

from .mark import sync_folder

FILE = "move.json"


@dataclass(frozen=True, slots=True)
class Note:
    """`arriving`: a copy that is not complete, of the store whose identity is `other`. `here`: the copy is complete.
    `gone`: the state is at `other`, as a `store` line names it, and this is an old copy. `move`: the move's id."""

    state: Literal["arriving", "here", "gone"]
    move: str
    other: str

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str | bytes) -> "Note":
        """StoreError if it is none."""
        try:
            note = cls(**json.loads(text))
            if note.state in ("arriving", "here", "gone"):
                return note
        except (ValueError, TypeError):
            pass
        raise StoreError("the note of a move is damaged")


def check(note: Note | None) -> None:
    """StoreError, with what to do, if no server may start from a store with this note."""
    if note is None or note.state == "here":
        return
    if note.state == "arriving":
        raise StoreError("a move into this store has not been finished: repeat `anontrace-server move`")
    place = f'store = "{note.other}"' if note.other else "no line `store`"
    raise StoreError(
        f"the state was moved away from here: server.toml has to have {place}, or `anontrace-server move` it back"
    )


def read(folder: Path) -> Note | None:
    """The note of the store in a folder. StoreError if it cannot be read."""
    path = folder / FILE
    try:
        return Note.decode(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from None
    except StoreError as error:
        raise StoreError(f"{path}: {error}") from None


def write(folder: Path, note: Note) -> None:
    """Leave a note, durably and in one step."""
    beside = folder / f".{FILE}.new"
    with beside.open("w", encoding="utf-8") as file:
        file.write(note.encode() + "\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / FILE)
    sync_folder(folder)

"""What the companion knows of places: its own, if it is a place's, and where its wearer was, if they note that.

One value of one size (1579 bytes), in which the wearer's notes and their absence look alike. Off unless switched on.
"""

from anontrace_shared.errors import FormatError
from anontrace_shared.slots import SLOTS_PER_DAY, slot_of

from anontrace.companion.errors import StateError
from anontrace.companion.store.database import Database
from anontrace.mixnet.keydays import TELLABLE_DAYS
from anontrace.wire import places
from anontrace.wire.places import Places


class PlaceStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def is_noting(self) -> bool:
        """Whether the wearer notes places."""
        row = self._db.row("SELECT noting FROM places")
        return row is not None and bool(row["noting"])

    def get(self) -> Places:
        """StateError if what stands there cannot be used."""
        row = self._db.row("SELECT document FROM places")
        try:
            return places.decode(row["document"] if row else b"")
        except FormatError as error:
            raise StateError(f"what the state folder says of places is damaged ({error})") from None

    def put(self, said: Places, noting: bool) -> None:
        """Durable when this returns."""
        with self._db.transaction():
            self._db.run("UPDATE places SET noting = ?, document = ?", int(noting), said.encode())

    def forget(self, now: int) -> None:
        """Delete the notes of days of which nobody can be told any more."""
        said, oldest = self.get(), slot_of(now) - TELLABLE_DAYS * SLOTS_PER_DAY
        if any(note.first < oldest for note in said.notes):
            kept = {slot: label for slot, label in said.at().items() if slot >= oldest}
            self.put(places.of_slots(kept, said.name, said.kind), self.is_noting())

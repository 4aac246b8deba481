"""The companion's state folder as one object: the lock, the keys, the database and its tables.

Opened by a command for its whole run: `changing` with the lock held, `reading` without.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
from anontrace_shared.slots import day_of, slot_of

from anontrace import clock
from anontrace.companion.errors import SetupError
from anontrace.companion.keys import epoch, keyfile, private
from anontrace.companion.store import database, making, older
from anontrace.companion.store.addresses import AddressStore
from anontrace.companion.store.badges import BadgeStore
from anontrace.companion.store.carried import Carried, CarriedStore
from anontrace.companion.store.commitments import CommitmentStore
from anontrace.companion.store.contact_answers import ContactAnswerStore
from anontrace.companion.store.contact_logs import LogStore
from anontrace.companion.store.expected import ExpectedStore
from anontrace.companion.store.groups import GroupStore
from anontrace.companion.store.lock import exclusive
from anontrace.companion.store.network import NetworkStore
from anontrace.companion.store.notifications import NotificationStore
from anontrace.companion.store.places import PlaceStore
from anontrace.companion.store.receipts import ReceiptStore
from anontrace.companion.store.renewals import RenewalStore
from anontrace.companion.store.tests import TestStore
from anontrace.companion.store.timetable import TimetableStore
from anontrace.companion.store.uploads import UploadStore

MAX_DAYS_UNCONFIRMED = 2  # beyond that, a clock is believed when the servers' directory agrees with it


class State:
    """The open state folder; each attribute owns its tables."""

    def __init__(self, folder: Path, key: bytes | None = None) -> None:
        """`key`: the vault key, where it was loaded already."""
        self.folder = folder
        private.check_folder(folder)
        self._db = database.open_database(folder, keyfile.load(folder) if key is None else key)
        self.transaction = self._db.transaction
        self.image = self._db.image
        self.network = NetworkStore(self._db)
        self.badges = BadgeStore(self._db)
        self.addresses = AddressStore(self._db)
        self.groups = GroupStore(self._db)
        self.expected = ExpectedStore(self._db)
        self.uploads = UploadStore(self._db)
        self.commitments = CommitmentStore(self._db)
        self.tests = TestStore(self._db)
        self.logs = LogStore(self._db, lambda: self.uploads.size() + self.commitments.size())
        self.notifications = NotificationStore(self._db)
        self.contact_answers = ContactAnswerStore(self._db)
        self.renewals = RenewalStore(self._db)
        self.receipts = ReceiptStore(self._db)
        self.timetable = TimetableStore(self._db)
        self.places = PlaceStore(self._db)
        self.carried = CarriedStore(self._db)

    def keep_house(self, now: int) -> None:
        """Delete what has had its time: spent mailboxes and their secrets, old log, uploads and notifications, old day
        keys; and once a day destroy the key under which the disk may have kept any of it.

        None of it comes back, so by a clock that is far ahead of all that is known nothing is deleted: not until a
        directory has been fetched that is in force by it, which discovery signs and a wrong clock does not take.
        """
        if not self.is_plausible(now):
            return
        today = day_of(slot_of(now))
        with self.transaction():
            self.addresses.forget(now)
            self.groups.forget(now)
            self.logs.forget(now)
            self.places.forget(now)
            self.commitments.forget(now)
            self.tests.forget(now)
            self.notifications.forget(now)
            self.contact_answers.forget(now)
            self.notifications.forget_cases(self.uploads.forget(now))
            self.carried.forget(today)
            self.badges.ratchet(today)
        if self._db.is_turn_due(today):
            with self.transaction():
                self.logs.keep_room()
            self._db.turn(today)

    def moment(self) -> int:
        """Now, unix seconds, for what is to be kept for some days: not earlier than the last directory was fetched. Of
        a clock that was behind it would be too old as soon as the clock is right."""
        directory = self.network.directory()
        return max(int(clock.now()), 0 if directory is None else directory.fetched)

    def note_carried(self, carried: Carried) -> None:
        """Add to what today has cost."""
        if carried.requests:
            self.carried.add(day_of(slot_of(clock.now())), carried)

    def is_plausible(self, now: int) -> bool:
        """Whether it is not far ahead of all that is known."""
        directory = self.network.directory()
        known = [badge.day for badge in self.badges.all()]
        known += [] if directory is None else [day_of(slot_of(directory.fetched))]
        return not known or day_of(slot_of(now)) - max(known) <= MAX_DAYS_UNCONFIRMED

    def close(self) -> None:
        self._db.close()


def create(folder: Path, protection: str = keyfile.PLAIN, passphrase: str | None = None) -> bytes:
    """Make a new state, for its user only, all of it or nothing; one that is there is kept. Returns its vault key.

    StateError where traces of an old one lie that is not whole.
    """
    making.prepare(folder)
    with exclusive(folder):
        if not making.traces(folder):
            key = os.urandom(keyfile.KEY_SIZE)
            fresh = database.in_memory()
            database.migrate(fresh)
            making.make(folder, lambda new: _fill(new, key, fresh, protection, passphrase))
            return key
    key = vault_key(folder)
    with reading(folder, key):
        return key


def restore(folder: Path, image: bytes, old_key: bytes, protection: str, passphrase: str | None) -> None:
    """Make the state of a backup, under new keys, all of it or nothing. SetupError where there is one already.

    `old_key`: the vault key under which secrets in the image are sealed, if it is of a companion up to 0.1.
    """
    making.prepare(folder)
    with exclusive(folder):
        check_free(folder)
        restored = older.brought_over(image, old_key)
        key = os.urandom(keyfile.KEY_SIZE)
        making.make(folder, lambda new: _fill(new, key, restored, protection, passphrase))


def check_free(folder: Path) -> None:
    """SetupError where there is a state already, or what is left of one."""
    if making.traces(folder):
        raise SetupError(f"{folder} holds a state already, which is not overwritten; restore to another (--state)")


def _fill(new: Path, key: bytes, content: apsw.Connection, protection: str | None, passphrase: str | None) -> None:
    """Write a state into an empty folder. Without a protection it keeps the vault key that it has."""
    with closing(epoch.EpochFile.make(new, key)) as epochs:
        (first,) = epochs.epochs()
        database.put(new, content, first)
    if protection is not None:
        keyfile.store(new, key, protection, passphrase)
    with closing(State(new, key)) as state:
        state.badges.all()  # what does not fit together is found before anybody relies on it


@contextmanager
def reading(folder: Path, key: bytes | None = None) -> Iterator[State]:
    """The state, to be looked at; another process may change it meanwhile.

    `key`: the vault key, where it was loaded already.
    """
    check_made(folder)
    if key is None:
        key = vault_key(folder)
    if database.is_plain(folder):
        with exclusive(folder):
            _bring_over(folder, key)
    with closing(State(folder, key)) as state:
        yield state


@contextmanager
def changing(folder: Path, key: bytes | None = None) -> Iterator[State]:
    """The state, to be changed by this process alone; what has had its time is deleted first.

    `key`: the vault key, where it was loaded already.
    """
    check_made(folder)
    if key is None:
        key = vault_key(folder)  # before the lock: nobody has to wait while a passphrase is typed
    with exclusive(folder):
        check_made(folder)  # it may have been erased by who held the lock before
        _bring_over(folder, key)
        with closing(State(folder, key)) as state:
            state.keep_house(int(clock.now()))
            yield state


def vault_key(folder: Path) -> bytes:
    """The vault key of a folder that `init` has made; asks for the passphrase where there is one."""
    check_made(folder)
    return keyfile.load(folder)


def check_made(folder: Path) -> None:
    """SetupError for a folder in which there is no trace of a state; what was being made in it is finished."""
    if not making.traces(folder):
        raise SetupError(f"there is no anontrace state in {folder}; begin with: anontrace init NETWORK.toml")
    private.check_folder(folder)
    if private.is_there(folder / making.READY):
        with exclusive(folder):
            making.finish(folder)


def _bring_over(folder: Path, key: bytes) -> None:
    """Encrypt the database of a companion up to 0.1 as a whole; what it was is overwritten.

    The caller holds the lock.
    """
    if not database.is_plain(folder) or private.is_there(folder / epoch.FILE):
        return
    content = older.brought_over(database.plain_image(folder), key)
    making.make(folder, lambda new: _fill(new, key, content, None, None))

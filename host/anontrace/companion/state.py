"""The companion's state folder as one object: the lock, the vault, the database and its tables.

Opened by a command for its whole run: `changing` with the lock held, `reading` without.
"""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from anontrace_shared.slots import day_of, slot_of

from anontrace import clock
from anontrace.companion import database, keyfile
from anontrace.companion.errors import SetupError, StateError
from anontrace.companion.lock import exclusive
from anontrace.companion.store.addresses import AddressStore
from anontrace.companion.store.badges import BadgeStore
from anontrace.companion.store.logs import LogStore
from anontrace.companion.store.network import NetworkStore
from anontrace.companion.store.notifications import NotificationStore
from anontrace.companion.store.renewals import RenewalStore
from anontrace.companion.store.timetable import TimetableStore
from anontrace.companion.store.uploads import UploadStore
from anontrace.companion.vault import Vault

MOST_DAYS_UNCONFIRMED = 2  # beyond that, a clock is believed when the servers' directory agrees with it


class State:
    """The open state folder; each attribute owns its tables."""

    def __init__(self, folder: Path, key: bytes | None = None) -> None:
        """`key`: the vault key, where it was loaded already."""
        self.folder = folder
        keys = Vault(keyfile.load(folder) if key is None else key)
        self._db = database.open_database(folder)
        self.transaction = self._db.transaction
        self.network = NetworkStore(self._db, keys)
        self.badges = BadgeStore(self._db, keys)
        self.addresses = AddressStore(self._db, keys)
        self.logs = LogStore(self._db)
        self.notifications = NotificationStore(self._db, keys)
        self.uploads = UploadStore(self._db, keys)
        self.renewals = RenewalStore(self._db, keys)
        self.timetable = TimetableStore(self._db)

    def keep_house(self, now: int) -> None:
        """Delete what has had its time: spent mailboxes and their secrets, old log and notifications, old day keys.

        None of it comes back, so by a clock that is far ahead of all that is known nothing is deleted: not until a
        directory has been fetched that is in force by it, which discovery signs and a wrong clock does not take.
        """
        if not self._is_plausible(now):
            return
        self.addresses.forget(now)
        self.logs.forget(now)
        self.notifications.forget(now)
        self.badges.ratchet(day_of(slot_of(now)))

    def _is_plausible(self, now: int) -> bool:
        directory = self.network.directory()
        known = [badge.day for badge in self.badges.all()]
        known += [] if directory is None else [day_of(slot_of(directory.fetched))]
        return not known or day_of(slot_of(now)) - max(known) <= MOST_DAYS_UNCONFIRMED

    def close(self) -> None:
        self._db.close()


def create(folder: Path, protection: str = keyfile.PLAIN, passphrase: str | None = None) -> bytes:
    """Make the folder, for its user only, and its vault key, both kept where they exist; returns the key."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name == "posix":
            folder.chmod(0o700)
        if keyfile.exists(folder):
            return keyfile.load(folder)
        key = os.urandom(keyfile.KEY_SIZE)
        keyfile.store(folder, key, protection, passphrase)
        return key
    except OSError as error:
        raise StateError(f"the state folder {folder} cannot be made: {error.strerror}") from error


@contextmanager
def reading(folder: Path, key: bytes | None = None) -> Iterator[State]:
    """The state, to be looked at; another process may change it meanwhile.

    `key`: the vault key, where it was loaded already.
    """
    _check_made(folder)
    with closing(State(folder, vault_key(folder) if key is None else key)) as state:
        yield state


@contextmanager
def changing(folder: Path, key: bytes | None = None) -> Iterator[State]:
    """The state, to be changed by this process alone; what has had its time is deleted first.

    `key`: the vault key, where it was loaded already.
    """
    _check_made(folder)
    if key is None:
        key = vault_key(folder)  # before the lock: nobody has to wait while a passphrase is typed
    with exclusive(folder):
        _check_made(folder)  # it may have been erased by who held the lock before
        with closing(State(folder, key)) as state:
            state.keep_house(int(clock.now()))
            yield state


def vault_key(folder: Path) -> bytes:
    """The vault key of a folder that `init` has made; asks for the passphrase where there is one."""
    _check_made(folder)
    return keyfile.load(folder)


def _check_made(folder: Path) -> None:
    """SetupError for a folder that was never made, or erased since its key was loaded: opening would make it anew."""
    if not (folder / database.FILE).exists():
        raise SetupError(f"there is no anontrace state in {folder}; begin with: anontrace init NETWORK.toml")

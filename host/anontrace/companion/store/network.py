"""What the companion knows of its network: the pinned network file and the last directory that it verified."""

from dataclasses import dataclass, field

from anontrace.companion.store.database import Database


@dataclass(frozen=True)
class StoredNetwork:
    name: str
    file: str  # the text of the network file, as it was given
    proxy: str | None = field(repr=False)  # may hold a password


@dataclass(frozen=True)
class StoredDirectory:
    sequence: int
    document: bytes | str  # the whole directory, as discovery serves it; text if a companion before 0.3 stored it
    fetched: int  # unix seconds


class NetworkStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self) -> StoredNetwork | None:
        row = self._db.row("SELECT name, file, proxy FROM network")
        return StoredNetwork(row["name"], row["file"], row["proxy"]) if row else None

    def put(self, network: StoredNetwork, now: int, same_discovery: bool = False) -> None:
        """Pin another network file. The directory that was verified under the old one goes, and with it what a fork
        would be known by, unless it is the same discovery's."""
        with self._db.transaction():
            if not same_discovery:
                self._db.run("DELETE FROM directory")
            self._db.run(
                "INSERT OR REPLACE INTO network (id, name, file, proxy, added) VALUES (1, ?, ?, ?, ?)",
                network.name, network.file, network.proxy, now,
            )  # fmt: skip

    def directory(self) -> StoredDirectory | None:
        row = self._db.row("SELECT sequence, document, fetched FROM directory")
        return StoredDirectory(row["sequence"], row["document"], row["fetched"]) if row else None

    def put_directory(self, directory: StoredDirectory) -> None:
        with self._db.transaction():
            self._db.run(
                "INSERT OR REPLACE INTO directory (id, sequence, document, fetched) VALUES (1, ?, ?, ?)",
                directory.sequence, directory.document, directory.fetched,
            )  # fmt: skip

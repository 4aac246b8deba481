"""What the companion knows of its network: the pinned network file and the last directory that it verified."""

from dataclasses import dataclass

from anontrace.companion.database import Database


@dataclass(frozen=True)
class StoredNetwork:
    name: str
    file: str  # the text of the network file, as it was given
    proxy: str | None


@dataclass(frozen=True)
class StoredDirectory:
    sequence: int
    document: str  # the signed document, as it was served
    fetched: int  # unix seconds


class NetworkStore:
    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self) -> StoredNetwork | None:
        row = self._db.row("SELECT name, file, proxy FROM network")
        return StoredNetwork(row["name"], row["file"], row["proxy"]) if row else None

    def put(self, network: StoredNetwork, now: int) -> None:
        """Pin another network file: the directory that was verified under the old one goes."""
        with self._db.transaction():
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

"""A keyring of the library `keyring` that keeps passwords in a folder: PYTHON_KEYRING_BACKEND names it in tests."""

import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class FolderKeyring(KeyringBackend):
    priority = 1.0

    @staticmethod
    def _path(service: str, username: str) -> Path:
        return Path(os.environ["FOLDER_KEYRING"]) / f"{service}-{username}"

    def get_password(self, service: str, username: str) -> str | None:
        path = self._path(service, username)
        return path.read_text() if path.exists() else None

    def set_password(self, service: str, username: str, password: str) -> None:
        self._path(service, username).write_text(password)

    def delete_password(self, service: str, username: str) -> None:
        try:
            self._path(service, username).unlink()
        except FileNotFoundError as error:
            raise PasswordDeleteError(username) from error

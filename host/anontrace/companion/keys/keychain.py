"""The system's keyring (Secret Service, Keychain, Credential Locker) through the library `keyring`, if it is installed.

Holds one wrapping key per state folder. The library is optional: it is loaded only for those who chose a keyring.
"""

from types import ModuleType

from anontrace.companion.errors import SetupError, StateError

SERVICE = "anontrace"

_ADVICE = "choose another protection: --protect passphrase"


def _library() -> ModuleType:
    try:
        import keyring
    except ImportError as error:
        raise SetupError(
            f"the system's keyring needs the library keyring: pip install 'anontrace[keyring]', or {_ADVICE}"
        ) from error
    return keyring


def put(name: str, key: bytes) -> None:
    keyring = _library()
    try:
        keyring.set_password(SERVICE, name, key.hex())
    except keyring.errors.KeyringError as error:
        raise SetupError(f"this computer has no keyring that can be used; {_ADVICE}") from error


def get(name: str) -> bytes:
    keyring = _library()
    try:
        found = keyring.get_password(SERVICE, name)
        return bytes.fromhex(found)
    except keyring.errors.KeyringError as error:
        raise StateError("the system's keyring cannot be opened; unlock it, and try again") from error
    except (TypeError, ValueError) as error:
        raise StateError(
            "the system's keyring does not hold the key of this state folder; restore the state from a backup"
        ) from error


def forget(name: str) -> None:
    """Delete the key; one that is not there is fine."""
    keyring = _library()
    try:
        keyring.delete_password(SERVICE, name)
    except keyring.errors.PasswordDeleteError:
        return
    except keyring.errors.KeyringError as error:
        raise StateError("the system's keyring cannot be opened; unlock it, and try again") from error

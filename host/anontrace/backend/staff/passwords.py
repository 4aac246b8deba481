"""Passwords of staff: Argon2id, off the event loop, few at a time, since each takes 64 MiB while it is computed."""

import asyncio
import unicodedata
from functools import cache

from anontrace_shared.errors import FormatError
from nacl import pwhash
from nacl.exceptions import InvalidkeyError

LEAST = 12  # characters
_MOST = 1024  # bytes
_AT_ONCE = 2
_OPS, _MEMORY = pwhash.argon2id.OPSLIMIT_INTERACTIVE, pwhash.argon2id.MEMLIMIT_INTERACTIVE


class Passwords:
    """Makes and checks hashes; each process has one."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def hash(self, name: str, password: str) -> str:
        """What is stored of a new password. FormatError if it is too easy to guess."""
        _check(name, password)
        async with self._turns:
            return await asyncio.to_thread(_hash, _octets(password))

    async def fits(self, stored: str, password: str) -> bool:
        """Whether this is the password. Without one (""), as long as with one, and False."""
        async with self._turns:
            return await asyncio.to_thread(_verify, stored or _nobodys(), _octets(password)) and bool(stored)


def _octets(password: str) -> bytes:
    """One spelling for what looks alike on every keyboard; of what is too long to be one, nothing."""
    data = unicodedata.normalize("NFKC", password).encode(errors="replace")
    return data if len(data) <= _MOST else b""


def _check(name: str, password: str) -> None:
    if len(password) < LEAST:
        raise FormatError(
            f"password: it needs {LEAST} characters or more; four words that nobody would put together do"
        )
    if not _octets(password):
        raise FormatError(f"password: it has more than {_MOST} bytes")
    if len(set(password)) < LEAST // 2 or name.lower() in password.lower():
        raise FormatError("password: too easy to guess: it repeats itself, or holds the account's name")


def _hash(password: bytes) -> str:
    return pwhash.argon2id.str(password, opslimit=_OPS, memlimit=_MEMORY).decode("ascii")


def _verify(stored: str, password: bytes) -> bool:
    try:
        return bool(pwhash.verify(stored.encode("ascii"), password))
    except InvalidkeyError:
        return False


@cache
def _nobodys() -> str:
    """A hash that is checked where there is none, so that the time says nothing."""
    return _hash(b"nobody's password")

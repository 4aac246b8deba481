"""The standard streams of both programs: fit for any text, and clear when nothing can be written to them.

Characters that a terminal cannot show become question marks. A full disk behind standard output is an OutputError, and
behind standard error, where nobody could be told, nothing. A stream that is closed takes everything and keeps nothing.
"""

import codecs
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast


class OutputError(Exception):
    """What a program has to say cannot be written to standard output; the message is a sentence."""


class _Stream:
    """A text stream as it was, but for what happens when writing to it fails. BrokenPipeError passes: the reader left
    off, which is no fault."""

    def __init__(self, stream: TextIO, tells: bool) -> None:
        self._stream = stream
        self._tells = tells

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._fail(error)
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if not self._tells:
            return
        if isinstance(error, BrokenPipeError):
            raise error
        raise OutputError(f"the output cannot be written: {(error.strerror or str(error)).lower()}") from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def prepare() -> None:
    """Once, before anything is opened or said."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file that is opened would take its number, and what is said would go into it
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  there is no path to it
    sys.stdout = _guarded(sys.stdout, 1, tells=True)
    sys.stderr = _guarded(sys.stderr, 2, tells=False)


def check_kept(instead: str) -> None:
    """Before something is made that is said once only: OutputError, which ends with what is done `instead`, where
    standard output was closed or leads to the system's sink."""
    try:
        is_sink = os.path.samestat(os.fstat(sys.stdout.fileno()), Path(os.devnull).stat())
    except (OSError, ValueError):
        return  # a stream without a descriptor, or a system without such a file
    if is_sink:
        raise OutputError(f"standard output is closed or leads nowhere; {instead}")


@contextmanager
def once(all_the_same: str) -> Iterator[None]:
    """Around what can be said this once: where it cannot be written, or nobody reads it, the OutputError says what is
    so `all_the_same`."""
    try:
        yield
    except BrokenPipeError as error:
        raise OutputError(f"the output cannot be written: nobody reads it; {all_the_same}") from error
    except OutputError as error:
        raise OutputError(f"{error}; {all_the_same}") from error


def abandon() -> None:
    """Nothing more can be written to standard output; Python would complain of it once more while it shuts down."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_unicode() -> bool:
    """Whether standard output can show every character."""
    return (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "").startswith("utf")


def _guarded(stream: TextIO | None, number: int, tells: bool) -> TextIO:
    found = stream or open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    reconfigure = getattr(found, "reconfigure", None)
    if reconfigure is not None:
        plain = codecs.lookup(found.encoding or "ascii").name == "ascii"  # where nothing is set; click does the same
        reconfigure(errors="replace", encoding="utf-8" if plain else found.encoding)
    return cast(TextIO, _Stream(found, tells))

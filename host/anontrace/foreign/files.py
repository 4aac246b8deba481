"""Small files that a person has saved, or that lie where such a file should be: read within bounds, and as text however
an editor writes it (with a byte order mark, with any line ends, without a last one).

Never follows a file that does not end, and never waits long for a pipe. Knows nothing of what stands in them.
"""

import os
import select
import stat
import time
from pathlib import Path

from anontrace_shared.errors import FormatError

MAX_BYTES = 1 << 20  # bytes; the largest is a network file of 255 mixes
PIPE_SECONDS = 120.0  # for what a pipe brings: somebody may be asked for a password meanwhile
_MARK = "\ufeff"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class UnusableFile(FormatError):
    """A file is not what it has to be; the message goes on a sentence that begins with its name."""


class TooLarge(UnusableFile):
    """It has more bytes than any such file."""


class NoText(UnusableFile):
    """It holds no text in UTF-8."""


def read(path: Path, pipes: bool = False, links: bool = True) -> tuple[bytes, os.stat_result]:
    """The bytes of a file, and what the system says of it. With `pipes` it may be one, or a terminal; without `links`
    it may not be one.

    TooLarge beyond MAX_BYTES, UnusableFile if it is nothing to be read here; OSError, also FileNotFoundError.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if not links:
        if path.is_symlink():
            raise UnusableFile("is a link, which is not followed; put the file itself in its place")
        flags |= getattr(os, "O_NOFOLLOW", 0)  # it may have become one
    descriptor = os.open(path, flags)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(MAX_BYTES + 1)
        elif pipes and not stat.S_ISDIR(found.st_mode):
            data = _flowing(descriptor)
        else:
            raise UnusableFile("is no regular file")
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        raise TooLarge("is too large for what it has to be")
    return data, found


def _flowing(descriptor: int) -> bytes:
    """What a pipe or a terminal brings until it ends, or until it is more than may be."""
    data = bytearray()
    end = time.monotonic() + PIPE_SECONDS
    if hasattr(select, "poll"):
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
    while len(data) <= MAX_BYTES:
        if hasattr(select, "poll") and not waiting.poll(max(end - time.monotonic(), 0) * 1000):
            raise UnusableFile(f"brings nothing to its end within {PIPE_SECONDS:.0f} seconds")
        try:
            piece = os.read(descriptor, MAX_BYTES + 1 - len(data))
        except BlockingIOError:
            continue
        if not piece:
            break
        data += piece
    return bytes(data)


def text(data: bytes) -> str:
    """The text in these bytes, its lines ended by line feeds alone. NoText if it is none in UTF-8."""
    if data.startswith(_UTF_16):
        raise NoText("is text in UTF-16: save it as UTF-8")
    try:
        decoded = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NoText("is no text in UTF-8") from None
    if "\0" in decoded:
        raise NoText("is no text in UTF-8: it holds zero bytes")
    return decoded.removeprefix(_MARK).replace("\r\n", "\n").replace("\r", "\n")

"""The text of a contact list as people have it: plain, or packed by gzip, bzip2, xz or zip; UTF-8, UTF-16 or Latin-1.

Owns how much is read of such a file at most, a line at a time; knows nothing of contacts.
"""

import bz2
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

MAX_LINES = 10_000_000  # of an unpacked list; the largest published ones have half as many
MAX_CHARACTERS = 256 << 20  # of an unpacked list
MAX_LINE = 10_000  # characters
_PEEK = 6  # bytes
_TAR, _TAR_AT = b"ustar", 257  # what a tar archive has at this byte
_PACKED_OTHERWISE = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf": "7-Zip",
    b"Rar!": "RAR",
    b"\x1f\x9d": "compress",
    b"\x04\x22\x4d\x18": "lz4",
}
# What gzip, bz2, lzma and zipfile raise for content that is damaged, cut short, encrypted or of an unknown method.
_UNPACKING = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, struct.error, NotImplementedError,
              RuntimeError, ValueError)  # fmt: skip
_CONTROL = {character for character in range(32) if chr(character) not in "\t\r\n\f"} | {127}


class ContactsError(Exception):
    """The contact list, or what is asked of it, makes no sense; the message names the place and the fault."""


def _member(archive: zipfile.ZipFile) -> str:
    """The one file in it; ContactsError names what there is when it is not one."""
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise ContactsError("is a spreadsheet or document: save it as text (CSV)")
    if len(names) != 1:
        inside = ", ".join(repr(name[:60]) for name in names[:5]) or "nothing"
        raise ContactsError(f"holds {len(names)} files instead of one ({inside}): unpack it and name the list")
    return names[0]


def _unpack(file: io.BufferedReader, stack: ExitStack) -> io.BufferedReader:
    """The content of the file, whatever it is packed with; goes by its first bytes, not by its name."""
    head = file.peek(_PEEK)[:_PEEK]
    for magic, name in _PACKED_OTHERWISE.items():
        if head.startswith(magic):
            raise ContactsError(f"is packed by {name}: unpack it, or pack it by gzip, bzip2, xz or zip")
    # Each of these reads and peeks as a BufferedReader does, though they have no type in common that says so.
    if head.startswith(b"\x1f\x8b"):
        return cast(io.BufferedReader, stack.enter_context(gzip.GzipFile(fileobj=file)))
    if head.startswith(b"BZh"):
        return cast(io.BufferedReader, stack.enter_context(bz2.BZ2File(file)))
    if head.startswith(b"\xfd7zXZ"):
        return cast(io.BufferedReader, stack.enter_context(lzma.LZMAFile(file)))
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        archive = stack.enter_context(zipfile.ZipFile(file))
        return cast(io.BufferedReader, stack.enter_context(archive.open(_member(archive))))
    return file


def _plain(line: str) -> str:
    """The line without its end; where its bytes are not UTF-8 (each such byte is a surrogate), they are Latin-1."""
    if not line.isascii() and any("\udc80" <= character <= "\udcff" for character in line):
        # As Windows has Latin-1: with letters, too, where the standard has control characters.
        line = line.encode(errors="surrogateescape").decode("cp1252", "replace")
    line = line.strip("\r\n")
    if not line.isprintable() and not _CONTROL.isdisjoint(map(ord, line)):
        raise ContactsError("is not a text file")
    return line


def texts(path: Path) -> Iterator[str]:
    """Each line of the file, without its end; ContactsError names the file and what is wrong with it."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ContactsError("is no regular file: copy the list into one")  # a pipe might be waited for for ever
        with ExitStack() as stack:
            raw = _unpack(stack.enter_context(path.open("rb")), stack)
            if raw.peek(_TAR_AT + len(_TAR))[_TAR_AT:].startswith(_TAR):
                raise ContactsError("is a tar archive: unpack it and name the list")
            encoding = "utf-16" if raw.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
            lines = io.TextIOWrapper(raw, encoding=encoding, errors="surrogateescape")
            taken = number = 0
            while line := lines.readline(MAX_LINE + 1):
                taken += len(line)
                number += 1
                if len(line) > MAX_LINE:
                    raise ContactsError(f"has more than {MAX_LINE:,} characters in line {number}: no contact list has")
                if taken > MAX_CHARACTERS or number > MAX_LINES:
                    raise ContactsError(
                        f"is larger than {MAX_LINES:,} lines or {MAX_CHARACTERS >> 20} MiB, unpacked: cut it first"
                    )
                yield _plain(line)
    except ContactsError as error:
        raise ContactsError(f"{path} {error}") from None
    except UnicodeDecodeError:
        raise ContactsError(f"{path} is not a text file") from None
    except OSError as error:
        raise ContactsError(f"{path} cannot be read: {error.strerror or error}") from None
    except _UNPACKING as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ContactsError(f"{path} cannot be read: it is damaged or cut short ({reason})") from None

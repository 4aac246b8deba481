"""X25519 in eight lanes at once, by `libcrypto_mb.so` of Intel's Cryptography Primitives Library (`ipp-crypto`).

Loads the file that was tested, held to its SHA-256, on Linux on an x86-64 whose processor multiplies in 52-bit lanes
(AVX512-IFMA or AVX-IFMA), and believes it only after it has given the answers of the vectors. The file names four
libraries of Intel's compiler, under another licence, and uses nothing of them. So it is loaded from a copy in memory
that names the C library in their place: private to this process, sealed before it is mapped, and never on a disk. Never
chooses; keeps secrets for the length of a call.

The library takes a difference to be negative by at most the prime, which a product that is not fully reduced may break:
then a lane is wrong. That needs two values at once that are within 2**219 of a multiple of the prime, which no point
that somebody got by multiplying meets (once in 2**64), but points near zero or near 2**254 do, those of low order among
them. `is_edge` tells these; they are for another implementation. Wycheproof's vectors are right with that, and 12 of
518 wrong without.

Source: the headers `crypto_mb/x25519.h`, `status.h` and `cpu_features.h` of `ipp-crypto-include`; the ELF format by the
System V ABI, "Dynamic Section".
"""

import ctypes
import fcntl
import hashlib
import os
import platform
import re
import struct
import sys
import threading
from array import array
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from .x25519_batches import UnavailableError

KEY = 32
PACKAGE, VERSION = "ipp-crypto", "2026.2.0"
SHA256 = "75adfaef19bd54503b1403b34b00a885fb3690235839559ca8119cc608745d0c"  # of its libcrypto_mb.so
_FILE = "libcrypto_mb.so"
_UNUSED = (b"libsvml.so", b"libirng.so", b"libimf.so", b"libintlc.so.5")
_C_LIBRARY = b"libc.so.6"
_PROCESSOR = Path("/proc/cpuinfo")
_FLAGS = re.compile(r"^flags\s*:(.*)$", re.MULTILINE)
_WANTED = frozenset(("avx512ifma", "avx_ifma"))

# The last four bytes of points u where u, 2u, 4u or 8u is near a multiple of the prime: bits 224 to 251 are all equal.
# The top bit counts for nothing.
_EDGES = frozenset((top << 28 | rest).to_bytes(4, "little") for top in range(16) for rest in (0, (1 << 28) - 1))

LANES = 8
_ROOM = 64  # lanes that are filled before they are computed
_X25519 = 4  # MBX_ALGO_X25519
_LOW_ORDER = 4  # MBX_STATUS_LOW_ORDER_ERR
_STATUS_BITS = 4  # of each lane

# ELF64, little-endian: where a header says what, and entries.
_PROGRAM_HEADERS_AT, _PROGRAM_HEADER_COUNT_AT = 32, 56
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")  # type, flags, offset, address, physical address, sizes, alignment
_LOADED, _DYNAMIC = 1, 2
_ENTRY = struct.Struct("<qQ")  # of the dynamic section: tag, value
_NEEDED, _STRINGS = 1, 5


def is_edge(point: bytes) -> bool:
    """Whether `Lanes.many` may be wrong for this point (32): hardly ever for one that is no multiple of the base."""
    return point[-4:] in _EDGES


def has_edges(points: Sequence[bytes]) -> bool:
    """Whether one of them is."""
    return not _EDGES.isdisjoint([point[-4:] for point in points])


class Lanes:
    """The two functions of the library. Any number of threads may use them at once."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._product = library.mbx_x25519_mb8
        self._product.argtypes, self._product.restype = [ctypes.c_void_p] * 3, ctypes.c_uint32
        self._public = library.mbx_x25519_public_key_mb8
        self._public.argtypes, self._public.restype = [ctypes.c_void_p] * 2, ctypes.c_uint32
        self._rooms = threading.local()

    def many(self, scalars: Sequence[bytes], points: Sequence[bytes]) -> list[bytes | None]:
        """X25519 (32) of each scalar and point (32 each, as many of both); None where a point is of low order. None of
        them may be `is_edge`."""
        found: list[bytes | None] = []
        for at in range(0, len(points), _ROOM):
            found += self._room.products(self._product, scalars[at : at + _ROOM], points[at : at + _ROOM])
        return found

    def base_many(self, scalars: Sequence[bytes]) -> list[bytes]:
        """The public key (32) of each scalar (32)."""
        found: list[bytes] = []
        for at in range(0, len(scalars), _ROOM):
            found += self._room.public_keys(self._public, scalars[at : at + _ROOM])
        return found

    @property
    def _room(self) -> "_Room":
        if not hasattr(self._rooms, "mine"):
            self._rooms.mine = _Room()
        room: _Room = self._rooms.mine
        return room


class _Room:
    """What one thread hands to the library: lanes of 32 bytes, and for each eight of them the pointers to them."""

    def __init__(self) -> None:
        self._scalars, self._points, self._results = (bytearray(KEY * _ROOM) for _ in range(3))
        buffers = self._scalars, self._points, self._results
        self._held = [(ctypes.c_char * (KEY * _ROOM)).from_buffer(each) for each in buffers]  # stay where they are
        places = [ctypes.addressof(each) for each in self._held]
        self._pointers = [array("Q", range(place, place + KEY * _ROOM, KEY)) for place in places]
        self._scalars_at, self._points_at, self._results_at = (each.buffer_info()[0] for each in self._pointers)

    def products(
        self, product: Callable[[int, int, int], int], scalars: Sequence[bytes], points: Sequence[bytes]
    ) -> list[bytes | None]:
        count = len(points)
        layout = _layout(count)
        try:
            layout.pack_into(self._scalars, 0, *scalars)
            layout.pack_into(self._points, 0, *points)
            refused: list[int] = []
            for lane in range(0, count, LANES):
                at = lane * 8  # of a pointer
                status = product(self._results_at + at, self._scalars_at + at, self._points_at + at)
                if status:
                    refused += _low_order(status, lane, count)
            found: list[bytes | None] = list(layout.unpack_from(self._results))
        finally:
            self._wipe(layout.size)
        for lane in refused:
            found[lane] = None
        return found

    def public_keys(self, public: Callable[[int, int], int], scalars: Sequence[bytes]) -> list[bytes]:
        layout = _layout(len(scalars))
        try:
            layout.pack_into(self._scalars, 0, *scalars)
            for at in range(0, len(scalars) * 8, LANES * 8):
                if status := public(self._results_at + at, self._scalars_at + at):
                    raise RuntimeError(f"libcrypto_mb: status {status:#010x}")
            return list(layout.unpack_from(self._results))
        finally:
            self._wipe(layout.size)

    def _wipe(self, size: int) -> None:
        self._scalars[:size] = bytes(size)
        self._results[:] = bytes(KEY * _ROOM)  # also of lanes that had no message


def _layout(count: int) -> struct.Struct:
    return _LAYOUTS[count]


_LAYOUTS = [struct.Struct(f"{KEY}s" * count) for count in range(_ROOM + 1)]


def _low_order(status: int, lane: int, count: int) -> list[int]:
    """The lanes whose point is of low order, by the status of eight from `lane` on; those from `count` on are empty."""
    found = []
    for number in range(min(LANES, count - lane)):
        said = status >> _STATUS_BITS * number & 0xF
        if said == _LOW_ORDER:
            found.append(lane + number)
        elif said:
            raise RuntimeError(f"libcrypto_mb: status {status:#010x}")
    return found


def load() -> Lanes:
    """The library, tried. UnavailableError says why it cannot be had."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or sys.maxsize < 2**32:
        raise UnavailableError("it is there for Linux on x86-64 alone")
    if not _WANTED & processor_flags():
        raise UnavailableError("this processor has neither AVX512-IFMA nor AVX-IFMA")
    data = _installed().read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise UnavailableError(f"{_FILE} is not the one of {PACKAGE} {VERSION}")
    library = _mapped(without_unused(data))
    told = library.mbx_get_algo_info
    told.argtypes, told.restype = [ctypes.c_int], ctypes.c_uint64
    if not told(_X25519) & LANES:
        raise UnavailableError("libcrypto_mb says that this processor cannot")
    lanes = Lanes(library)
    _try(lanes)
    return lanes


def processor_flags() -> frozenset[str]:
    """What the first processor can do, by the names of Linux."""
    try:
        found = _FLAGS.search(_PROCESSOR.read_text(errors="replace"))
    except OSError:
        return frozenset()
    return frozenset(found[1].split()) if found else frozenset()


def _installed() -> Path:
    """Where pip has put the library."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise UnavailableError(f"the package {PACKAGE} is not installed: pip install 'anontrace[fast]'") from None
    for each in files:
        if each.name == _FILE and (path := Path(str(each.locate()))).is_file():
            return path
    raise UnavailableError(f"the package {PACKAGE} has no {_FILE}")


def without_unused(data: bytes) -> bytes:
    """A shared library that names the C library once more in place of each library that it does not use.

    An x86-64 ELF file of which nothing else changes. UnavailableError if it is not laid out so.
    """
    changed = bytearray(data)
    try:
        (headers,) = struct.unpack_from("<Q", data, _PROGRAM_HEADERS_AT)
        (count,) = struct.unpack_from("<H", data, _PROGRAM_HEADER_COUNT_AT)
        segments = [_PROGRAM_HEADER.unpack_from(data, headers + _PROGRAM_HEADER.size * n) for n in range(count)]
        (dynamic,) = (each for each in segments if each[0] == _DYNAMIC)
        at, size = dynamic[2], dynamic[5]
        entries = [(place, *_ENTRY.unpack_from(data, place)) for place in range(at, at + size, _ENTRY.size)]
        (strings,) = (value for _, tag, value in entries if tag == _STRINGS)
        (begin,) = (s[2] + strings - s[3] for s in segments if s[0] == _LOADED and s[3] <= strings < s[3] + s[5])
        needed = {}
        for place, tag, value in entries:
            if tag == _NEEDED:
                start = begin + value
                needed[data[start : data.index(0, start)]] = (place, value)
        for name in _UNUSED:
            _ENTRY.pack_into(changed, needed[name][0], _NEEDED, needed[_C_LIBRARY][1])
    except (ValueError, KeyError, OverflowError, struct.error):
        raise UnavailableError(f"{_FILE} is laid out otherwise than expected") from None
    return bytes(changed)


def _mapped(data: bytes) -> ctypes.CDLL:
    """A shared library from memory."""
    try:
        descriptor = os.memfd_create(_FILE, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(data)
            seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            return ctypes.CDLL(f"/proc/self/fd/{descriptor}", mode=os.RTLD_LOCAL | os.RTLD_NOW)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnavailableError(f"{_FILE} cannot be loaded: {error}") from None


# RFC 7748, section 6.1, and a point of low order.
_SECRET = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
_PUBLIC = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
_OTHER = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
_LOW = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
_SHARED = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")


def _try(lanes: Lanes) -> None:
    """UnavailableError unless each lane answers right, also beside a point of low order."""
    for bad in range(LANES):
        points = [_LOW if lane == bad else _OTHER for lane in range(LANES)]
        expected = [None if lane == bad else _SHARED for lane in range(LANES)]
        if lanes.many([_SECRET] * LANES, points) != expected:
            raise UnavailableError("libcrypto_mb answers wrong")
    if lanes.base_many([_SECRET] * LANES) != [_PUBLIC] * LANES:
        raise UnavailableError("libcrypto_mb answers wrong")

"""MicroPython for a badge: which image fits which board, and the pinned ones, downloaded once into the cache.

The pins stand in tools/esp32_images.toml. Without a SHA-256 there, the first download on a machine is trusted, its hash
printed and kept beside it, and later downloads have to match. `python -m tools.esp32_image pin` downloads and writes
the hashes into that file. Writes nothing onto a badge; tools/flash.py does.
"""

import argparse
import contextlib
import hashlib
import re
import struct
import sys
import tempfile
import tomllib
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import httpx
import platformdirs
from anontrace.wire import trust
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

PINS = Path(__file__).with_name("esp32_images.toml")
OLDEST = (1, 23)  # the oldest MicroPython whose loader takes this mpy-cross's native code
MAX_BYTES = 4 << 20  # bytes: the flash of a common board
TIMEOUT = 30.0  # seconds without a byte
INSTEAD = "or say FIRMWARE=file.bin with an image fetched elsewhere"
MAX_FLASH = 32 << 20  # bytes: the largest flash of any board
# Of an image as it lies in flash, by Espressif's manual of the partition table.
_HEADER = 24
_MAGIC = 0xE9
_PARTITIONS = 0x8000  # where the table is, from the beginning of flash
_PARTITIONS_SIZE = 0xC00
_PARTITION = struct.Struct("<HBBI24s")
_PARTITION_MAGIC = 0x50AA
_BANNER = re.compile(rb"MicroPython v(\d+)\.(\d+)")  # as every build has it in sys.version
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ImageError(Exception):
    """There is no image that can be written; the message is one line that says what to do."""


@dataclass(frozen=True)
class Board:
    """A kind of badge: chip as esptool and as the image header name it, offset of the image in flash, architecture."""

    chip: str
    chip_id: int
    offset: int
    architecture: str
    oldest: tuple[int, int] = OLDEST


BOARDS = {
    "ESP32_GENERIC": Board("esp32", 0, 0x1000, "xtensawin"),
    "ESP32_GENERIC_S3": Board("esp32s3", 9, 0, "xtensawin"),
    "ESP32_GENERIC_C3": Board("esp32c3", 5, 0, "rv32imc", (1, 25)),  # native code on RISC-V came later
}


@dataclass(frozen=True)
class Pin:
    """Where a board's image is published, and its SHA-256 in hexadecimal digits, empty as long as nobody pinned it."""

    url: str
    sha256: str

    @property
    def file(self) -> str:
        """The image's name, which holds date and version."""
        return self.url.rpartition("/")[2]


def pins() -> dict[str, Pin]:
    """The pinned image of every board. ImageError if the lock file is damaged."""
    try:
        found = {name: Pin(**entry) for name, entry in tomllib.loads(PINS.read_text()).items()}
    except (OSError, ValueError, TypeError) as error:
        raise ImageError(f"{PINS} cannot be used ({error}): restore it, {INSTEAD}") from None
    bad = [name for name in BOARDS if name not in found or not re.fullmatch(_SHA256.pattern + "|", found[name].sha256)]
    if bad:
        raise ImageError(f"{PINS} has no url and sha256 for {bad[0]}: restore it, {INSTEAD}")
    return found


def check(image: Path, name: str) -> None:
    """ImageError unless the file is a whole flash image for that board: bootloader, partitions and MicroPython."""
    board = BOARDS[name]
    try:
        with image.open("rb") as file:
            content = file.read(MAX_FLASH + 1)
    except OSError as error:
        raise ImageError(f"{image} cannot be read: {error.strerror}") from None
    if len(content) < _HEADER or content[0] != _MAGIC or len(content) > MAX_FLASH:
        raise ImageError(f"{image} is no ESP32 firmware image; take the .bin file for {name}")
    chip_id = int.from_bytes(content[12:14], "little")
    if chip_id != board.chip_id:
        meant = next((other for other, candidate in BOARDS.items() if candidate.chip_id == chip_id), None)
        if meant is None:
            raise ImageError(f"{image} is for a chip that is not supported; take the .bin file for {name}")
        raise ImageError(f"{image} is for {meant}, not for {name}: take the right file, or say BOARD={meant}")
    start = _application(content, board)
    if start is None:
        raise ImageError(
            f"{image} is no whole flash image: it lacks the partitions, as an update or an .app-bin does; "
            f"take the .bin file for {name} from its download page"
        )
    for part in (content[: _PARTITIONS - board.offset], content[start:]):
        if not _is_whole(part, board):
            raise ImageError(f"{image} is damaged or cut short: fetch it again")
    found = _BANNER.search(content, start)
    if found is None:
        raise ImageError(f"{image} holds no MicroPython; take the .bin file for {name} from its download page")
    version = (int(found[1]), int(found[2]))
    if version < board.oldest:
        raise ImageError(
            f"{image} is MicroPython {version[0]}.{version[1]}: take {board.oldest[0]}.{board.oldest[1]} or newer"
        )


def _application(content: bytes, board: Board) -> int | None:
    """Where in an image the application that starts first begins; None when there are no partitions that say so."""
    table = content[_PARTITIONS - board.offset :][:_PARTITIONS_SIZE]
    offsets = []
    for at in range(0, len(table) - _PARTITION.size, _PARTITION.size):
        magic, kind, subtype, offset, _ = _PARTITION.unpack_from(table, at)
        if magic != _PARTITION_MAGIC:
            break
        if kind == 0 and (subtype == 0 or subtype >> 4 == 1):  # factory, or the first of several to update by turns
            offsets.append((subtype, offset - board.offset))
    start = min(offsets, default=(0, 0))[1]
    return start if _PARTITIONS - board.offset < start < len(content) else None


def _is_whole(part: bytes, board: Board) -> bool:
    """Whether these bytes begin with an image for the chip that is complete, by its checksum and its hash."""
    from esptool.bin_image import LoadFirmwareImage  # type: ignore[import-untyped]  # half a second
    from esptool.logger import log  # type: ignore[import-untyped]

    log.set_verbosity("silent")
    try:
        image = LoadFirmwareImage(board.chip, part)
    except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, struct.error):  # by what is damaged
        return False
    whole: bool = (
        image.chip_id == board.chip_id
        and image.checksum == image.calculate_checksum()
        and (not image.append_digest or image.stored_digest == image.calc_digest)
    )
    return whole


def fetch(name: str) -> Path:
    """The pinned image for a board: from the cache, else downloaded, checked and kept there; ImageError if neither."""
    pin = pins()[name]
    image = Path(platformdirs.user_cache_path("anontrace")) / "esp32" / pin.file
    record = image.with_name(pin.file + ".sha256")
    try:
        image.parent.mkdir(parents=True, exist_ok=True)
        expected = pin.sha256 or _recorded(record)
        if expected and image.is_file() and _digest(image) == expected:
            return image
        with tempfile.NamedTemporaryFile(dir=image.parent, prefix=pin.file + ".", delete=False) as file:
            part = Path(file.name)
        try:
            _download(pin.url, part)
            _accept(part, name, pin, expected, record)
            part.replace(image)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ImageError(f"{image.parent} cannot be written: {error.strerror}; make room there, {INSTEAD}") from None
    return image


def _recorded(record: Path) -> str:
    """The hash of the first download on this machine; empty if there was none."""
    with contextlib.suppress(FileNotFoundError):
        found = _SHA256.match(record.read_text(errors="replace"))
        return found[0] if found else ""
    return ""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _accept(part: Path, name: str, pin: Pin, expected: str, record: Path) -> None:
    """ImageError unless the download is what is expected; with nothing to expect, keep its hash before its content."""
    digest = _digest(part)
    if digest == expected:
        return
    if expected:
        known = "the pinned one" if pin.sha256 else f"the one first downloaded here, kept in {record}"
        raise ImageError(f"{pin.url} now has SHA-256 {digest}, which is not {known}: do not use it, {INSTEAD}")
    try:
        check(part, name)
    except ImageError:
        raise ImageError(
            f"{pin.url} answered with something that is no MicroPython for {name} (a proxy's page?): {INSTEAD}"
        ) from None
    print(f"SHA-256 {digest}: trusted at this first download and kept, later ones have to match", file=sys.stderr)
    kept = part.with_suffix(".sha256")
    kept.write_text(f"{digest}  {pin.file}\n")
    kept.replace(record)


def _proxy(url: str) -> httpx.Proxy | None:
    """The proxy that the system names for this address, if any; ImageError when it cannot be used."""
    # By the standard library, which takes every form of NO_PROXY; httpx raises an error on some.
    parts = urllib.parse.urlsplit(url)
    if not parts.hostname or urllib.request.proxy_bypass(parts.netloc):
        return None
    proxies = urllib.request.getproxies()
    named = proxies.get(parts.scheme) or proxies.get("all")
    if not named:
        return None
    try:
        return httpx.Proxy(named if "://" in named else f"http://{named}")
    except (ValueError, httpx.InvalidURL):  # whose text may hold a password
        raise ImageError(f"the proxy of {parts.scheme.upper()}_PROXY is no address: correct it, {INSTEAD}") from None


def _download(url: str, target: Path) -> None:
    """The content of `url` into a file, with progress. ImageError if it does not come whole; OSError of the file."""
    print(f"Downloading {url} ...", file=sys.stderr, flush=True)
    scheme, proxy = httpx.URL(url).scheme, _proxy(url)

    def stay(request: httpx.Request) -> None:
        if request.url.scheme != scheme:
            raise ImageError(f"{url} leads to {request.url}, without TLS: {INSTEAD}")

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    try:
        with (
            httpx.Client(
                verify=trust.client_context(None),
                proxy=proxy,
                trust_env=False,
                timeout=TIMEOUT,
                follow_redirects=True,
                headers={"Accept-Encoding": "identity"},
                event_hooks={"request": [stay]},
            ) as client,
            client.stream("GET", url) as answer,
            Progress(*columns, console=Console(stderr=True), transient=True) as progress,
            target.open("wb") as file,
        ):
            if answer.status_code != httpx.codes.OK:
                raise ImageError(f"{url} answered {answer.status_code}: try again later, {INSTEAD}")
            size = answer.headers.get("Content-Length")
            if size is None:
                raise ImageError(f"{url} came without its length, so it may be cut short: try again, {INSTEAD}")
            task = progress.add_task("", total=int(size))
            for block in answer.iter_raw():
                file.write(block)
                progress.advance(task, len(block))
                if file.tell() > MAX_BYTES:
                    raise ImageError(f"{url} is larger than a board's flash: {INSTEAD}")
    except httpx.TimeoutException:
        raise ImageError(f"{url} sent nothing for {TIMEOUT:.0f} s: try again, {INSTEAD}") from None
    except httpx.ConnectError as error:
        why = "its certificate is not trusted" if "CERTIFICATE_VERIFY_FAILED" in str(error) else "no network?"
        raise ImageError(f"{httpx.URL(url).host} cannot be reached ({why}): try again, {INSTEAD}") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ImageError(f"{url} did not arrive whole ({reason}): try again, {INSTEAD}") from None


def pin(name: str) -> str:
    """Download a board's image and write its SHA-256 into the lock file; the hash."""
    digest = _digest(fetch(name))
    text, written = re.subn(
        rf'(^\[{name}\]\n(?:[^\[\n].*\n)*?sha256 = )"[0-9a-f]*"', rf'\1"{digest}"', PINS.read_text(), flags=re.MULTILINE
    )
    if written != 1:
        raise ImageError(f"{PINS} has no line of its own with sha256 for {name}: write {digest} there")
    PINS.write_text(text)
    return digest


def main(arguments: list[str] | None = None) -> int:
    """The command for maintainers; 0, or 1 after one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m tools.esp32_image", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("action", choices=("pin",))
    parser.add_argument("--board", choices=sorted(BOARDS), help="all, unless named")
    options = parser.parse_args(arguments)
    try:
        for name in [options.board] if options.board else BOARDS:
            print(f"{pin(name)}  {pins()[name].file}")
    except ImageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: run the same command again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

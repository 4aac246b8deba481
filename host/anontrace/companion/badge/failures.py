"""What bleak, D-Bus, the operating systems and the transports raise, turned into one sentence that says what to do.

The kinds: the adapter is missing or off, this program may not use it, the badge is out of range, the link broke, the
device is not what was expected.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakCharacteristicNotFoundError,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)

from anontrace.companion.errors import BadgeLinkError, BadgeNotFoundError, BluetoothError, CompanionError

_OFF = "Bluetooth is switched off; switch it on"
_NOT_ALLOWED = "this program may not use Bluetooth; allow it in the system's settings"
_NO_SERVICE = "no Bluetooth service is running on this computer; start it, or plug in an adapter"
_NO_ADAPTER = "the Bluetooth adapter is not there; plug it in again, or choose another one by --adapter"
_GONE = "the badge is out of range; bring it near, and check that it is switched on"
_NOT_ANSWERING = "the Bluetooth adapter does not answer; unplug it and plug it in, or switch Bluetooth off and on"

_UNAVAILABLE = {
    BleakBluetoothNotAvailableReason.NO_BLUETOOTH: "this computer has no Bluetooth; plug in an adapter",
    BleakBluetoothNotAvailableReason.NO_BLE_CENTRAL_ROLE: "the Bluetooth adapter cannot do low energy; use another one",
    BleakBluetoothNotAvailableReason.POWERED_OFF: _OFF,
    BleakBluetoothNotAvailableReason.DENIED_BY_USER: _NOT_ALLOWED,
    BleakBluetoothNotAvailableReason.DENIED_BY_SYSTEM: "the system's policy forbids Bluetooth; ask who manages it",
    BleakBluetoothNotAvailableReason.DENIED_BY_UNKNOWN: _NOT_ALLOWED,
    BleakBluetoothNotAvailableReason.UNKNOWN: "Bluetooth is not available; is an adapter there and switched on?",
}

# By the last part of a D-Bus error's name.
_DBUS: dict[str, tuple[type[CompanionError], str]] = {
    "NotReady": (BluetoothError, _OFF),
    "AccessDenied": (BluetoothError, _NOT_ALLOWED),
    "NotAuthorized": (BluetoothError, _NOT_ALLOWED),
    "NotPermitted": (BluetoothError, _NOT_ALLOWED),
    "ServiceUnknown": (BluetoothError, _NO_SERVICE),
    "NameHasNoOwner": (BluetoothError, _NO_SERVICE),
    "NoReply": (BluetoothError, _NOT_ANSWERING),
    "TimedOut": (BluetoothError, _NOT_ANSWERING),
    "InProgress": (BluetoothError, "another program uses the Bluetooth adapter; close it, or wait and try again"),
    "DoesNotExist": (BadgeNotFoundError, _GONE),
    "UnknownObject": (BadgeNotFoundError, _GONE),
    "NotConnected": (BadgeLinkError, _GONE),
}

# The beginning of a D-Bus error's name where the Bluetooth service should have been started, and was not.
_NOT_STARTED = ("org.freedesktop.DBus.Error.Spawn.", "org.freedesktop.systemd1.")

# What bleak tells by words alone, by a part of them. A badge that was there a moment ago is tried again: a broken link.
_SAID: tuple[tuple[str, type[CompanionError], str], ...] = (
    ("Is Bluetooth turned on", BluetoothError, _OFF),  # Windows: the scanner does not start
    ("Access Denied", BluetoothError, _NOT_ALLOWED),  # Windows
    ("Unreachable", BadgeLinkError, _GONE),  # Windows
    ("requires BlueZ", BluetoothError, "this system's Bluetooth service (BlueZ) is too old; update the system"),
    ("adapter '", BluetoothError, _NO_ADAPTER),  # Linux: '...' not found
    ("device '", BadgeLinkError, _GONE),  # Linux: likewise
    ("disconnect", BadgeLinkError, _GONE),
)

# By the code of Windows' error, of an HRESULT the low half.
_WINDOWS: dict[int, tuple[type[CompanionError], str]] = {
    5: (BluetoothError, _NOT_ALLOWED),  # access denied
    1167: (BadgeLinkError, _GONE),  # device not connected
    4319: (BluetoothError, _OFF),  # device not available
}


@contextmanager
def sentences(doing: str) -> Iterator[None]:
    """Whatever fails in the block comes out as a CompanionError; `doing` begins the sentence of an unknown failure."""
    try:
        yield
    except CompanionError:
        raise
    except (BleakError, OSError, EOFError) as error:  # OSError: also TimeoutError
        raise explain(error, doing) from error


def explain(error: Exception, doing: str) -> CompanionError:
    """The failure as the wearer reads it."""
    if isinstance(error, BleakBluetoothNotAvailableError):
        return BluetoothError(_UNAVAILABLE[error.reason])
    if isinstance(error, BleakDeviceNotFoundError):
        return BadgeNotFoundError(_GONE)
    if isinstance(error, BleakCharacteristicNotFoundError):
        return BadgeLinkError("the badge does not offer what this program needs; update its firmware")
    if isinstance(error, BleakGATTProtocolError):
        return BadgeLinkError(f"{doing}: the badge refused ({error.code.name}); try again nearer to it")
    if isinstance(error, BleakDBusError):
        if error.dbus_error.startswith(_NOT_STARTED):
            return BluetoothError(_NO_SERVICE)
        kind, sentence = _DBUS.get(error.dbus_error.rpartition(".")[2], (BadgeLinkError, f"{doing}; {_GONE}"))
        return kind(sentence)
    for words, kind, sentence in _SAID if isinstance(error, BleakError) else ():
        if words in str(error):
            return kind(sentence)
    code = getattr(error, "winerror", None)
    if code is not None and code & 0xFFFF in _WINDOWS:
        kind, sentence = _WINDOWS[code & 0xFFFF]
        return kind(sentence)
    if isinstance(error, TimeoutError):
        return BadgeLinkError(f"{doing}: no answer in time; bring the badge nearer")
    if isinstance(error, PermissionError):
        return BluetoothError(_NOT_ALLOWED)
    if isinstance(error, FileNotFoundError):  # no D-Bus socket: no BlueZ
        return BluetoothError(_NO_SERVICE)
    if isinstance(error, (ConnectionRefusedError, ConnectionResetError)):
        return BluetoothError(_NOT_ANSWERING)
    said = " ".join(str(error).split()) or type(error).__name__
    if said.startswith("Bluetooth adapter "):  # of bumble_adapter
        return BluetoothError(f"{said}; is it there, and is --adapter (or ANONTRACE_BLE) right?")
    return BadgeLinkError(f"{doing}: {said}; try again nearer to the badge")

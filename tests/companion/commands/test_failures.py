"""What bleak and the systems raise, raised for real inside bleak, comes out of the CLI as one line of advice."""

import asyncio
import errno
import json
import sys

import pytest
from anontrace.companion import cli
from anontrace.companion.badge import radio
from anontrace.companion.badge.failures import explain
from anontrace.companion.errors import NO_BADGE, USAGE, BadgeLinkError, BadgeNotFoundError, BluetoothError
from anontrace.companion.network.servers import Servers
from anontrace.companion.store import state
from bleak import BleakClient, BleakScanner, exc
from bleak.backends.device import BLEDevice
from bleak.exc import BleakBluetoothNotAvailableReason as Reason

from tests.companion.commands.test_cli import NETWORK

DBUS = "org.freedesktop.DBus.Error."
BLUEZ = "org.bluez.Error."


def unavailable(reason):
    return exc.BleakBluetoothNotAvailableError("not available", reason)


def windows(code):
    """As Windows' runtime raises it: an OSError with an HRESULT, which other systems do not know."""
    error = OSError(22, "an error of Windows")
    error.winerror = code
    return error


# What is raised, what it becomes, and words of the advice.
FAILURES = [
    (unavailable(Reason.NO_BLUETOOTH), BluetoothError, "plug in an adapter"),
    (unavailable(Reason.NO_BLE_CENTRAL_ROLE), BluetoothError, "use another one"),
    (unavailable(Reason.POWERED_OFF), BluetoothError, "switch it on"),
    (unavailable(Reason.DENIED_BY_USER), BluetoothError, "allow it"),
    (unavailable(Reason.DENIED_BY_SYSTEM), BluetoothError, "policy"),
    (unavailable(Reason.DENIED_BY_UNKNOWN), BluetoothError, "allow it"),
    (unavailable(Reason.UNKNOWN), BluetoothError, "switched on?"),
    (exc.BleakDBusError(BLUEZ + "NotReady", ["Resource Not Ready"]), BluetoothError, "switch it on"),
    (exc.BleakDBusError(DBUS + "AccessDenied", ["rejected send message"]), BluetoothError, "allow it"),
    (exc.BleakDBusError(DBUS + "ServiceUnknown", ["not provided by any .service files"]), BluetoothError, "start it"),
    (exc.BleakDBusError(DBUS + "Spawn.ChildExited", ["Launch helper exited"]), BluetoothError, "start it"),
    (exc.BleakDBusError(DBUS + "Spawn.Failed", ["Failed to execute program"]), BluetoothError, "start it"),
    (exc.BleakDBusError("org.freedesktop.systemd1.NoSuchUnit", ["dbus-org.bluez.service"]), BluetoothError, "start it"),
    (exc.BleakDBusError(DBUS + "TimedOut", ["Failed to activate service"]), BluetoothError, "unplug it"),
    (exc.BleakDBusError(BLUEZ + "InProgress", ["Operation already in progress"]), BluetoothError, "another program"),
    (exc.BleakDBusError(DBUS + "UnknownObject", []), BadgeNotFoundError, "bring it near"),
    (exc.BleakDBusError(BLUEZ + "Failed", ["le-connection-abort-by-local"]), BadgeLinkError, "bring it near"),
    (exc.BleakDeviceNotFoundError("AA:BB:CC:DD:EE:FF"), BadgeNotFoundError, "bring it near"),
    (exc.BleakCharacteristicNotFoundError("a7ce0003"), BadgeLinkError, "update its firmware"),
    (exc.BleakGATTProtocolError(0x0E), BadgeLinkError, "UNLIKELY_ERROR"),
    (exc.BleakGATTProtocolError(0x99), BadgeLinkError, "nearer"),
    (exc.BleakError("Not connected"), BadgeLinkError, "nearer"),
    (exc.BleakError("Failed to start scanner. Is Bluetooth turned on?"), BluetoothError, "switch it on"),
    (exc.BleakError("Could not get GATT services: Access Denied"), BluetoothError, "allow it"),
    (exc.BleakError("Could not get GATT services: Unreachable"), BadgeLinkError, "bring it near"),
    (exc.BleakError("Bleak requires BlueZ >= 5.55."), BluetoothError, "update the system"),
    (exc.BleakError("adapter 'hci0' not found"), BluetoothError, "plug it in"),
    (exc.BleakError("Bluetooth adapter usb:0 cannot be opened: no such device"), BluetoothError, "--adapter"),
    (exc.BleakError("device 'dev_AA_BB_CC' not found"), BadgeLinkError, "bring it near"),
    (exc.BleakError("failed to discover services, device disconnected"), BadgeLinkError, "bring it near"),
    (exc.BleakError("Failed to write characteristic 3:\n  Error Domain=CBErrorDomain"), BadgeLinkError, "nearer"),
    (windows(-2147020577), BluetoothError, "switch it on"),  # 0x800710DF, the device is not ready for use
    (windows(-2147024891), BluetoothError, "allow it"),  # 0x80070005, access is denied
    (windows(-2147023729), BadgeLinkError, "bring it near"),  # 0x8007048F, the device is not connected
    (windows(-2147467259), BadgeLinkError, "nearer"),  # 0x80004005, unspecified
    (TimeoutError(), BadgeLinkError, "nearer"),
    (PermissionError(errno.EACCES, "Permission denied"), BluetoothError, "allow it"),
    (FileNotFoundError(errno.ENOENT, "No such file"), BluetoothError, "start it"),
    (ConnectionRefusedError(), BluetoothError, "unplug it"),
    (OSError(errno.EIO, "Input/output error"), BadgeLinkError, "nearer"),
    (EOFError(), BadgeLinkError, "nearer"),
]
NAMES = [f"{number}-{type(failure[0]).__name__}" for number, failure in enumerate(FAILURES)]


def test_every_reason_that_bleak_knows_is_tried():
    tried = {error.reason for error, _, _ in FAILURES if isinstance(error, exc.BleakBluetoothNotAvailableError)}
    assert tried == set(Reason)


@pytest.mark.parametrize(("error", "kind", "advice"), FAILURES, ids=NAMES)
def test_each_is_one_sentence_that_says_what_to_do(error, kind, advice):
    found = explain(error, "connecting to the badge failed")
    assert type(found) is kind
    assert advice in str(found)
    assert "\n" not in str(found) and "AA:BB" not in str(found)


@pytest.fixture
def wearer(tmp_path, monkeypatch):
    """A state folder with a provisioned badge, and the arguments that name it."""
    monkeypatch.setattr("anontrace.companion.badge.own.ATTEMPTS", 1)
    (tmp_path / "network.toml").write_text(NETWORK)
    folder = tmp_path / "state"
    arguments = ["--state", str(folder), "--json"]
    assert cli.run([*arguments, "init", str(tmp_path / "network.toml")]) == 0
    with state.changing(folder) as opened:
        badge = opened.badges.ensure(20_000)
        opened.badges.set_provisioned(badge, 1, 1, 2, 3)
    return arguments


def failed(capsys):
    """The error in the one document, which is also the one line."""
    captured = capsys.readouterr()
    error = json.loads(captured.out.splitlines()[-1])["error"]
    assert captured.err == f"anontrace: {error['message']}\n"
    return error["message"]


@pytest.mark.parametrize(("error", "kind", "advice"), FAILURES, ids=NAMES)
def test_while_scanning(wearer, monkeypatch, capsys, error, kind, advice):
    async def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr(BleakScanner, "find_device_by_filter", fail)
    capsys.readouterr()
    assert cli.run([*wearer, "badge", "sync"]) == NO_BADGE == kind.exit_code
    assert advice in failed(capsys)


@pytest.mark.parametrize(
    ("error", "advice"), [(error, advice) for error, kind, advice in FAILURES if kind is not BluetoothError]
)
def test_while_connecting(wearer, monkeypatch, capsys, error, advice):

    async def find(*_arguments, **_options):
        return BLEDevice("AA:BB:CC:DD:EE:FF", None, {"path": "/org/bluez/hci0/dev_AA"})

    async def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr(BleakScanner, "find_device_by_filter", find)
    monkeypatch.setattr(BleakClient, "connect", fail)
    monkeypatch.setattr(BleakClient, "disconnect", lambda _self: find())
    monkeypatch.setattr(BleakClient, "__init__", lambda *_arguments, **_options: None)
    capsys.readouterr()
    assert cli.run([*wearer, "badge", "sync"]) == NO_BADGE
    assert advice in failed(capsys)


def test_a_badge_whose_address_changed_between_hearing_and_connecting_is_looked_for_again(wearer, monkeypatch, capsys):
    looked = []

    async def find(*_arguments, **_options):
        looked.append(True)
        return BLEDevice("AA:BB:CC:DD:EE:FF", None, {"path": "/org/bluez/hci0/dev_AA"})

    async def fail(*_arguments, **_options):
        raise exc.BleakDeviceNotFoundError("AA:BB:CC:DD:EE:FF")

    monkeypatch.setattr("anontrace.companion.badge.own.ATTEMPTS", 3)
    monkeypatch.setattr(BleakScanner, "find_device_by_filter", find)
    monkeypatch.setattr(BleakClient, "connect", fail)
    monkeypatch.setattr(BleakClient, "__init__", lambda *_arguments, **_options: None)
    capsys.readouterr()
    assert cli.run([*wearer, "badge", "sync"]) == NO_BADGE
    assert "bring it near" in failed(capsys) and len(looked) == 3


@pytest.mark.parametrize(
    ("scans", "found"),
    [
        (["A"], "A"),
        (["AB", "B"], "B"),  # one badge, which changed its Bluetooth address in the first scan
        (["AB", "AB"], "2 new badges are heard"),
        (["", ""], "no new badge was heard"),
    ],
)
def test_a_new_badge_that_changes_its_address_is_not_taken_for_two(monkeypatch, scans, found):
    heard = iter(scans)

    class Scanner:
        def __init__(self, hear, **_options):
            self.hear = hear

        async def __aenter__(self):
            for address in next(heard):
                self.hear(BLEDevice(address, None, {}), None)

        async def __aexit__(self, *_failure):
            pass

    monkeypatch.setattr(radio, "BleakScanner", Scanner)
    monkeypatch.setattr(radio, "BESIDE_SECONDS", 0.0)
    monkeypatch.setattr(radio, "_advertised", lambda _advertisement: bytes(20))

    async def look():
        return (await radio.Radio("system").find_new(lambda _data: True, 0.01)).device.address

    try:
        assert asyncio.run(look()) == found
    except BadgeNotFoundError as error:
        assert found in str(error)


def test_out_of_range(wearer, monkeypatch, capsys):
    async def nobody(*_arguments, **_options):
        return None

    monkeypatch.setattr(BleakScanner, "find_device_by_filter", nobody)
    capsys.readouterr()
    assert cli.run([*wearer, "badge", "info"]) == NO_BADGE
    assert "not heard within 30 seconds; bring it near" in failed(capsys)
    monkeypatch.setattr(Servers, "log_key", bytes(32))  # there is no server here to ask for it
    assert cli.run([*wearer, "badge", "provision"]) == NO_BADGE
    assert "; one that is new, or was emptied, needs --usb PORT or --new" in failed(capsys)


def test_an_adapter_of_linux_is_the_one_that_bleak_is_given(wearer, monkeypatch, capsys):
    given = []

    async def nobody(*_arguments, **options):
        given.append(options)

    monkeypatch.setattr(BleakScanner, "find_device_by_filter", nobody)
    assert cli.run([*wearer, "--adapter", "hci1", "badge", "info"]) == NO_BADGE
    assert cli.run([*wearer, "badge", "info"]) == NO_BADGE
    assert [options.get("bluez") for options in given] == [{"adapter": "hci1"}, None]
    monkeypatch.setattr(sys, "platform", "win32")
    capsys.readouterr()
    assert cli.run([*wearer, "--adapter", "hci1", "badge", "info"]) == USAGE
    assert "on Linux alone" in failed(capsys)

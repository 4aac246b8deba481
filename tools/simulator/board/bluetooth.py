"""bluetooth as the ESP32 port (NimBLE) has it: the calls go to the air, which holds the state and names the errors.

Events reach the handler as there: memoryviews are the port's own buffers and are overwritten when the handler returns.
"""

import struct

import _air
import micropython
from micropython import const

FLAG_BROADCAST = const(0x0001)
FLAG_READ = const(0x0002)
FLAG_WRITE_NO_RESPONSE = const(0x0004)
FLAG_WRITE = const(0x0008)
FLAG_NOTIFY = const(0x0010)
FLAG_INDICATE = const(0x0020)
FLAG_AUTHENTICATED_SIGNED_WRITE = const(0x0040)
FLAG_AUX_WRITE = const(0x0100)
FLAG_READ_ENCRYPTED = const(0x0200)
FLAG_READ_AUTHENTICATED = const(0x0400)
FLAG_READ_AUTHORIZED = const(0x0800)
FLAG_WRITE_ENCRYPTED = const(0x1000)
FLAG_WRITE_AUTHENTICATED = const(0x2000)
FLAG_WRITE_AUTHORIZED = const(0x4000)

_EINVAL = const(22)
_DEFAULT_VALUE = const(20)
_SCAN_DONE = const(6)
_GET_SECRET = const(29)
_SET_SECRET = const(30)
_OUR_IRK = const(10)

_handler = None
_values = {}  # attribute handle: [buffer, length used, append]
_address = bytearray(6)
_data = bytearray(528)
_data_view = memoryview(_data)
_singleton = None

# per IRQ number: how many 16-bit fields its tuple begins with
_FIELDS = (
    b"\x00\x01\x01\x02\x02\x00\x00\x01\x01\x03\x02\x03\x02\x02\x02\x02\x03\x03\x02\x02\x03\x02\x00\x00\x00\x00\x00\x05"
)


class UUID:
    """16-bit from an integer, 16-, 32- or 128-bit from little-endian bytes, 128-bit from text."""

    def __init__(self, value):
        if isinstance(value, int):
            if not 0 <= value <= 0xFFFF:
                raise ValueError("invalid UUID")
            self._raw = struct.pack("<H", value)
        elif isinstance(value, str):
            digits = value.replace("-", "")
            if len(digits) != 32:
                raise ValueError("invalid UUID")
            self._raw = bytes(reversed(bytes.fromhex(digits)))
        else:
            self._raw = bytes(value)
            if len(self._raw) not in (2, 4, 16):
                raise ValueError("invalid UUID")

    def __eq__(self, other):
        return isinstance(other, UUID) and self._raw == other._raw

    def __hash__(self):
        return hash(self._raw)

    def __iter__(self):  # for bytes(): the port's offers its buffer
        return iter(self._raw)

    def __repr__(self):
        if len(self._raw) < 16:
            return "UUID(0x%04x)" % int.from_bytes(self._raw, "little")
        h = bytes(reversed(self._raw)).hex()
        return "UUID('%s-%s-%s-%s-%s')" % (h[:8], h[8:12], h[12:16], h[16:20], h[20:])


def _pack_uuid(uuid):
    return b"\x00" if uuid is None else bytes((len(uuid._raw),)) + uuid._raw


def _value(handle):
    entry = _values.get(handle)
    if entry is None:
        raise OSError(_EINVAL)
    return entry


def _store(entry, data):
    """A remote write: appended or not, and cut at the end of the buffer."""
    start = entry[1] if entry[2] else 0
    size = min(len(data), len(entry[0]) - start)
    entry[0][start : start + size] = data[:size]
    entry[1] = start + size


def _arguments(number, body):
    count = _FIELDS[number] if number < len(_FIELDS) else 0
    at = 2 * count
    fields = struct.unpack_from("<%dH" % count, body, 0)
    if number == 5:
        size = len(body) - 9
        _address[:] = body[1:7]
        _data[:size] = body[9:]
        rssi = body[8]
        return (body[0], memoryview(_address), body[7], rssi - 256 if rssi > 127 else rssi, _data_view[:size])
    if number == _GET_SECRET:
        return (body[0], body[1], None)
    if number in (1, 2, 7, 8):
        _address[:] = body[3:9]
        return fields + (body[2], memoryview(_address))
    if number == 11:
        return fields + (body[at], UUID(body[at + 2 :]))
    if number in (9, 13):
        return fields + (UUID(body[at + 1 :]),)
    if number in (15, 18, 19):
        size = len(body) - at
        _data[:size] = body[at:]
        return fields + (_data_view[:size],)
    return fields


def _call_handler(number, arguments):
    global _handler
    if _handler is None:
        return None
    locks = number != _GET_SECRET or arguments[0] == _OUR_IRK  # an answer for a peer may be made there
    if locks:
        _air.enter_handler()
    try:
        result = _handler(number, arguments)
    except Exception as error:
        if locks:
            _air.leave_handler()
        import sys

        print("Unhandled exception in IRQ callback handler")
        sys.print_exception(error, sys.stdout)
        _handler = None  # as the port does
        return None
    if locks:
        _air.leave_handler()
    return result


def _dispatch(number, body):
    arguments = _arguments(number, body)
    if number == 3:
        entry = _values.get(arguments[1])
        if entry is not None:
            _store(entry, body[4:])
    result = _call_handler(number, arguments)
    if number == 4:
        entry = _values.get(arguments[1])
        status = (
            0x0A if entry is None else 0 if result is None or result is True else 0x02 if result is False else result
        )
        value = b"" if status else bytes(entry[0][: entry[1]])
        _air.call(12, struct.pack("<HHB", arguments[0], arguments[1], status) + value)
    for i in range(6):
        _address[i] = 0xDD
    if number in (5, 15, 18, 19):
        for i in range(len(arguments[-1])):
            _data[i] = 0xDD


_air.dispatch = _dispatch


class BLE:
    """The radio; every BLE() is the same one."""

    def __new__(cls):
        global _singleton
        if _singleton is None:
            _singleton = object.__new__(cls)
            _singleton._active = False
        return _singleton

    def active(self, on=None):
        if on is not None:
            _air.call(1, b"\x01" if on else b"\x00")
            comes_up = on and not self._active
            self._active = bool(on)
            _values.clear()
            if comes_up:  # NimBLE asks for the secret of its own address whether or not anybody pairs
                secret = memoryview(bytes(16))
                if _call_handler(_GET_SECRET, (_OUR_IRK, 0, memoryview(b"irk"))) is None:
                    _call_handler(_SET_SECRET, (_OUR_IRK, memoryview(b"irk"), secret))
        return self._active

    def config(self, name=None, **settings):
        if name is not None:
            if settings:
                raise TypeError("can't specify pos and kw args")
            if name == "mac":
                answer = _air.call(2)
                return (answer[0], bytes(answer[1:7]))
            if name == "gap_name":
                return bytes(_air.call(3))
            if name == "mtu":
                return struct.unpack("<H", _air.call(4))[0]
            raise ValueError("unknown config param")
        for key, value in settings.items():
            if key == "addr_mode":
                _air.call(2, bytes((value,)))
            elif key == "gap_name":
                _air.call(3, b"=" + (value.encode() if isinstance(value, str) else value))
            elif key == "mtu":
                _air.call(4, struct.pack("<H", value))
            else:  # rxbuf too: the port calls the handler at once, without a buffer in between
                raise ValueError("unknown config param")
        return None

    def irq(self, handler):
        global _handler
        if handler is not None and not callable(handler):
            raise ValueError("invalid handler")
        _handler = handler

    def gap_advertise(self, interval_us, adv_data=None, *, resp_data=None, connectable=True):
        body = struct.pack(
            "<IB",
            interval_us or 0,
            (1 if connectable else 0) | (0 if adv_data is None else 2) | (0 if resp_data is None else 4),
        )
        for data in (adv_data, resp_data):
            data = data or b""
            body += bytes((len(data),)) + data
        _air.call(5, body)

    def gap_scan(self, duration_ms, interval_us=1280000, window_us=11250, active=False):
        if duration_ms is None:
            if _air.call(6):
                _call_handler(_SCAN_DONE, ())
        else:
            _air.call(6, struct.pack("<IIIB", duration_ms, interval_us, window_us, active))

    def gap_connect(
        self, addr_type, addr=None, scan_duration_ms=2000, min_conn_interval_us=None, max_conn_interval_us=None
    ):
        if addr_type is None:
            _air.call(7)
        else:
            if len(addr) != 6:
                raise ValueError("invalid addr")
            if _air.call(7, struct.pack("<IB", scan_duration_ms, addr_type) + addr):
                _call_handler(_SCAN_DONE, ())

    def gap_disconnect(self, conn_handle):
        try:
            _air.call(8, struct.pack("<H", conn_handle))
        except OSError as error:
            if error.errno == 107:  # ENOTCONN
                return False
            raise
        return True

    def gatts_register_services(self, services):
        body = bytearray((len(services),))
        counts = []
        for uuid, characteristics in services:
            body += _pack_uuid(uuid) + bytes((len(characteristics),))
            count = 0
            for characteristic in characteristics:
                descriptors = characteristic[2] if len(characteristic) > 2 else ()
                body += _pack_uuid(characteristic[0]) + struct.pack("<HB", characteristic[1], len(descriptors))
                for descriptor in descriptors:
                    body += _pack_uuid(descriptor[0]) + struct.pack("<H", descriptor[1])
                count += 1 + len(descriptors)
            counts.append(count)
        answer = _air.call(9, body)
        handles = struct.unpack("<%dH" % (len(answer) // 2), answer)
        _values.clear()
        result = ()
        at = 0
        for count in counts:
            result += (handles[at : at + count],)
            at += count
        for handle in handles:
            _values[handle] = [bytearray(_DEFAULT_VALUE), 0, False]
        return result

    def _require_active(self):
        if not self._active:
            raise OSError(19)  # ENODEV

    def gatts_read(self, value_handle):
        self._require_active()
        entry = _values.get(value_handle)
        if entry is None:
            return b""  # the port does not look whether there is such an attribute
        size = entry[1]
        if entry[2]:
            entry[1] = 0
        if not _air.handling:
            _air.race()
        elif _air.lock_heap:  # this allocation is the port's
            micropython.heap_unlock()
        value = bytes(memoryview(entry[0])[:size])
        if _air.handling and _air.lock_heap:
            micropython.heap_lock()
        return value

    def gatts_write(self, value_handle, data, send_update=False):
        self._require_active()
        entry = _value(value_handle)
        if isinstance(data, str):
            data = data.encode()
        if len(data) > len(entry[0]):
            entry[0] = bytearray(len(data))
        entry[0][: len(data)] = data
        entry[1] = len(data)
        if send_update:
            _air.call(18, struct.pack("<H", value_handle) + data)

    def gatts_set_buffer(self, value_handle, length, append=False):
        self._require_active()
        entry = _value(value_handle)
        entry[0] = bytearray(length)
        entry[1] = 0
        entry[2] = append

    def _send_value(self, op, conn_handle, value_handle, data):
        self._require_active()
        if data is None:
            entry = _value(value_handle)
            data = entry[0][: entry[1]]
        _air.call(op, struct.pack("<HH", conn_handle, value_handle) + data)

    def gatts_notify(self, conn_handle, value_handle, data=None):
        self._send_value(10, conn_handle, value_handle, data)

    def gatts_indicate(self, conn_handle, value_handle, data=None):
        self._send_value(11, conn_handle, value_handle, data)

    def gattc_discover_services(self, conn_handle, uuid=None):
        _air.call(13, struct.pack("<H", conn_handle) + _pack_uuid(uuid))

    def gattc_discover_characteristics(self, conn_handle, start_handle, end_handle, uuid=None):
        _air.call(14, struct.pack("<HHH", conn_handle, start_handle, end_handle) + _pack_uuid(uuid))

    def gattc_discover_descriptors(self, conn_handle, start_handle, end_handle):
        _air.call(19, struct.pack("<HHH", conn_handle, start_handle, end_handle))

    def gattc_read(self, conn_handle, value_handle):
        _air.call(15, struct.pack("<HH", conn_handle, value_handle))

    def gattc_write(self, conn_handle, value_handle, data, mode=0):
        _air.call(16, struct.pack("<HHB", conn_handle, value_handle, mode) + data)

    def gattc_exchange_mtu(self, conn_handle):
        _air.call(17, struct.pack("<H", conn_handle))

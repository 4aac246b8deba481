"""A radio that writes down what it is told and hands on what a test gives it. Whole radios: tools/simulator."""

import os

FLAG_WRITE = 8


class UUID:
    def __init__(self, text):
        self.text = text


class BLE:
    last = None

    def __init__(self):
        self.on = False
        self.told = []
        self.written = {}
        self.notified = []
        self.refuse = {}  # method -> list of OSError numbers to raise, first first
        self.unknown = ()  # connections that have gone without a word
        self.full = False  # no heap is left for what is read
        self.handler = None
        BLE.last = self

    def _tell(self, *what):
        self.told.append(what)
        numbers = self.refuse.get(what[0])
        if numbers:
            raise OSError(numbers.pop(0))

    def irq(self, handler):
        self.handler = handler

    def active(self, on=None):
        if on is None:
            return self.on
        self._tell("active", on)
        self.on = on
        return on

    def config(self, asked=None, **settings):
        if asked == "mac":
            return 1, os.urandom(6)
        self._tell("config", settings)

    def gatts_register_services(self, services):
        self._tell("services", [[c[0].text for c in service[1]] for service in services])
        return ((12, 14, 17),)

    def gatts_set_buffer(self, handle, size, append=False):
        self._tell("buffer", handle, size, append)

    def gatts_read(self, handle):
        if self.full:
            raise MemoryError
        return self.written.pop(handle, b"")

    def gatts_notify(self, connection, handle, data):
        numbers = self.refuse.get("notify")
        if numbers:
            raise OSError(numbers.pop(0))
        self.notified.append((connection, handle, bytes(data)))

    def gap_advertise(self, interval_us, adv_data=None):
        self._tell("advertise", interval_us, adv_data)

    def gap_scan(self, *arguments):
        self._tell("scan", *arguments)

    def gap_connect(self, kind, address=None, ms=2000):
        self._tell("connect", kind, address, ms)
        if kind is None:
            self.handler(8, (0xFFFF, 0xFF, bytes(6)))

    def gattc_exchange_mtu(self, connection):
        self._tell("mtu", connection)

    def gattc_discover_characteristics(self, connection, first, last, uuid=None):
        self._tell("discover", connection, uuid.text)

    def gattc_write(self, connection, handle, data, mode=0):
        self._tell("write", connection, handle, bytes(data), mode)

    def gap_disconnect(self, connection):
        self._tell("disconnect", connection)
        if connection in self.unknown:
            return False
        self.handler(2, (connection, 1, b"abcdef"))
        return True

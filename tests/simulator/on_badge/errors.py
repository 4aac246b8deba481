"""Does what the ESP32 port refuses, and prints the errno or the exception of each."""

import asyncio

import bluetooth
import machine

ble = bluetooth.BLE()
characteristic = (bluetooth.UUID(0x1234), bluetooth.FLAG_WRITE | bluetooth.FLAG_NOTIFY)
services = ((bluetooth.UUID("a7ce0001-0a7e-4c1d-9a55-5f0a3c7e1b00"), (characteristic,)),)


def attempt(name, function, *arguments, **settings):
    try:
        result = function(*arguments, **settings)
        print(name, "returned", result)
    except OSError as error:
        print(name, "errno", error.errno)
    except Exception as error:
        print(name, type(error).__name__)


attempt("inactive advertise", ble.gap_advertise, 500_000, b"\x02\x01\x06")
attempt("inactive scan", ble.gap_scan, 0)
attempt("inactive write", ble.gatts_write, 1, b"")
events = []
ble.irq(lambda event, data: events.append(event))
ble.active(True)
print("active", events)
attempt("data too long", ble.gap_advertise, 500_000, bytes(32))
attempt("interval too short", ble.gap_advertise, 10_000, b"\x02\x01\x06")
attempt("window over interval", ble.gap_scan, 0, 50_000, 60_000)
attempt("unknown config", ble.config, "colour")
attempt("unknown setting", ble.config, colour=1)
attempt("rxbuf", ble.config, rxbuf=2048)
attempt("mtu", ble.config, mtu=600)
attempt("bad handle", ble.gatts_read, 999)
attempt("not connected", ble.gatts_notify, 9, 1, b"x")
attempt("disconnect nobody", ble.gap_disconnect, 9)
attempt("stop connecting to nobody", ble.gap_connect, None)
ble.gap_scan(0, 50_000, 50_000)
attempt("scan twice", ble.gap_scan, 0, 50_000, 50_000)
mac = ble.config("mac")
attempt("address while scanning", ble.config, addr_mode=3)
events.clear()
ble.gap_scan(None)
print("stopped", events)
ble.gap_scan(None)
print("stopped again", events)
ble.gap_advertise(500_000, b"\x02\x01\x06")
attempt("address while advertising", ble.config, addr_mode=3)
print("changed", ble.config("mac") != mac)
attempt("register while advertising", ble.gatts_register_services, services)
ble.gap_advertise(None)
((handle,),) = ble.gatts_register_services(services)
ble.gatts_write(handle, b"0123456789012345678901234")
print("value", ble.gatts_read(handle))
ble.gatts_write(handle, "text")
print("value", ble.gatts_read(handle))
addresses = set()
for _ in range(20):
    ble.config(addr_mode=3)
    kind, address = ble.config("mac")
    print("drawn", kind, address[0] >> 6)
    addresses.add(address)
print("distinct", len(addresses))
attempt("odd clock", machine.freq, 100_000_000)
machine.freq(80_000_000)
print("clock", machine.freq())
print("same", bluetooth.BLE() is ble, bluetooth.UUID(0x2902) == bluetooth.UUID(0x2902), bluetooth.UUID(0x2902))


async def main():
    ble.gap_advertise(500_000, b"\x02\x01\x06", connectable=False)
    await asyncio.sleep(3600)


asyncio.run(main())

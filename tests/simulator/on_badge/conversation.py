"""What both sides of a conversation without asyncio share: a program that waits in a loop, as most for this port do."""

import time

import bluetooth
import machine

SERVICE = bluetooth.UUID("1b8c0001-5d2e-4b0f-9a3c-0f6d1e2a7b44")
VALUE = bluetooth.UUID("1b8c0002-5d2e-4b0f-9a3c-0f6d1e2a7b44")
MTU = 512
SIZE = 480  # bytes of one transfer: with that MTU one L2CAP PDU, in two ACL packets

ble = bluetooth.BLE()
come = []  # (event, data) in order


def handler(event, data):
    if event in (1, 2, 7, 8):
        data = (data[0],)
    elif event == 5:
        data = (data[0], bytes(data[1]), bytes(data[4]))
    elif event in (15, 18, 19):
        data = (data[0], data[1], bytes(data[2]))
    else:
        data = tuple(data)
    come.append((event, data))


def await_event(wanted):
    """Data of the next such event, within ten seconds; what comes before it is passed over."""
    began = time.ticks_ms()
    while time.ticks_diff(time.ticks_ms(), began) < 10000:
        while come:
            event, data = come.pop(0)
            if event == wanted:
                return data
        machine.idle()
    raise ValueError("has not come", wanted)


def switch_on():
    ble.active(True)
    ble.config(mtu=MTU)
    ble.irq(handler)

# Before each script: what several need. TAG (12 random bytes) is this run's; the adverts are of a service of nobody.
import gc
import json
import time

import bluetooth

ble = bluetooth.BLE()
HEAD = b"\x02\x01\x06\x15\x16\xff\xff" + TAG
CONNECT_MS = 20000  # for which a board is looked for
heard = []  # (address type, address, number, ticks at which it was sent, at which it was heard), of this run's adverts
told = {}  # by event: (ticks at which it came last, its connection or value handle)
hook = None  # called with each event, before it is noted


def advert(number):
    return HEAD + bytes((number & 255, number >> 8)) + (time.ticks_ms() & 0xFFFFFFFF).to_bytes(4, "little")


def on_event(event, data):
    if hook is not None:
        hook(event, data)
    if event == 5:
        peer_type, peer, _, _, payload = data
        if len(payload) == 25 and bytes(payload[:19]) == HEAD:
            number = payload[19] | payload[20] << 8
            sent = int.from_bytes(bytes(payload[21:25]), "little")
            heard.append((peer_type, bytes(peer), number, sent, time.ticks_ms()))
    elif event in (1, 2, 7, 8):
        told[event] = time.ticks_ms(), data[0]
    elif event == 11:
        told[event] = time.ticks_ms(), data[2]
    elif event != 29:
        told[event] = time.ticks_ms(), 0


def switch_on():
    ble.irq(on_event)
    ble.active(True)
    ble.config(gap_name="", mtu=247)


def wait(condition, ms, every=10):
    end = time.ticks_add(time.ticks_ms(), ms)
    while not condition():
        if time.ticks_diff(end, time.ticks_ms()) <= 0:
            return False
        time.sleep_ms(every)
    return True


def listen_for(ms):
    """The first advert of the other board, as in `heard`; None if there is none in that time."""
    heard.clear()
    ble.gap_scan(0, 30000, 30000)
    wait(lambda: heard, ms)
    ble.gap_scan(None)
    return heard[0] if heard else None


def connect(peer, ms):
    """Milliseconds until the connection stands, -1 if it does not come up."""
    told.pop(7, None)
    began = time.ticks_ms()
    ble.gap_connect(peer[0], peer[1], ms)
    if not wait(lambda: 7 in told, ms + 500):
        return -1
    return time.ticks_diff(told[7][0], began)


def idf():
    """Bytes that ESP-IDF has: free, and of its largest block."""
    import esp32

    areas = esp32.idf_heap_info(esp32.HEAP_DATA)
    return [sum([area[1] for area in areas]), max([area[2] for area in areas])]


def say(**found):
    """The last line that a script prints is what it has found."""
    try:
        ble.active(False)
    except OSError:
        pass
    print("found " + json.dumps(found))

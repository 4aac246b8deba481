# Writes to inbox.py without waiting: pieces of 200 bytes that count on modulo 251.
switch_on()
peer = listen_for(CONNECT_MS)
written = -1
if peer is not None and connect(peer, 5000) >= 0:
    handle = told[7][1]
    ble.gattc_exchange_mtu(handle)
    wait(lambda: 21 in told, 3000)
    ble.gattc_discover_characteristics(handle, 1, 0xFFFF, bluetooth.UUID(0xFF02))
    wait(lambda: 12 in told, 5000)
    if 11 in told:
        written = 0
        end = time.ticks_add(time.ticks_ms(), 10000)
        while written < PIECES * 200 and time.ticks_diff(end, time.ticks_ms()) > 0:
            piece = bytes([(written + at) % 251 for at in range(200)])
            try:
                ble.gattc_write(handle, told[11][1], piece, 0)
                written += 200
            except OSError:
                time.sleep_ms(5)  # no buffer is free
        time.sleep_ms(1500)  # what is on the way arrives
    ble.gap_disconnect(handle)
    wait(lambda: 8 in told, 2000)
say(bytes=written)

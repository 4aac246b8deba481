# Wants to pair: whether the connection is encrypted, or how soon it ends.
switch_on()
found = {}
if not hasattr(ble, "gap_pair"):
    found["missing"] = "gap_pair"
peer = listen_for(CONNECT_MS)
if peer is not None and connect(peer, 5000) >= 0:
    began = time.ticks_ms()
    if "missing" not in found:
        ble.gap_pair(told[7][1])
        wait(lambda: 8 in told, 10000)
    found["ended_ms"] = time.ticks_diff(told[8][0], began) if 8 in told else -1
    found["encrypted"] = 28 in told
    if 8 not in told:
        ble.gap_disconnect(told[7][1])
        wait(lambda: 8 in told, 2000)
say(**found)

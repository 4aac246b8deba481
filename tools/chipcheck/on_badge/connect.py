# How long it takes to connect to be_connected.py, -1 where that does not happen within two seconds.
switch_on()
peer = listen_for(CONNECT_MS)
took = []
if peer is not None:
    for _ in range(TRIES):
        took.append(connect(peer, 2000))
        if took[-1] < 0:
            try:
                ble.gap_connect(None)
            except OSError:
                pass  # nothing is under way any more
        else:
            told.pop(8, None)
            ble.gap_disconnect(told[7][1])
            wait(lambda: 8 in told, 3000)
        time.sleep_ms(300)
say(took=took)

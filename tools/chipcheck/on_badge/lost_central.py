# Connects, and is gone at that moment; then what the other sends: adverts that are right, and empty ones.
rounds = []
peer = None


def count(event, data):
    if event == 5 and peer is not None and bytes(data[1]) == peer[1]:
        counts[1 if len(data[4]) else 2] += 1


hook = count
seen = -1
end = time.ticks_add(time.ticks_ms(), CONNECT_MS + ROUNDS * ROUND_MS)
while len(rounds) < ROUNDS and time.ticks_diff(end, time.ticks_ms()) > 0:
    counts = [0, 0, 0]
    switch_on()
    peer = listen_for(ROUND_MS)
    if peer is None or peer[2] == seen:  # this round is over; the next begins with another number
        if peer is not None:
            time.sleep_ms(200)
        continue
    seen = peer[2]
    told.pop(7, None)
    ble.gap_connect(peer[0], peer[1], 2000)
    wait(lambda: 7 in told, 2500, 1)
    ble.active(False)
    counts = [int(7 in told), 0, 0]
    switch_on()
    ble.gap_scan(0, 30000, 30000)
    time.sleep_ms(ROUND_MS // 2)
    ble.gap_scan(None)
    rounds.append(counts)
say(rounds=rounds)

# What is heard of send.py: [number, sent, heard] of the first time that each advert is.
switch_on()
ble.gap_scan(0, 30000, 30000)
wait(lambda: heard, CONNECT_MS)
wait(lambda: False, SLEEP_MS + 200 * ADVERTS + 3000)
ble.gap_scan(None)
first = {}
for _, _, number, sent, at in heard:
    if number not in first:
        first[number] = [number, sent, at]
say(heard=sorted(first.values()))

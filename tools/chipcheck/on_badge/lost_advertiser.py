# Is on the air once for each round, and does nothing about what happens: which events came, and after how many ms.
rounds = []


def note(event, data):
    if event in (1, 2):
        rounds[-1].append([event, time.ticks_diff(time.ticks_ms(), began)])


hook = note
switch_on()
for number in range(ROUNDS):
    rounds.append([])
    began = time.ticks_ms()
    ble.gap_advertise(None)
    ble.gap_advertise(100000, adv_data=advert(number))
    time.sleep_ms(ROUND_MS)
say(rounds=rounds)

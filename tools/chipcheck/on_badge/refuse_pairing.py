# Hangs up on whoever wants to pair, as the firmware does: at the question for the keys of a peer that is not known.
asked = []


def on_secret(event, data):
    if event == 29 and data[0] != 10:
        asked.append(data[0])
        if 1 in told:
            ble.gap_disconnect(told[1][1])


hook = on_secret
switch_on()
ble.gap_advertise(50000, adv_data=advert(0))
wait(lambda: 2 in told, CONNECT_MS + 12000)
say(asked=len(asked), connected=1 in told, ended=2 in told)

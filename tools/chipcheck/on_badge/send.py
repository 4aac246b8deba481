# Starts advertising ADVERTS times, one in 100 ms, each for one advert; sleeps; and once more.
def series(first):
    for number in range(first, first + ADVERTS):
        ble.gap_advertise(None)
        ble.gap_advertise(10000000, adv_data=advert(number))
        time.sleep_ms(100)
    ble.gap_advertise(None)


time.sleep_ms(START_MS)  # the other board listens by then
switch_on()
series(0)
if SLEEP_MS:
    import machine

    ble.active(False)
    gc.collect()
    machine.lightsleep(SLEEP_MS)
    switch_on()
    series(1000)
say()

# How long Bluetooth takes to come up, and what each time leaves of both heaps. Collects before, as the firmware does.
took = []
first = None
for _ in range(STARTS):
    ble.active(False)
    gc.collect()
    if first is None:
        first = [gc.mem_free(), idf()]
    began = time.ticks_ms()
    switch_on()
    ble.config(addr_mode=3)
    ble.gap_advertise(10000000, adv_data=advert(0))
    took.append(time.ticks_diff(time.ticks_ms(), began))
ble.active(False)
gc.collect()
say(took=took, first=first, last=[gc.mem_free(), idf()])

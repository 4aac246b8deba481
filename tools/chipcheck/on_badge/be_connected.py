# Can be connected to, again and again, for as long as the other board tries.
switch_on()
end = time.ticks_add(time.ticks_ms(), CONNECT_MS)
ble.gap_advertise(80000, adv_data=advert(0))
while time.ticks_diff(end, time.ticks_ms()) > 0:
    if told.pop(2, None) is not None:
        end = time.ticks_add(time.ticks_ms(), 6000)
        ble.gap_advertise(80000, adv_data=advert(0))
    time.sleep_ms(20)
say()

# Is written to, and reads: in the handler, or as soon as it comes to it. How many bytes, and whether all are in order.
got = [0, 0, 0]  # bytes, bytes out of their order, what the next has to be
pending = []


def read():
    for byte in ble.gatts_read(inbox):
        got[0] += 1
        got[1] += byte != got[2]
        got[2] = (byte + 1) % 251


def on_write(event, data):
    if event == 3:
        if IN_HANDLER:
            read()
        else:
            pending.append(1)


hook = on_write
switch_on()
characteristic = (bluetooth.UUID(0xFF02), 0x0C)
((inbox,),) = ble.gatts_register_services(((bluetooth.UUID(0xFF01), (characteristic,)),))
ble.gatts_set_buffer(inbox, 2048, True)
ble.gap_advertise(50000, adv_data=advert(0))
end = time.ticks_add(time.ticks_ms(), CONNECT_MS)
while 2 not in told and (1 in told or time.ticks_diff(end, time.ticks_ms()) > 0):
    if pending:
        time.sleep_ms(15)  # as a badge that computes
        pending.clear()
        read()
    time.sleep_ms(5)
read()
say(bytes=got[0], broken=got[1])

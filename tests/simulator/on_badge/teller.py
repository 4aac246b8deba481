"""The peripheral's side of conversation.py: is connected to, written to, subscribed to, and tells a long value."""

import time

from conversation import SERVICE, SIZE, VALUE, await_event, ble, switch_on

switch_on()
characteristic = (VALUE, 0x02 | 0x08 | 0x10 | 0x20)
((value,),) = ble.gatts_register_services(((SERVICE, (characteristic,)),))
ble.gatts_set_buffer(value, SIZE)
for _ in range(2):
    ble.gap_advertise(50_000, b"\x02\x01\x06\x04\xff\xff\xff\x01")
    (connection,) = await_event(1)
    print("mtu", await_event(21)[1])
    await_event(3)
    got = ble.gatts_read(value)
    print("written", len(got), got == bytes(range(240)) * 2)
    ble.gatts_write(value, bytes(reversed(got)))
    await_event(3)
    ble.gatts_write(value, b"told to who has asked for it", True)
    ble.gatts_notify(connection, value, bytes(range(240)) * 2)
    ble.gatts_indicate(connection, value, b"and is this here")
    print("confirmed", await_event(20)[2])
    await_event(2)
print("over")
time.sleep(3600)

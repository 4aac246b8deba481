"""The central's side of conversation.py: scans, connects, discovers, writes, subscribes, reads; twice."""

import time

from conversation import SERVICE, VALUE, await_event, ble, switch_on

switch_on()
for _ in range(2):
    ble.gap_scan(0, 100_000, 100_000)
    heard = await_event(5)
    while b"\xff\xff\xff" not in heard[2]:
        heard = await_event(5)
    ble.gap_connect(heard[0], heard[1])
    (connection,) = await_event(7)
    ble.gattc_exchange_mtu(connection)
    print("mtu", await_event(21)[1])
    ble.gattc_discover_services(connection, SERVICE)
    _, first, last, uuid = await_event(9)
    print("service", uuid == SERVICE, await_event(10)[1])
    ble.gattc_discover_characteristics(connection, first, last, VALUE)
    _, _, value, properties, _ = await_event(11)
    print("characteristic", properties, await_event(12)[1])
    ble.gattc_discover_descriptors(connection, value, last)
    _, descriptor, uuid = await_event(13)  # the value itself is none
    print("descriptor", uuid, await_event(14)[1])
    ble.gattc_write(connection, value, bytes(range(240)) * 2, 1)
    print("write", await_event(17)[2])
    ble.gattc_read(connection, value)
    got = await_event(15)[2]
    print("read", len(got), await_event(16)[2])
    ble.gattc_write(connection, descriptor, b"\x01\x00", 1)
    await_event(17)
    ble.gattc_write(connection, value, b"now", 1)
    print("notified", await_event(18)[2])
    got = await_event(18)[2]
    print("notified", len(got), got == bytes(range(240)) * 2)
    print("indicated", await_event(19)[2])
    print("disconnect", ble.gap_disconnect(connection))
    await_event(8)
print("over")
time.sleep(3600)

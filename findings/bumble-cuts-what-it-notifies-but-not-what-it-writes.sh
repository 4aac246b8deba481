#!/usr/bin/env bash
# Bumble cuts a notification to what the ATT MTU leaves, without a word, and sends a write without response at whatever
# length it has: on the virtual link 100 bytes arrive whole at an MTU of 23, where 20 fit.
#
# One would guess that both are cut, as Bluetooth's specification has it for notifications, or both refused. So a
# program that forgets to exchange the MTU has its writes pass every test on the virtual link, and not on the air, where
# no peer need take a packet that is longer than what was agreed.
#
# bumble 0.0.236. Bytes that arrive, of 100 sent on a connection:
#   MTU 23:  notification 20, write without response 100, write with response 100 (in several requests, as it should)
#   MTU 247: notification 100, write without response 100, write with response 100
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check bumble==0.0.236
"$folder/venv/bin/python" - <<'PY'
import asyncio

from bumble.controller import Controller
from bumble.device import Device, Peer
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport.common import AsyncPipeSink

SERVICE, VALUE = "0000fff0-0000-1000-8000-00805f9b34fb", "0000fff1-0000-1000-8000-00805f9b34fb"
SENT = bytes(range(100))


async def main():
    link = LocalLink()
    devices = []
    for number in range(2):
        controller = Controller(f"controller {number}", link=link)
        host = Host(controller, AsyncPipeSink(controller))
        devices.append(Device(name="device", address=Address(f"F{number}:F1:F2:F3:F4:F5"), host=host))
    server, client = devices
    arrived = asyncio.Queue()
    kinds = Characteristic.Properties
    characteristic = Characteristic(
        VALUE,
        kinds.WRITE | kinds.WRITE_WITHOUT_RESPONSE | kinds.NOTIFY,
        Characteristic.WRITEABLE,
        CharacteristicValue(write=lambda _, value: arrived.put_nowait(bytes(value))),
    )
    server.add_service(Service(SERVICE, [characteristic]))
    for device in devices:
        await device.power_on()
    await server.start_advertising()
    connection = await client.connect(server.random_address)
    peer = Peer(connection)
    await peer.discover_services()
    await peer.discover_characteristics()
    (remote,) = peer.get_characteristics_by_uuid(characteristic.uuid)
    await remote.subscribe(lambda value: arrived.put_nowait(bytes(value)))
    seen = {}
    for mtu in (23, 247):
        if mtu > 23:
            await peer.request_mtu(mtu)
        seen[connection.att_mtu] = lengths = []
        for send in (
            server.notify_subscribers(characteristic, SENT),
            remote.write_value(SENT, with_response=False),
            remote.write_value(SENT, with_response=True),
        ):
            await send
            value = await asyncio.wait_for(arrived.get(), 30)
            assert SENT.startswith(value)
            lengths.append(len(value))
    return seen


seen = asyncio.run(main())
for mtu, lengths in seen.items():
    print("MTU {}: notification {}, write without response {}, write with response {}".format(mtu, *lengths))
assert seen == {23: [20, 100, 100], 247: [100, 100, 100]}, "changed"
PY

#!/usr/bin/env bash
# Bumble's virtual controller answers an active scan with the advertising data once more, marked as scan response, and
# reports every advert with an RSSI of -50 dBm. What the advertiser set as scan response data never arrives.
#
# One would guess that a test on the virtual link sees what a test on the air sees. A program that reads its data from the
# scan response, or that judges distance by RSSI, is not tested by it.
#
# bumble 0.0.236. Seen, as (RSSI, data, is it a scan response):
#   (-50, 020106, False) (-50, 020106, True)      with advertising data 020106 and scan response data 03094142
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check bumble==0.0.236
"$folder/venv/bin/python" - <<'PY'
import asyncio

from bumble.controller import Controller
from bumble.device import Device
from bumble.hci import Address
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport.common import AsyncPipeSink

ADVERT, RESPONSE = bytes.fromhex("020106"), bytes.fromhex("03094142")


async def main():
    link = LocalLink()
    devices = []
    for number in range(2):
        controller = Controller(f"controller {number}", link=link)
        host = Host(controller, AsyncPipeSink(controller))
        devices.append(Device(name="device", address=Address(f"F{number}:F1:F2:F3:F4:F5"), host=host))
        await devices[-1].power_on()
    advertiser, scanner = devices
    seen = set()
    both = asyncio.Event()

    def note(advertisement):
        seen.add((advertisement.rssi, bytes(advertisement.data_bytes).hex(), advertisement.is_scan_response))
        if len(seen) == 2:
            both.set()

    scanner.on("advertisement", note)
    await scanner.start_scanning(active=True, filter_duplicates=False)
    await advertiser.start_advertising(advertising_data=ADVERT, scan_response_data=RESPONSE)
    await asyncio.wait_for(both.wait(), 30)
    return seen


seen = asyncio.run(main())
print(*sorted(seen, key=lambda each: each[2]))
assert seen == {(-50, ADVERT.hex(), False), (-50, ADVERT.hex(), True)}, "changed"
PY

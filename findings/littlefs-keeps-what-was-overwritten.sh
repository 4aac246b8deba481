#!/usr/bin/env bash
# littlefs keeps the old content of a file in the flash when the file is overwritten, also when it is opened for update
# and written in place, and when it is removed. It goes when its block happens to be used again.
#
# One would guess that writing other bytes of the same length over a file replaces them, as on most file systems; so does
# whoever overwrites a key before deleting it. littlefs writes copies only: wear levelling and safety against power cuts
# both rest on that.
#
# littlefs-python 0.19.0 (littlefs 2.11, the file system of MicroPython's ESP32 port). Copies of the first content in the
# raw image:
#   written 1, overwritten 1, updated in place 1, removed 1, after the file system was filled and emptied 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check littlefs-python==0.19.0
"$folder/venv/bin/python" - <<'PY'
from littlefs import LittleFS
from littlefs.errors import LittleFSError

SECRET = b"the first content of a file"
fs = LittleFS(block_size=4096, block_count=64, read_size=32, prog_size=32, lookahead_size=32)  # as MicroPython mounts it


def copies():
    return bytes(fs.context.buffer).count(SECRET)


def write(name, data, mode="wb"):
    with fs.open(name, mode) as file:
        file.write(data)


seen = []
write("key", SECRET)
seen.append(copies())
write("key", b"y" * len(SECRET))
seen.append(copies())
write("key", b"z" * len(SECRET), "r+b")
seen.append(copies())
fs.remove("key")
seen.append(copies())
names = [f"filler {number}" for number in range(100)]
written = 0
try:
    for name in names:
        written += 1
        write(name, b"\xaa" * 3000)
except LittleFSError:
    pass  # full
for name in fs.listdir("/"):
    fs.remove(name)
seen.append(copies())
print("written {}, overwritten {}, updated in place {}, removed {}, filled and emptied {}".format(*seen))
assert seen == [1, 1, 1, 1, 0], "changed"
PY

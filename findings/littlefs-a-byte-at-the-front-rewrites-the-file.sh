#!/usr/bin/env bash
# One byte changed at the front of a littlefs file has the whole rest of the file written anew: 64 kB, and an erase of
# every block. The same byte at the end of the file costs one block.
#
# One would guess that a change costs the block that it is in, wherever that is, and that a header with a counter
# belongs at the front of a file. Each block of a littlefs file points back to earlier ones, none forward: a block that
# moves, as each must to be changed, has all blocks after it move too. What changes often belongs at the end, or in a
# file by itself. So the blocks hold less than their size as well: 16 of 4096 bytes are full at 65,432 bytes.
#
# littlefs-python 0.19.0 (littlefs 2.11). A file of 65,432 bytes in blocks of 4096; one byte written at an offset:
#   offset      0: 16 blocks erased, 65568 bytes programmed
#   offset  32000:  9 blocks erased, 36896 bytes programmed
#   offset  65431:  1 block erased,   4128 bytes programmed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check littlefs-python==0.19.0
"$folder/venv/bin/python" - <<'PY'
from littlefs import LittleFS, UserContext

BLOCK, BLOCKS, SIZE = 4096, 64, 65432


class Flash(UserContext):
    erased = programmed = 0

    def erase(self, cfg, block):
        self.erased += 1
        return super().erase(cfg, block)

    def prog(self, cfg, block, off, data):
        self.programmed += len(data)
        return super().prog(cfg, block, off, data)


seen = {}
for offset in (0, 32000, SIZE - 1):
    flash = Flash(BLOCK * BLOCKS)
    fs = LittleFS(
        context=flash, block_size=BLOCK, block_count=BLOCKS, read_size=32, prog_size=32, lookahead_size=32
    )  # as MicroPython mounts it
    free = BLOCKS - fs.used_block_count
    with fs.open("file", "wb") as file:
        file.write(b"a" * SIZE)
    assert free - (BLOCKS - fs.used_block_count) == 16, "changed"
    flash.erased = flash.programmed = 0
    with fs.open("file", "r+b") as file:
        file.seek(offset)
        file.write(b"b")
    seen[offset] = flash.erased, flash.programmed
    print(f"offset {offset:6}: {flash.erased:2} blocks erased, {flash.programmed} bytes programmed")
    with fs.open("file", "rb") as file:
        assert file.read() == b"a" * offset + b"b" + b"a" * (SIZE - 1 - offset)
assert seen == {0: (16, 65568), 32000: (9, 36896), SIZE - 1: (1, 4128)}, "changed"
PY

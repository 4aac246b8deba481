#!/usr/bin/env bash
# Keys that were deleted, flushed and compacted away still stand readable in RocksDB's folder, also after the database
# was closed: its MANIFEST names each table file, also one that is gone, by the first and the last key in it.
#
# One would guess that nothing is left of a key once the whole range is compacted and no table holds it. A new MANIFEST
# is begun at an open, and when the old one has grown large: a server that runs for a year may keep such keys for a
# year.
#
# rocksdict 0.3.29 (RocksDB inside). Keys written, of 100, that are found in the folder's MANIFEST and in its tables:
#   written and flushed                       first and last, all
#   deleted, flushed and compacted            first and last, none
#   closed                                    first and last, none
#   opened and closed once more               none, none
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rocksdict==0.3.29
"$folder/venv/bin/python" - "$folder/db" <<'PY'
import random
import sys
from pathlib import Path

from rocksdict import DBCompressionType, Options, Rdict

folder = Path(sys.argv[1])
options = Options(raw_mode=True)
options.set_compression_type(DBCompressionType.none())
source = random.Random(1)
keys = sorted(source.randbytes(32) for _ in range(100))
seen = []


def look(after):
    found = []
    for pattern in ("MANIFEST-*", "*.sst"):
        # Without their beginnings, which a table leaves out where the key before has the same.
        data = b"".join(path.read_bytes() for path in folder.glob(pattern))
        found.append([number for number, key in enumerate(keys) if key[4:] in data])
    seen.append(found)
    print(f"{after:32} MANIFEST: {found[0]}, tables: {len(found[1])}")


db = Rdict(str(folder), options)
for key in keys:
    db[key] = b"value"
db.flush()
look("written and flushed")
for key in keys:
    del db[key]
db[b"another"] = b"value"
db.flush()
db.compact_range(None, None)
assert [*db.keys()] == [b"another"]
look("deleted, flushed and compacted")
db.close()
look("closed")
Rdict(str(folder), options).close()
look("opened and closed once more")
assert seen == [[[0, 99], [*range(100)]], [[0, 99], []], [[0, 99], []], [[], []]], "changed"
PY

#!/usr/bin/env bash
# No recovery mode of RocksDB's write-ahead log notices that the log is gone or was cut at the end of a record, and the
# default one opens with what stands before a flipped bit: synchronised, acknowledged writes are missing, without an error.
#
# One would guess that "absolute consistency" means that all synchronised writes are there. It means that what is found
# is intact. How far the log had come, RocksDB does not know; a program that has to know keeps the last sequence number
# somewhere else.
#
# rocksdict 0.3.29 (RocksDB inside); 200 synchronised writes, then the process is killed. Rows at the next open:
#   mode                              bit flipped   cut in half   removed
#   default (point in time)           100           100           0
#   tolerate_corrupted_tail_records   refused       100           0
#   absolute_consistency              refused       100           0
# (Half of the log happens to be the end of a record here, since all records are of one size.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rocksdict==0.3.29
"$folder/venv/bin/python" - "$folder" <<'PY'
import os
import shutil
import signal
import sys
from pathlib import Path

from rocksdict import DBRecoveryMode, Options, Rdict, WriteOptions

folder = Path(sys.argv[1])
origin = folder / "origin"
child = os.fork()
if not child:
    db = Rdict(str(origin))
    synchronised = WriteOptions()
    synchronised.sync = True
    db.set_write_options(synchronised)
    for number in range(200):
        db[f"key {number:04}"] = b"v" * 100
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(child, 0)


def rows(mode, damage):
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(origin, copy)
    (log,) = copy.glob("*.log")
    data = bytearray(log.read_bytes())
    if damage == "bit flipped":
        data[len(data) // 2] ^= 1
        log.write_bytes(data)
    elif damage == "cut in half":
        log.write_bytes(data[: len(data) // 2])
    else:
        log.unlink()
    options = Options()
    if mode != "default":
        options.set_wal_recovery_mode(getattr(DBRecoveryMode, mode)())
    try:
        db = Rdict(str(copy), options)
    except Exception:
        return "refused"
    found = sum(1 for _ in db.keys())
    db.close()
    return found


damages = ("bit flipped", "cut in half", "removed")
expected = {
    "default": [100, 100, 0],
    "tolerate_corrupted_tail_records": ["refused", 100, 0],
    "absolute_consistency": ["refused", 100, 0],
}
seen = {mode: [rows(mode, damage) for damage in damages] for mode in expected}
for mode, found in seen.items():
    print(f"{mode:33} {found}")
assert seen == expected, "changed"
PY

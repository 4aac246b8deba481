#!/usr/bin/env bash
# RocksDB, opened twice on a database whose file CURRENT is gone, answers the second time with an empty database and has
# deleted the old tables and log.
#
# One would guess that `create_if_missing` makes a database only where there is none, or that a refused open changes
# nothing. RocksDB takes a folder without CURRENT for a new database: the first open refuses because of the old log, but
# has written a new CURRENT by then; the second finds that and removes the old files as obsolete. So what restarts a
# program that fails to start loses the data.
#
# rocksdict 0.3.29 (RocksDB inside). Seen:
#   open 1: refused: Corruption: While creating a new Db, wal_dir contains existing log file
#   open 2: 0 rows of 1001, old tables left: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rocksdict==0.3.29
"$folder/venv/bin/python" - "$folder/db" <<'PY'
import sys
from pathlib import Path

from rocksdict import Rdict

folder = Path(sys.argv[1])
db = Rdict(str(folder))
for number in range(1000):
    db[f"key {number}"] = b"value"
db.flush()
db["one more"] = b"value"
db.close()
tables = {path.name for path in folder.glob("*.sst")}
(folder / "CURRENT").unlink()

try:
    Rdict(str(folder))
    sys.exit("changed: the first open does not refuse")
except Exception as error:
    refusal = str(error).partition(" file:")[0] + " file"
print(f"open 1: refused: {refusal}")
db = Rdict(str(folder))
rows = sum(1 for _ in db.keys())
left = len(tables & {path.name for path in folder.glob("*.sst")})
db.close()
print(f"open 2: {rows} rows of 1001, old tables left: {left}")
assert refusal == "Corruption: While creating a new Db, wal_dir contains existing log file"
assert tables and (rows, left) == (0, 0), "changed"
PY

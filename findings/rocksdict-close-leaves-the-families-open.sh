#!/usr/bin/env bash
# close() of a rocksdict database that has more than one column family closes nothing as long as any object of another
# family is around: those read and write on, durably, and nobody can open the folder.
#
# One would guess that close() closes the database, and that what is used after it fails. The database inside is counted
# by its objects, and close() lets go of one of them. So a process that closes its store, and opens it again or hands it
# to another, is refused for as long as some list, cache or traceback holds a family's object.
#
# rocksdict 0.3.29. Seen, after close() of the database:
#   the database        refuses: DB instance already closed
#   the family          reads 1, writes 2
#   the folder          refuses to be opened: lock hold by current process
#   after close() of the family too   opens; the family has 2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rocksdict==0.3.29
"$folder/venv/bin/python" - "$folder/db" <<'PY'
import sys

from rocksdict import Options, Rdict

place = sys.argv[1]


def refusal(action):
    try:
        action()
    except Exception as error:
        return str(error)
    return ""


def opened():
    return Rdict(place, column_families={"family": Options()})


db = Rdict(place)
family = db.create_column_family("family", Options())
db["key"] = family["key"] = 1
db.close()

closed = refusal(lambda: db["key"])
read = family["key"]
family["key"] = 2
written = family["key"]
locked = refusal(opened)
print("the database:", closed)
print("the family: reads", read, "and writes", written)
print("the folder:", locked.replace(place, "..."))
assert "already closed" in closed and (read, written) == (1, 2) and "lock hold by current process" in locked, "changed"

family.close()
db = opened()
kept = db.get_column_family("family")["key"]
print("after close() of the family: opens, and the family has", kept)
assert kept == 2, "changed"
PY

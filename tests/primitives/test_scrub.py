"""What a badge's memory still tells about a slot once its sealing context is wiped and the free heap is scrubbed."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from anontrace_primitives import x25519
from anontrace_shared import hpke

SCRIPT = Path(__file__).parent / "on_badge" / "slot.py"
LOG_KEY = bytes(range(32))


def memory_of(process: int) -> bytes:
    """All that a process can write to, one range after the other."""
    image = b""
    with Path(f"/proc/{process}/mem").open("rb") as memory:
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            match = re.match(r"(\w+)-(\w+) rw", line)
            if match and "[v" not in line:
                start, end = (int(edge, 16) for edge in match.groups())
                memory.seek(start)
                image += memory.read(end - start)
    return image


@pytest.mark.skipif(sys.platform != "linux", reason="looks into the process through /proc")
def test_no_secret_of_an_ended_slot_is_left_in_memory(
    micropython: list[str], badge_environment: dict[str, str]
) -> None:
    ephemeral = hashlib.sha256(b"the ephemeral secret of this slot").digest()
    sender = hpke.Sender(LOG_KEY, b"anontrace/1 log", ephemeral)
    shared = x25519(ephemeral, LOG_KEY)
    secrets = {
        "ephemeral secret": ephemeral,
        "clamped ephemeral secret": bytes([ephemeral[0] & 248]) + ephemeral[1:31] + bytes([ephemeral[31] & 127 | 64]),
        "X25519 result": shared,
        "KEM secret": hpke.kem_secret(shared, sender.enc, LOG_KEY),
        "key": bytes(sender._key),
    }

    def left(image: bytes) -> set[str]:
        return {name for name, secret in secrets.items() if secret[:16] in image or secret[16:] in image}

    with subprocess.Popen(
        [*micropython, str(SCRIPT)], env=badge_environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == b"sealing\n"
        assert "key" in left(memory_of(process.pid)), "a context in use holds its key: the search works"
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"True\n"
        assert process.stdout.readline() == b"scrubbed\n"
        assert left(memory_of(process.pid)) == set()
        process.stdin.close()
        # What the heap could grow by is left alone; were it not known, the heap would have had to grow.
        assert process.stdout.readline() == b"True False\n"
    assert process.returncode == 0

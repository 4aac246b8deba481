"""`anontrace run` as a user starts it, with real servers."""

import json
import signal
import subprocess

from anontrace.companion.run import AHEAD_SLOTS

from tests.companion.conftest import PATIENCE


def test_run_registers_goes_on_where_it_was_and_ends_when_interrupted(member, clock):
    first = member.run("--json", "run", "--once", "--no-badge", "--level", "low")
    assert first.code == 0, first.err
    (event,) = [json.loads(line) for line in first.out.splitlines()]
    assert (event["task"], event["until"]) == ("addresses", clock.slot + AHEAD_SLOTS)
    assert member.do("status")["registered_until"] == clock.slot + AHEAD_SLOTS

    clock.advance(6 * 3600)
    for _ in range(3):
        again = member.run("--json", "run", "--once", "--no-badge")
        assert (again.code, again.err) == (0, "")
        clock.advance(1800)

    with subprocess.Popen(
        member.command("run", "--no-badge"), env=member.environment, stdout=-1, stderr=-1, text=True
    ) as process:
        try:
            status = member.do("status")  # other commands may be used meanwhile
            assert status["registered_until"] > clock.slot
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode in (130, -signal.SIGINT), err  # the latter before the program has begun
    assert "Traceback" not in err or process.returncode == -signal.SIGINT


def test_an_upload_may_wait_for_run(member, clock):
    refused = member.run("report", "--token", "0000-0000-0000-0000", "--hidden", "--yes")
    assert refused.code == 2
    assert "badge sync" in refused.err

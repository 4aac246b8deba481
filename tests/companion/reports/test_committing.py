"""From the code at the test site to a report: only the log that was committed counts, and each answer is told."""

import json
import time

import pytest
from anontrace.companion.errors import FAILED, USAGE
from anontrace.companion.schedule import run
from anontrace.companion.store import state
from anontrace.wire import commitment, onetime

from tests.companion.commands.test_run_cli import TASKS, keep_log, read_log_key
from tests.companion.conftest import Cli
from tests.companion.reports.test_contact_log import block


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def synced(cli, clock, *blocks, segment):
    """As a sync leaves it."""
    keep_log(cli, clock, *blocks, segment=segment)
    with state.reading(cli.folder) as opened:
        opened.badges.set_synced(opened.badges.get(), {}, int(clock.now))


def issue(network, *options):
    return network.staff("issue", "--disease", "U07.1", *options)


def shown(network, report):
    """What staff read of a report on a terminal."""
    folder = str(network.folder / "authority")
    return " ".join(network._server("authority", "show", report, "--config", folder).split())


def test_the_log_that_was_committed_is_taken_with_what_came_later_and_without_what_is_left_out(
    cli, network, clock, tmp_path
):
    member, other = cli, Cli(tmp_path / "other", clock)
    for each in (member, other):
        each.do("init", str(network.file))
    none = member.run("commit")
    assert (none.code, "anontrace badge sync" in none.err) == (USAGE, True)
    member.do("register", "--slots", "2")  # by which the directory is known
    with state.reading(member.folder) as opened:
        log_key = read_log_key(opened)
    slot = clock.slot
    before = [block(slot - back, log_key=log_key) for back in (900, 300, 40, 20)]
    synced(member, clock, *before, segment=1)
    synced(other, clock, block(slot - 300, 3, log_key=log_key), segment=1)
    made = member.do("commit")
    assert (made["records"], made["until"], made["left_behind"]) == (8, (slot - 1) * 300, [])
    code = made["code"]
    assert member.run("commit").out.split()[0] != code  # another each time

    issued = issue(network, "--commitment", code.lower().replace("-", " "), "--reference", "L 17")
    token = issued["token"]
    waits = member.do("report", "--token", token, "--yes")
    assert waits["state"] == "waiting"
    assert "There is no result yet" in member.run("report").out
    network.staff("result", issued["id"], "positive")
    (listed,) = network.staff("tokens", "--reference", "l 17")["tokens"]
    assert (listed["state"], listed["committed"], listed["result"]) == ("positive", True, "positive")

    # Somebody else, with the token and a log of their own: nothing is sent, by a companion that means well.
    refused = other.run("--json", "report", "--token", token, "--yes")
    assert (refused.code, "another log than that of this companion" in refused.err) == (FAILED, True)

    clock.advance(1200)
    synced(member, clock, block(clock.slot - 1, log_key=log_key), segment=2)
    keep_log(member, clock, block(slot - 100, 5, log_key=log_key), segment=3)  # fetched too late
    day = time.strftime("%Y-%m-%d %H:%M", time.gmtime((slot - 40) * 300))
    end = time.strftime("%H:%M", time.gmtime((slot - 40) * 300 + 60))
    done = member.do("report", "--yes", "--without", f"{day}-{end}")
    assert (done["state"], done["committed"], done["left_out"], done["records"]) == ("accepted", True, 5, 8)
    report = network.pending_report(done["case"])
    assert report["committed"] == {"until": made["until"]}
    assert "It continues the log that was committed at the test" in shown(network, report["report"])
    network.staff("refuse", report["report"])
    assert member.do("report", "--token", token, "--yes")["state"] == "accepted"  # once

    # By the token alone, as before; staff see in words what that means.
    done = other.do("report", "--token", network.token(), "--yes", "--direct")
    assert (done["state"], done["committed"]) == ("accepted", False)
    report = network.pending_report(done["case"])["report"]
    assert "whoever held the token could hand in any log" in shown(network, report)
    network.staff("refuse", report)


def test_a_negative_result_is_a_statement_that_can_be_checked_and_nothing_is_sent(member, network, clock, tmp_path):
    issued, another = issue(network), issue(network)
    table = tmp_path / "results.csv"
    table.write_text(f"id,token,result\n{issued['id']},,Negative\n")
    assert network.staff("results", str(table)) == {"changed": 1, "known": 0}
    assert network.staff("results", str(table)) == {"changed": 0, "known": 1}
    told = member.do("report", "--token", issued["token"], "--yes")
    day = time.strftime("%Y-%m-%d", time.gmtime(clock.now))
    assert (told["state"], told["disease"], told["day"]) == ("negative", "U07.1", day)
    assert f"Negative: the test for COVID-19 (U07.1) of {day}" in member.run("report", "--token", issued["token"]).out
    with state.reading(member.folder) as opened:
        assert opened.uploads.all() == []

    # The other one is told by `run`, in words that a log may hold, and by status.
    assert member.do("report", "--token", another["token"])["state"] == "waiting"
    network.staff("result", another["id"], "positive")
    with state.reading(member.folder) as opened:
        for task in TASKS:
            opened.timetable.set_due(task, int(clock.now) + (0 if task == run.RESULT else 7200))
    done = member.run("--json", "run", "--once", "--no-badge")
    (event,) = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, event["task"], event["state"]) == (0, "result", "positive")
    status = member.do("status")
    assert [each["state"] for each in status["tests"]] == ["negative", "positive"]
    assert "anontrace report" in status["next"]

    # The laboratory corrects itself before a log is handed in.
    with state.reading(member.folder) as opened:
        log_key = read_log_key(opened)
    synced(member, clock, block(clock.slot - 9, log_key=log_key), segment=1)
    network.staff("result", another["id"], "negative")
    refused = member.run("--json", "report", "--yes")
    assert (refused.code, "the test is negative" in refused.err) == (FAILED, True)
    status = member.do("status")
    assert [each["state"] for each in status["tests"]] == ["negative", "negative"]
    assert "anontrace report" not in status["next"]

    statement = told["statement"]
    checked = member.do("result", "check", statement, "--token", issued["token"])
    assert (checked["signed"], checked["of_this_token"], checked["day"]) == (True, True, day)
    assert "negative" in member.run("result", "check", statement).out
    for wrong, options, code in (
        (statement, ["--token", another["token"]], FAILED),
        (statement[:-1] + ("0" if statement[-1] != "0" else "1"), [], FAILED),
        (statement[:40] + "ff" + statement[42:], [], FAILED),
        ("negative", [], USAGE),
    ):
        result = member.run("result", "check", wrong, *options)
        assert (result.code, result.out) == (code, "")


def test_what_is_typed_in_the_place_of_a_code_is_refused(network):
    code = commitment.text(commitment.commit(b"", 5_900_000, bytes(32)).code)
    with pytest.raises(AssertionError, match="this is a token"):
        issue(network, "--commitment", onetime.new_token())
    with pytest.raises(AssertionError, match="mistyped"):
        issue(network, "--commitment", ("Y" if code[0] == "X" else "X") + code[1:])
    assert json.dumps(issue(network, "--commitment", code)).count(code) == 0

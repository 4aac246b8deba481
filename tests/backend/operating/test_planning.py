"""Servers on paper: the formula by hand, what a wish changes, figures of `make bench`, wishes that cannot be had."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from anontrace.backend.cli import main
from anontrace.backend.operating import planning
from anontrace.backend.operating.planning import FIGURES, PlanError, Wish
from anontrace.wire.levels import HIGH, LOW, NORMAL

WISH = Wish(1_000_000, NORMAL, peak=1.0)


def bench(**figures: object) -> dict[str, object]:
    """A file of `make bench` with some figures of the servers' bench."""
    return {"benches": {"servers": {"figures": {name: {"value": each, "unit": ""} for name, each in figures.items()}}}}


def test_a_million_wearers_at_normal_as_by_hand() -> None:
    mixes, nymserver, mailbox = planning.plan(WISH, FIGURES).needs
    sent, arriving = 27.47 * 32, 303
    hops = 3 * (sent + arriving)
    core = 1e6 * 33e-6 / 86400 / 0.6
    assert mixes.cores == pytest.approx(core * (hops * 2.27 + 27.47 * 14.5))
    assert nymserver.cores == pytest.approx(core * (sent * 2.27 + 576 * 1.7 + 288 * 1.5 + 15 * 11.4))
    assert mailbox.cores == pytest.approx(core * (arriving * (2.27 + 0.4) + 2.23 * (184 + 14.5)))
    assert mixes.disk == pytest.approx(1e6 * hops * 30 * 28.3)
    assert nymserver.disk == pytest.approx(1e6 * (sent * 30 * 28.3 + 288 * 45 * 223.4 + 303 * 30 * 29.1))
    assert mailbox.disk == pytest.approx(1e6 * arriving * 30 * (28.3 + 256))
    assert mixes.bytes_in == mixes.bytes_out == pytest.approx(1e6 * hops * 380 / 86400)
    assert planning.plan(WISH, FIGURES).swaps_a_second == pytest.approx(1e6 * 576 / 86400)


def test_all_grows_with_wearers_and_a_busy_hour_and_with_the_level() -> None:
    one = planning.plan(WISH, FIGURES)
    for other, times in ((replace(WISH, wearers=2e6), 2.0), (replace(WISH, peak=3.0), 3.0)):
        for before, after in zip(one.needs, planning.plan(other, FIGURES).needs, strict=True):
            assert after.cores == pytest.approx(times * before.cores)
            assert after.bytes_in == pytest.approx(times * before.bytes_in)
    low, high = (planning.plan(replace(WISH, level=each), FIGURES) for each in (LOW, HIGH))
    for few, some, many in zip(low.needs, one.needs, high.needs, strict=True):
        assert few.cores < some.cores < many.cores and few.disk < some.disk < many.disk


def test_who_wishes_that_fewer_are_named_gets_longer_delays_and_more_mixes_and_fuller_queues() -> None:
    usual, careful = planning.plan(WISH, FIGURES), planning.plan(replace(WISH, named=1e-5, colluding=8), FIGURES)
    assert (usual.delay, careful.delay) == (300, 3600)
    assert careful.mixes > usual.mixes and usual.path_share <= WISH.path_risk >= careful.path_share
    assert careful.queue_limit > usual.queue_limit
    assert planning.plan(replace(WISH, wearers=5000), FIGURES).named == 0.0078  # with 20 minutes, of a thousand
    assert planning.plan(replace(WISH, colluding=0), FIGURES).path_share == 0
    assert planning.plan(replace(WISH, wearers=1e8, mix_cores=4), FIGURES).mixes > 100


def test_a_bad_day_costs_for_each_that_is_told_while_they_are_told() -> None:
    assert [each.cores_bad_day for each in planning.plan(WISH, FIGURES).needs] == [0.0] * 3
    mixes, nymserver, mailbox = planning.plan(replace(WISH, reports=1000, exposures=500), FIGURES).needs
    told = 1000 * 500 * 33e-6 / 36000 / 0.6
    assert mixes.cores_bad_day == pytest.approx(told * 3 * 2.27)
    assert nymserver.cores_bad_day == pytest.approx(told * 11.4)
    assert mailbox.cores_bad_day == pytest.approx(told * 2.67)


def test_figures_of_a_bench_take_the_place_of_the_projects_and_say_so() -> None:
    found = planning.measured(bench(rocksdb_hop_cost=4.0, rocksdb_hop_time=160.0))
    assert (found["hop"].value, found["hop"].source) == (4.0, "servers: rocksdb_hop_cost")
    assert found["x25519"].value == 40.0
    assert found["look"] == FIGURES["look"]
    assert planning.plan(WISH, found).needs[0].cores > planning.plan(WISH, FIGURES).needs[0].cores


@pytest.mark.parametrize("value", ["2", None, -1.0, 0, True, float("inf")])
def test_a_bench_with_a_figure_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(PlanError, match="rocksdb_hop_cost of servers"):
        planning.measured(bench(rocksdb_hop_cost=value))
    with pytest.raises(PlanError, match="no `benches`"):
        planning.measured({"benches": []})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"wearers": 0.5}, "wearers"),
        ({"wearers": float("nan")}, "wearers"),
        ({"named": 1e-7}, "named: 1e-07 is not between"),
        ({"wearers": 1000, "named": 0.001}, "not even four hours"),
        ({"colluding": 255}, "255 mixes are the most"),
        ({"wearers": 1e9, "mix_cores": 4}, "too few for"),
        ({"reports": 2e6}, "reports"),
        ({"exposures": 0}, "exposures"),
        ({"peak": 0.5}, "peak"),
    ],
)
def test_a_wish_that_is_out_of_range_or_cannot_be_had_is_named(change: dict[str, float], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        planning.plan(replace(WISH, **change), FIGURES)  # type: ignore[arg-type]


def said(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit status of the command."""
    monkeypatch.setattr("sys.argv", ["anontrace-server", "plan", *arguments])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_the_command_shows_a_table_or_json_with_the_figures_that_it_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert said(["--wearers", "100e6", "--level", "normal"], monkeypatch) == 0
    shown = capsys.readouterr().out
    assert all(each in shown for each in ("nymserver", "mailbox servers", "performance.md", "Bad day: 100,000 logs"))
    file = tmp_path / "bench.json"
    file.write_text(json.dumps(bench(rocksdb_hop_cost=4.0)))
    assert said(["--wearers", "1e6", "--bench", str(file), "--json"], monkeypatch) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["asked"]["level"] == "normal" and found["asked"]["reports"] == 1000
    assert found["figures"]["hop"] == {
        "value": 4.0, "unit": "X25519", "label": FIGURES["hop"].label, "bench": ["servers", "rocksdb_hop_cost"],
        "source": "servers: rocksdb_hop_cost",
    }  # fmt: skip
    assert [each["role"] for each in found["needs"]] == ["mixes", "nymserver", "mailbox servers"]


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"\xff{", "no JSON"), (b"[1]", "no file of")])
def test_the_command_says_in_a_line_what_is_wrong(
    content: bytes | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    file = tmp_path / "bench.json"
    if content is not None:
        file.write_bytes(content)
    assert said(["--wearers", "1e6", "--bench", str(file)], monkeypatch) == 1
    assert reason in capsys.readouterr().err
    assert said(["--wearers", "none"], monkeypatch) == 2
    assert said(["--wearers", "0"], monkeypatch) == 1
    assert capsys.readouterr().err.count("\n") == 2

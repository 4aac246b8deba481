"""A whole simulated epidemic: what holds whatever its parameters are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anontrace.epidemic import disease, experiments, listed, people
from anontrace.epidemic.course import NOBODY, Course, beta_for
from anontrace.epidemic.errors import EpidemicError
from anontrace.epidemic.experiments import Part
from anontrace.epidemic.running import Result
from anontrace.epidemic.scenario import MANUAL, NOTHING, Scenario, Strategy, checked, strategies
from anontrace.epidemic.summary import Findings

VIRUS = disease.read("sars-cov-2")
SMALL: dict[str, Any] = {"people": 400, "days": 16, "initial": 0.1}
CHAIN = Strategy(name="chain", depth=2)
RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "primaryschool.csv.gz"


def simulated(strategy: Strategy, seed: int = 1, contacts: Path | None = None, **settings: Any) -> Result:
    part = Part("test", "Test", VIRUS, Scenario(**SMALL | settings), (strategy,), (seed,), contacts)
    ((_, result),) = experiments.run(experiments.tasks([part]), 1)
    return result


@pytest.fixture(scope="module")
def usual() -> Result:
    return simulated(CHAIN)


def test_the_same_seed_gives_the_same_result_and_another_another(usual: Result) -> None:
    assert simulated(CHAIN) == usual
    other = simulated(CHAIN, seed=2, days=6).daily["infections"]
    assert other != usual.daily["infections"][:6]


def test_another_process_gives_the_same_and_says_how_far_it_is(usual: Result) -> None:
    part, days = Part("test", "Test", VIRUS, Scenario(**SMALL), (CHAIN,), (1,)), list[int]()
    ((_, result),) = experiments.run(experiments.tasks([part]), 2, days.append)
    assert result == usual and days[-1] == SMALL["days"]


def test_something_happens_and_adds_up(usual: Result) -> None:
    daily, totals = usual.daily, usual.totals
    assert all(
        totals[name] > 0 for name in ("infections", "positive", "reports", "notifications", "told", "quarantine")
    )
    assert all(sum(daily[name]) == totals[name] for name in daily if name != "waiting")
    assert totals["told"] == totals["told_1"] + totals["told_2"]
    assert totals["in_vain"] <= totals["told"]
    assert sum(daily["infected_by_cohort"]) == totals["infections"]
    assert usual.a_day is not None and max(daily["notifications"]) <= usual.a_day


@pytest.mark.parametrize("strategy", [CHAIN, MANUAL])
def test_with_no_transmission_everybody_told_is_told_in_vain(strategy: Strategy) -> None:
    result = simulated(strategy, r=0.0, manual_calls=50.0)
    assert result.totals["infections"] == 0
    assert result.totals["in_vain"] == result.totals["told"] > 0


def test_tracing_without_badges_is_no_tracing() -> None:
    nothing, chain = simulated(NOTHING), simulated(CHAIN, wearers=0.0)
    assert nothing.totals["told"] == chain.totals["told"] == 0
    assert nothing.daily["infections"] == chain.daily["infections"]


def test_staff_call_no_more_than_they_can() -> None:
    result = simulated(MANUAL, manual_calls=6.0)
    assert max(result.daily["told"]) == 2


def test_staff_hear_of_meetings_that_are_long_enough_over_a_day(tmp_path: Path) -> None:
    path = tmp_path / "list.tsv"
    path.write_text(
        "".join(
            f"{36_000 + 20 * third}\tann\t{who}\n" for who, long in (("bob", 45), ("eve", 44)) for third in range(long)
        )
    )
    given = {
        "initial": 1.0,
        "r": 0.0,
        "tested": 1.0,
        "test_days": 0.0,
        "manual_days": 0.0,
        "manual_known": 1.0,
        "manual_calls": 1000.0,
    }
    result = simulated(MANUAL, contacts=path, **given)
    told = result.totals["told"]
    assert 0 < told <= 2  # ann and bob name each other, if they have symptoms; nobody names eve


def test_whoever_is_infected_was_near_who_infected_them() -> None:
    made = people.make(500, 1)
    course = Course(VIRUS, made.size, 1, 0.0)
    course.infect(np.arange(20), np.zeros(20))
    nobody = np.zeros(made.size, bool)
    for number in range(8):
        day = made.day(number)
        met = set(zip(day.one.tolist(), day.other.tolist(), strict=True))
        new = course.spread(day, number, 0.02, nobody, 1.0)
        assert all((one, other) in met or (other, one) in met for one, other in zip(new, course.by[new], strict=True))
    assert (course.by != NOBODY).sum() > 20


def test_one_infects_as_many_as_were_asked_for() -> None:
    made, wanted, many = people.make(4000, 1), 2.5, 300
    days = [made.day(number) for number in range(25)]
    beta, counts = beta_for(wanted, VIRUS, made.size, days), []
    for seed in range(3):
        course = Course(VIRUS, made.size, seed, 0.0)
        first = np.random.default_rng(seed).permutation(made.size)[:many]
        course.infect(first, np.zeros(many))
        for number, day in enumerate(days):
            course.spread(day, number, beta, np.zeros(made.size, bool), 1.0)
        counts.append(np.isin(course.by, first).sum() / many)
    # Some whom they meet are infected by somebody else first, so that it is rather less.
    assert 0.6 * wanted < np.mean(counts) < 1.1 * wanted


def test_a_list_is_repeated_over_workdays(tmp_path: Path) -> None:
    path = tmp_path / "list.tsv"
    path.write_text(
        "".join(f"{day * 86_400 + 36_000 + 20 * third}\tann\tbob\n" for day in (0, 1) for third in range(30 + day))
    )
    found = listed.read(path)
    assert found.names == ("ann", "bob")
    minutes = [float(day.take(np.arange(len(day.one))).minutes.sum()) for day in map(found.day, range(8))]
    assert minutes == pytest.approx([10, 31 / 3, 10, 31 / 3, 10, 0, 0, 31 / 3])
    assert simulated(NOTHING, contacts=path, r=0.5, initial=0.5, days=10).people == 2
    with pytest.raises(EpidemicError, match=r"nobody can infect 2 others in the mean who meets 1\.0"):
        simulated(NOTHING, contacts=path, r=2.0)


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded contact list is not beside the checkout")
def test_an_epidemic_in_a_recorded_school() -> None:
    result = simulated(CHAIN, contacts=RECORDED, wearers=1.0, r=3.0)
    assert result.people == 242
    assert result.totals["infections"] > 10 and result.totals["told"] > 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"people": 10}, "people: input should be greater than or equal to 100"),
        ({"wearers": 1.5}, "wearers: input should be less than or equal to 1"),
        ({"days": 0}, "days: "),
        ({"r": float("nan")}, "r: "),
        ({"test_days": "soon"}, "test-days: input should be a valid number"),
    ],
)
def test_what_is_out_of_range_is_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(EpidemicError) as caught:
        checked(Scenario, values)
    assert said in str(caught.value)


def test_strategies_have_names() -> None:
    found = strategies(["nothing", "manual", "2", "3-off-low"], minutes=30)
    assert [each.name for each in found] == ["nothing", "manual", "chain 2", "chain 3-off-low"]
    assert (found[3].depth, found[3].limit, found[3].level, found[3].minutes) == (3, "off", "low", 30)
    for wrong in ("", "two", "2-of", "-1", "0", "999", "²"):
        with pytest.raises(EpidemicError):
            strategies([wrong])


def test_what_is_averted_is_counted_seed_by_seed() -> None:
    part = Part("test", "Test", VIRUS, Scenario(people=300, days=12, initial=0.1), (NOTHING, CHAIN), (1, 2))
    findings, runs = Findings(part), {}
    for task, result in experiments.run(experiments.tasks([part]), 1):
        runs[task.strategy.name, task.seed] = result.totals["infections"]
        findings.add(task, result)
    nothing, chain = findings.rows()
    averted = [runs["nothing", seed] - runs["chain", seed] for seed in (1, 2)]
    assert chain.averted.mean == pytest.approx(np.mean(averted))
    assert nothing.averted.mean is None and nothing.told_per_infection == 0
    assert findings.is_whole

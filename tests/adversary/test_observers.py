"""What each observer finds out about a crowd of shipped companions, held against chance; and the leaks that each finds.

A bound that holds for an observer who finds nothing at all is worth nothing, so each is shown a companion that leaks.
"""

from math import sqrt
from pathlib import Path
from types import ModuleType

import pytest
from anontrace.backend.config import MixSettings

from tests.adversary import any_mix, crowd, discovery, first_mix, line, mailbox_server, nymserver, two_servers
from tests.adversary.crowd import DAYS, Crowd
from tests.adversary.figures import auc, told_apart
from tests.adversary.table import MAX_AUC, MAX_POINTS, findings, of_any_mix
from tools.bench import collusion


def test_the_figure_for_chance_is_a_half_and_for_certainty_one() -> None:
    assert auc([1, 2, 3], [1, 2, 3]) == 0.5
    assert auc([4, 5], [1, 2, 3]) == 1.0
    assert auc([1], [1, 1]) == 0.5


@pytest.mark.parametrize("observer", [first_mix, discovery, line, mailbox_server], ids=lambda each: each.__name__)
def test_nobody_alone_can_tell_who_was_notified_unless_the_companion_leaks(
    gathered: Crowd, observer: ModuleType
) -> None:
    found = told_apart(observer.SCORES, gathered.notified, gathered.idle)
    assert max(found.values()) <= MAX_AUC, found
    assert max(told_apart(observer.SCORES, gathered.leaky, gathered.idle).values()) > 0.95


@pytest.mark.parametrize("observer", [first_mix, discovery, line, mailbox_server], ids=lambda each: each.__name__)
def test_nobody_but_the_nymserver_can_tell_who_answers_the_health_authority(
    gathered: Crowd, observer: ModuleType
) -> None:
    answering = [life for life in gathered.notified if crowd.answers_too("notified", life.number)]
    assert [len(life.network.answered) for life in answering] == [1] * (crowd.WEARERS // 2)
    found = told_apart(observer.SCORES, answering, [gathered.idle[life.number] for life in answering])
    assert max(found.values()) <= MAX_AUC, found


def test_the_nymserver_cannot_tell_by_what_comes_at_the_same_time_who_answers(gathered: Crowd) -> None:
    assert nymserver.who_answered(gathered.notified) <= MAX_POINTS
    assert nymserver.who_answered(gathered.notified, leak=True) > MAX_POINTS


def test_first_mixes_see_dummies_and_receipts_come_from_the_nymserver_alone(gathered: Crowd) -> None:
    for life in gathered.idle + gathered.notified:
        assert len(life.network.from_nymserver) > 5 * DAYS
        assert first_mix.headers_from_both(life) == 0
    assert min(first_mix.headers_from_both(life) for life in gathered.leaky) > 0


def test_any_mix_sees_no_two_messages_that_have_anything_in_common(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing = any_mix.gather(tmp_path, monkeypatch)
    assert len(passing.seen) > 7 and len(passing.messages) > 400 * crowd.WEARERS
    found = of_any_mix(passing)
    assert found.found == found.most == 0
    assert found.leak == 1


def test_the_nymserver_sees_no_network_address(gathered: Crowd) -> None:
    for life in gathered.idle + gathered.notified:
        assert len(life.network.connections) > 20 * DAYS
        assert nymserver.connections(life) == 0
    leaky = gathered.leaky[0].network.connections
    leaky.append((0.0, str(nymserver.NYMSERVER), "upload"))
    assert nymserver.connections(gathered.leaky[0]) == 1
    leaky.pop()


def test_the_nymserver_cannot_tell_which_addresses_of_a_log_are_one_persons(gathered: Crowd) -> None:
    everybody = [nymserver.arrivals(life) for life in gathered.idle]
    assert min(len(each) for each in everybody) > 5 * nymserver.MEETING
    assert nymserver.same_person(everybody) <= MAX_POINTS
    assert nymserver.same_person([nymserver.in_order(each) for each in everybody]) > 0.5


def test_a_re_arm_tells_the_nymserver_nothing_of_the_addresses_to_come(gathered: Crowd) -> None:
    assert nymserver.future_addresses(gathered.notified) <= MAX_POINTS
    assert nymserver.future_addresses(gathered.notified, leak=True) > MAX_POINTS


def test_the_table_of_the_benchmark_holds_its_bounds_and_each_planted_leak_breaks_them(gathered: Crowd) -> None:
    made = findings(gathered)
    assert len({each.name for each in made}) == len(made) == 10
    for each in made:
        assert each.found <= each.most, each
        assert each.leak is None or each.leak > each.most, each


def test_nymserver_and_mailbox_server_together_do_as_well_as_the_model_says(gathered: Crowd) -> None:
    everybody = gathered.notified
    a_day = sum(len(life.network.arrivals) for life in everybody) / len(everybody) / DAYS
    # What one wearer is told of leaves at once: each such message is looked for among the others of the same wearer, so
    # that they are found more often than one alone, and not as often as all of them by what is known of all.
    one, all_of_them = (
        collusion.attack(MixSettings().delay, count, a_day).named(len(everybody)) for count in (1, crowd.ADDRESSES_TOLD)
    )
    found = two_servers.named_by_each(everybody)
    trials = sum(len(life.told) for life in everybody)
    assert one - 4 * sqrt(one * (1 - one) / trials) < found
    assert found < all_of_them + 4 * sqrt(all_of_them * (1 - all_of_them) / trials)
    assert found > 2 / len(everybody)  # which is why the threat model has their table

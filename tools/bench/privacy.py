"""What those who run servers can find out, alone or two together, as docs/threat-model.md tells it.

python -m tools.bench --only privacy
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from anontrace.wire.levels import HIGH, LOW, NORMAL

from tests.adversary import any_mix, crowd, listener, table
from tools.bench import collusion
from tools.bench.report import Report

DELAYS = {"5 s": 5, "1 min": 60, "5 min": 300, "20 min": 1200, "1 h": 3600, "4 h": 14400}
EXPOSURES = {"a single message": 1, "a quarter of an hour, 3 messages": 3, "an hour, 12 messages": 12}
WEARERS = (10**3, 10**4, 10**5, 10**6)
MESSAGES_A_DAY = NORMAL.renewals + NORMAL.receipts  # dummies and receipts that come for each wearer
TRAFFIC = {  # what else comes in a day, where it is not that
    "group": ("sought in the groups that took mailboxes then", 130),  # counted on simulated days, three weeks on
    "low": ("level low", 0.4 + LOW.receipts),  # so many are renewed in the room that is left, on simulated days
    "high": ("level high", HIGH.renewals + HIGH.receipts),
}


def run() -> Report:
    """Per mean delay of a mix and length of exposure: how likely the poller who was told is named. Then what observers
    find out about a crowd of companions."""
    report = Report("Privacy", (*(f"of {count:,}" for count in WEARERS), "others likelier"))
    for delay, seconds in DELAYS.items():
        _add_pollers(report, f"{seconds}s", f"{delay}", seconds, MESSAGES_A_DAY)
    for name, (what, a_day) in TRAFFIC.items():
        _add_pollers(report, name, f"5 min, {what}", 300, a_day)
    for delay, seconds in DELAYS.items():
        for hours in (1, 6):
            late = round(100 * collusion.later_than(hours * 3600, seconds), 4)
            report.add(
                f"later_{seconds}s_{hours}h", f"mixes hold {delay}: messages that take over {hours} h", late, "%"
            )
    for exposure, messages in EXPOSURES.items():
        for how, spread in (("at once", 0.0), ("spread over 10 h", 10 * 3600.0)):
            for days in (1, 14):
                found = collusion.counted(
                    300, messages, spread, batches=NORMAL.messages, dummies=MESSAGES_A_DAY, days=days
                )
                label = f"mailbox server alone, by counting, {days} days: {exposure} {how}, AUC (chance 0.5)"
                report.add(f"counted_{messages}_{spread:.0f}s_{days}", label, found, "")
    with TemporaryDirectory() as folder:
        with pytest.MonkeyPatch.context() as patch:
            passing = any_mix.gather(Path(folder), patch)
        with pytest.MonkeyPatch.context() as patch:
            made = table.findings(crowd.gather(Path(folder), patch))
        for each in (table.of_any_mix(passing), *made):
            report.add(each.name, f"{each.question} (chance {each.chance:g})", each.found, "")
            report.limit(each.name, each.most)
            if each.leak is not None:
                report.add(f"{each.name}_leak", f"{each.question}: with the planted leak", each.leak, "")
    for badges in (8, 30):
        for spread, limit in ((listener.SPREAD, True), (9.0, False)):
            for how, silence in (("", listener.SILENCE), (", without silences", 0.0)):
                heard = listener.crowd(badges, 100, np.random.default_rng(badges), silence, spread=spread)
                name = f"turns_{badges}_{spread:g}s{how.replace(', ', '_').replace(' ', '_')}"
                label = f"a listener: addresses of {badges} badges linked over a turn, clocks within {spread:g} s{how}"
                share = max(listener.shares(heard).values())
                report.add(name, f"{label} (chance {100 / badges:.1f})", round(100 * share, 1), "%")
                if limit and not how:
                    report.limit(name, 100 / badges + 100 * table.MAX_POINTS)
    report.remark(
        f"AUC, shares, network addresses: {crowd.WEARERS} companions over {crowd.DAYS} days (tests/adversary)."
    )
    report.remark("Poller named by nymserver and mailbox server together, by the mean delay of each mix (all honest).")
    report.remark("At once: an exposure's messages leave the nymserver together. Apart: hours lie between them.")
    report.remark(
        "Chance names one of 1,000 in 0.1 %, one of 1,000,000 in 0.0001 %; it leaves 50 % of the others likelier."
    )
    return report


def _add_pollers(report: Report, prefix: str, label: str, delay: float, others_a_day: float) -> None:
    for exposure, messages in EXPOSURES.items():
        for together in (True, False) if messages > 1 else (True,):
            how = "" if messages == 1 else " at once" if together else " apart"
            name = f"poller_{prefix}_{messages}{how.replace(' ', '_')}"
            found = collusion.attack(delay, messages, others_a_day, together=together)
            values = {f"{name}_{count}": 100 * found.named(count) for count in WEARERS}
            report.add_row(f"{label}, {exposure}{how}: poller", "%", {**values, f"{name}_others": 100 * found.above})

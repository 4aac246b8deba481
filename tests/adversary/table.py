"""What all observers found out about a crowd, as a table: for `make bench ONLY=privacy` and docs/threat-model.md."""

from dataclasses import dataclass

from tests.adversary import any_mix, discovery, first_mix, line, mailbox_server, nymserver, outsider, two_servers
from tests.adversary.any_mix import Passing
from tests.adversary.crowd import Crowd
from tests.adversary.figures import told_apart

MAX_AUC = 0.55
MAX_POINTS = 0.05  # over chance


@dataclass(frozen=True)
class Finding:
    """A question, how well it is answered, how well by chance, at most, and where the leak is planted (None: none)."""

    name: str
    question: str
    found: float
    chance: float
    most: float
    leak: float | None


def findings(crowd: Crowd) -> list[Finding]:
    """Every question that the crowd answers."""
    made = []
    for name, who, observer in (
        ("first_mixes", "all first mixes", first_mix),
        ("discovery", "discovery", discovery),
        ("mailbox_server", "the mailbox server", mailbox_server),
        ("line", "the observer of a line", line),
    ):
        found = told_apart(observer.SCORES, crowd.notified, crowd.idle)
        leak = told_apart(observer.SCORES, crowd.leaky, crowd.idle)
        worst = max(found.values())
        question = f"{who}: notified or not, AUC"
        made.append(Finding(name, question, worst, 0.5, MAX_AUC, max(leak.values())))
    worst, leaky = outsider.told_apart(crowd.notified, crowd.idle)
    question = "an outsider who heard addresses: notified or not, AUC"
    made.append(Finding("outsider", question, worst, 0.5, MAX_AUC, leaky))
    everybody = [nymserver.arrivals(life) for life in crowd.idle]
    in_order = [nymserver.in_order(each) for each in everybody]
    made.append(Finding(
        "one_log", "the nymserver: one person's addresses in one log, share over chance",
        nymserver.same_person(everybody), 0.0, MAX_POINTS, nymserver.same_person(in_order),
    ))  # fmt: skip
    made.append(Finding(
        "to_come", "the nymserver: addresses to come, from a re-arm, share over chance",
        nymserver.future_addresses(crowd.notified), 0.0, MAX_POINTS, nymserver.future_addresses(crowd.notified, True),
    ))  # fmt: skip
    made.append(Finding(
        "answerer", "the nymserver: whose other messages come with an answer, share over chance",
        nymserver.who_answered(crowd.notified), 0.0, MAX_POINTS, nymserver.who_answered(crowd.notified, leak=True),
    ))  # fmt: skip
    shown = sum(nymserver.connections(life) for life in crowd.idle + crowd.notified)
    made.append(Finding("addresses", "the nymserver: network addresses that it sees", shown, 0.0, 0.0, None))
    named = two_servers.named_by_each(crowd.notified)
    made.append(Finding(
        "together", "nymserver and mailbox server: poller named, of these few with little traffic",
        named, 1 / len(crowd.notified), 1.0, None,
    ))  # fmt: skip
    return made


def of_any_mix(passing: Passing) -> Finding:
    """The question about real packets."""
    return Finding(
        "any_mix", "any mix: messages that have something in common", any_mix.linked(passing.messages), 0.0, 0.0,
        any_mix.linked([*passing.messages, passing.leak]),
    )  # fmt: skip

"""Whether two workers of a mix do twice what one does: processor time of a hop with one, and with two.

    python -m tools.bench --only workers

Two networks on the loopback, each with a measured mix whose state is in one cluster: in one network it is one process,
in the other two, and the messages come to both of them. They are measured in turns. Where the machine has a core for
each, and others for the cluster and the senders, what two workers do to one follows from what a hop costs them: twice,
unless they are in each other's way. Measured by the clock it would tell how many cores a machine has.
"""

import statistics
import tempfile
from pathlib import Path

from tools.bench.report import Report
from tools.bench.servers import running, through, x25519_seconds
from tools.redis import MissingRedis
from tools.redis_cluster import RedisCluster

MIN_GAIN = 1.8  # of two workers to one
_ROUNDS = 5


def run() -> Report:
    """The figures; they fail if two workers do less than 1.8 times what one does."""
    report = Report("Workers of a mix on one cluster")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            cluster = RedisCluster(folder / "redis")
        except MissingRedis as error:
            report.remark(f"No figures: {error}")
            return report
        try:
            stores = [(f"{cluster.url}?prefix={name}", cluster.password) for name in ("one", "two")]
            with running(folder / "one", stores[0]) as one, running(folder / "two", stores[1]) as two:
                two.add_worker()
                costs: dict[str, list[float]] = {"one": [], "two": []}
                for round_number in range(_ROUNDS + 1):
                    for name, net in (("one", one), ("two", two)):
                        measure = x25519_seconds()
                        spent, _ = through(net, [1, 2])
                        if round_number:  # the first one opens connections and loads scripts
                            costs[name].append(2 * spent / (measure + x25519_seconds()))
        finally:
            cluster.close()
    cost = {name: statistics.median(each) for name, each in costs.items()}
    report.add("one_cost", "a hop with one worker", cost["one"], "X25519")
    report.add("two_cost", "a hop with two workers, both together", cost["two"], "X25519")
    report.add("two_to_one", "a hop with two workers to one with one", cost["two"] / cost["one"], "")
    report.add("gain", "what two workers do on two cores, to one on one", 2 * cost["one"] / cost["two"], "")
    report.limit("two_to_one", 2 / MIN_GAIN)
    report.remark(f"The middle of {_ROUNDS} rounds; processor time of the workers alone, none of Redis'.")
    return report

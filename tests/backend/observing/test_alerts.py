"""What docs/monitoring has for Prometheus and Grafana: numbers that real servers tell, and a page for each alert."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.backend.client import Client
from tests.backend.conftest import SLOW, STEADY
from tests.backend.operating.test_copies import free_port
from tests.patience import HANG_SECONDS, eventually
from tests.test_pages import ROOT, anchors

RULES = ROOT / "docs" / "monitoring" / "alerts.yml"
RULE_TESTS = Path(__file__).with_name("alerts_test.yml")
DASHBOARD = ROOT / "docs" / "monitoring" / "dashboard.json"
LABELS = {"queue", "next_mix"}  # that servers give
BY_PROMETHEUS = {"job", "instance"}
DAY = 86400


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def queries() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])
    yield from (each["definition"] for each in json.loads(DASHBOARD.read_text())["templating"]["list"][1:])


def labels(query: str) -> set[str]:
    """By which a query selects and joins."""
    joined = re.findall(r"\b(?:on|by|ignoring|without)\s*\(([^)]*)\)|label_values\([^,]*,([^)]*)\)", query)
    named = {name for lists in joined for names in lists for name in re.split(r"[,\s]+", names) if name}
    return named | set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', query))


def test_every_number_in_a_rule_or_a_panel_is_one_that_servers_tell(client: Client) -> None:
    limit = client.servers.for_staff("nymserver")
    eventually("the nymserver has looked at its limit", lambda: "\nanontrace_day_limit " in limit.get("/metrics").text)
    told, given = {"up"}, set()
    for name in (*STEADY, *SLOW):
        text = client.servers.for_staff(name).get("/metrics").text
        for family in text_string_to_metric_families(text):
            told.add(f"{family.name}_total" if family.type == "counter" else family.name)
            given |= {label for sample in family.samples for label in sample.labels}
    asked = {word for query in queries() for word in re.findall(r"\b(?:up|(?:anontrace|process)_\w+)\b", query)}
    assert len(asked) > 40
    assert asked - told == set()
    assert given <= LABELS  # so none names anybody
    assert {label for query in queries() for label in labels(query)} <= LABELS | BY_PROMETHEUS


def test_a_mix_tells_when_its_newest_key_begins(client: Client) -> None:
    text = client.servers.for_staff("mix-1").get("/metrics").text
    (begins,) = re.findall(r"^anontrace_newest_key_seconds (\S+)$", text, re.MULTILINE)
    assert float(begins) % DAY == 0
    assert -60 < float(begins) - time.time() <= DAY
    for name in ("discovery", "authority"):  # have none
        assert not re.search(r"^anontrace_newest_key_seconds ", client.servers.for_staff(name).get("/metrics").text)


def test_each_alert_has_its_page_and_names_nobody() -> None:
    found = anchors(ROOT / "docs" / "operations.md")
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) > 20
    for rule in rules():
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert (page, anchor) == ("docs/operations.md", rule["alert"].lower())
        assert anchor in found, f"{rule['alert']} has no page"
        shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert shown <= LABELS | BY_PROMETHEUS
        assert rule["labels"] in ({"severity": "warning"}, {"severity": "critical"})
    assert {anchor for anchor in found if re.fullmatch(r"anontrace[a-z]+", anchor)} == {name.lower() for name in names}


def test_each_alert_is_raised_by_a_rule_test() -> None:
    raised = set(re.findall(r"\bAnontrace\w+", RULE_TESTS.read_text()))
    assert raised == {rule["alert"] for rule in rules()}


def test_the_dashboard_is_whole() -> None:
    board = json.loads(DASHBOARD.read_text())
    every = board["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    assert len({panel["title"] for panel in every}) == len(every)
    taken = [
        (x, y)
        for at in (panel["gridPos"] for panel in every)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(taken) == len(set(taken)) and max(x for x, _ in taken) < 24  # none covers another
    for panel in panels():
        assert panel["description"]
        assert panel["datasource"]["uid"] == "${datasource}"  # whichever the operator has


@pytest.mark.parametrize("words", [("check", "rules", str(RULES)), ("test", "rules", str(RULE_TESTS))], ids=" ".join)
def test_prometheus_takes_the_rules_and_they_alarm_as_they_should(words: tuple[str, ...]) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed: apt install prometheus")
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_queries_of_the_panels(tmp_path: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed: apt install prometheus")
    # What Grafana puts in place of its variables.
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    spelled = [each.replace("$__rate_interval", "5m").replace("$instance", "a|b") for each in found]
    assert not any("$" in each for each in spelled)
    recorded = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(spelled)]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    done = subprocess.run([program, "check", "rules", path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_takes_the_dashboard(tmp_path: Path) -> None:
    program = shutil.which("grafana")
    if program is None:
        pytest.skip("grafana is not installed: see grafana.com")
    homes = (Path("/usr/share/grafana"), Path(program).resolve().parents[1])
    home = next((home for home in homes if (home / "conf" / "defaults.ini").is_file()), None)
    if home is None:
        pytest.skip("grafana is installed without its conf/defaults.ini")
    url = f"http://127.0.0.1:{free_port()}"
    settings = {
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": url.rpartition(":")[2],
        "GF_SECURITY_ADMIN_USER": "admin",
        "GF_SECURITY_ADMIN_PASSWORD": "of this test",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        **{f"GF_PATHS_{name.upper()}": str(tmp_path / name) for name in ("data", "logs", "plugins", "provisioning")},
    }
    with httpx.Client(base_url=url, auth=("admin", "of this test"), trust_env=False, timeout=HANG_SECONDS) as http:

        def answers() -> bool:
            with suppress(httpx.TransportError):
                return http.get("/api/health").is_success
            return False

        with (tmp_path / "said").open("wb") as said:
            process = subprocess.Popen(
                [program, "server", "--homepath", str(home)], env=os.environ | settings, stdout=said, stderr=said
            )
        try:
            eventually("Grafana answers", answers, process)
            board = json.loads(DASHBOARD.read_text())
            answer = http.post("/api/dashboards/db", json={"dashboard": board})
            assert answer.is_success, answer.text
            shown = http.get(f"/api/dashboards/uid/{board['uid']}").json()["dashboard"]
            assert [each["title"] for each in shown["panels"]] == [each["title"] for each in board["panels"]]
        finally:
            process.terminate()
            process.wait(HANG_SECONDS)

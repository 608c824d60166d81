"""Each alert fires when it should and is quiet when it should be; what Prometheus and Grafana read is well formed."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.alerts.expressions import FILES, alerts, dashboards, of_dashboard

CASES = sorted(Path(__file__).parent.glob("*.yaml"))
ALERTS = {rule["alert"]: rule for rule in alerts()}


def promtool(*words: str | Path) -> str:
    """What promtool printed; fails with its complaint."""
    done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_alerts_fire_and_are_quiet(file: Path):
    promtool("test", "rules", file)


def test_each_alert_has_a_case_that_fires_and_one_that_is_quiet():
    fires, quiet = set(), set()
    for file in CASES:
        for case in yaml.safe_load(file.read_text())["tests"]:
            (test,) = case["promql_expr_test"]
            alert, does = case["name"].split()[:2]
            assert f'alertname="{alert}", alertstate="firing"' in test["expr"]
            assert bool(test["exp_samples"]) == (does == "fires")
            (fires if does == "fires" else quiet).add(alert)
    assert fires == quiet == set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_is_wrong_how_bad_it_is_and_where_to_read_on(name: str):
    rule = ALERTS[name]
    assert re.fullmatch(r"MatrixHub[A-Z]\w+", name)
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["runbook_url"] == f"${{RUNBOOKS}}#{name.lower()}"
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")


def test_the_rules_are_well_formed():
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", FILES / "alerts.yaml")


@pytest.mark.parametrize("name", ["platform", "institution", "department"])
def test_every_expression_of_a_dashboard_is_promql(name: str, tmp_path: Path):
    expressions = list(of_dashboard(dashboards()[name]))
    rules = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(expressions)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": name, "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", file)


def test_panels_of_a_dashboard_lie_side_by_side():
    for board in dashboards().values():
        cells = [
            (x, y)
            for panel in board["panels"]
            for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        ]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24

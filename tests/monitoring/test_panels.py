"""Every query of the three dashboards, and every expression of the rules, on a Prometheus that scrapes the real binaries."""

import json
import re

import pytest
import yaml
from stand import MONITORING, fetch

BOARDS = sorted((MONITORING / "grafana").glob("*.json"))


def queries():
    for board in BOARDS:
        for panel in json.loads(board.read_text())["panels"]:
            for target in panel.get("targets") or []:
                yield pytest.param(target["expr"], id=f"{board.stem}: {panel['title']} {target['refId']}")


@pytest.mark.parametrize("expression", list(queries()))
def test_a_panels_query_finds_something(stand, expression):
    # As Grafana fills them in. The interval is long enough for all that the tests before have done.
    expression = expression.replace("$namespace", ".*").replace("$__rate_interval", "30m")
    assert "$" not in expression, expression
    assert stand.ask(expression), f"nothing is found by {expression}"


def test_every_figure_in_the_rules_is_scraped(stand):
    told = json.loads(fetch(f"{stand.url['prometheus']}/api/v1/label/__name__/values"))["data"]
    rules = yaml.safe_load((MONITORING / "rules/postroom.yaml").read_text())
    text = " ".join(rule["expr"] for group in rules["groups"] for rule in group["rules"])
    used = set(re.findall(r"\bpostroom(?:_[a-z_]+|:[a-z_]+:[a-z0-9]+)", text))
    assert len(used) > 20
    assert sorted(used - set(told)) == []
    groups = json.loads(fetch(f"{stand.url['prometheus']}/api/v1/rules"))["data"]["groups"]
    faults = {rule["name"]: rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")}
    assert faults == {}

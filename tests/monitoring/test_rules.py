"""The rules by themselves: promtool's own checks and tests, and that each alert has all that belongs to it."""

import re
import subprocess

import pytest
import yaml
from shorten import shorten
from stand import MONITORING, REPO, alertmanager_tool

RULES = MONITORING / "rules/postroom.yaml"
TESTS = sorted((MONITORING / "tests").glob("*.yaml"))
SEVERITIES = {"page", "ticket", "info"}


def alerts(text=None):
    """Every alert, by name."""
    groups = yaml.safe_load(text or RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def promtool(*arguments, cwd=MONITORING):
    return subprocess.run(["promtool", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=900)


def said(result):
    return result.stdout + result.stderr


def test_the_rules_and_configurations_are_valid():
    for arguments in (["check", "rules", "--lint-fatal", RULES], ["check", "config", MONITORING / "prometheus.yaml"]):
        result = promtool(*arguments)
        assert result.returncode == 0, said(result)
    checked = subprocess.run(
        [alertmanager_tool(), "check-config", MONITORING / "alertmanager.yaml"], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, said(checked)


def test_every_alert_tells_what_it_means_and_where_to_go():
    names = alerts()
    assert len(names) >= 12
    for name, rule in names.items():
        assert rule["labels"]["severity"] in SEVERITIES, name
        told = rule["annotations"]
        assert set(told) == {"summary", "description", "runbook_url", "dashboard_url"}, name
        assert told["runbook_url"] == "{{ $externalLabels.postroom_runbooks }}/" + name + ".md", name
        assert told["dashboard_url"].startswith("{{ $externalLabels.postroom_url }}/dashboard"), name


def test_every_alert_has_a_runbook_and_no_runbook_is_left_over():
    pages = {page.stem: page.read_text() for page in (MONITORING / "runbooks").glob("*.md")}
    assert set(pages) == set(alerts())
    for name, text in pages.items():
        assert text.startswith(f"# {name}\n"), name
        for part in ("**Means.**", "**First look.**", "**Mend.**", "**Ends**", "```sh\n"):
            assert part in text, f"{name}: {part}"
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            assert (MONITORING / "runbooks" / link).exists(), f"{name}: {link}"


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_promtool_passes(file):
    result = promtool("test", "rules", file.name, cwd=file.parent)
    assert result.returncode == 0, said(result)


def test_each_alert_is_seen_to_fire_to_be_silent_and_to_resolve():
    seen = {name: set() for name in alerts()}
    for file in TESTS:
        for group in yaml.safe_load(file.read_text())["tests"]:
            by_name = {}
            for look in group.get("promql_expr_test", []):
                name = re.search(r'alertname="(\w+)"', look["expr"]).group(1)
                by_name.setdefault(name, []).append(bool(look["exp_samples"]))
            for name, firing in by_name.items():
                if firing[:3] == [False, True, False]:
                    seen[name] |= {"fires", "resolves"}
            for look in group.get("alert_rule_test", []):
                if look["exp_alerts"]:
                    seen[look["alertname"]].add("text")
                    assert look["exp_alerts"][0]["exp_annotations"], look
    lacking = {name: {"fires", "resolves", "text"} - what for name, what in seen.items()}
    assert not any(lacking.values()), lacking


@pytest.mark.parametrize("spoilt", ["never", "always"])
def test_promtools_tests_notice_a_rule_that_is_spoilt(spoilt, tmp_path):
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["expr"] = {"never": "vector(0) > 1", "always": "vector(1)"}[spoilt]
                rule.pop("for", None)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/postroom.yaml").write_text(yaml.safe_dump(rules))
    (tmp_path / "tests").mkdir()
    noticed = ""
    for file in TESTS:
        # One look each is enough: the days take long.
        (tmp_path / "tests" / file.name).write_text(file.read_text())
        result = promtool("test", "rules", file.name, cwd=tmp_path / "tests")
        assert result.returncode != 0, file.name
        noticed += said(result)
    missed = [name for name in alerts() if f'alertname="{name}"' not in noticed and f"alertname: {name}," not in noticed]
    assert missed == []


def test_the_copy_for_tests_differs_in_durations_only():
    text = RULES.read_text()
    short = shorten(text)
    assert short != text
    def bare(text):
        return re.sub(r"(for|interval): \d+[smhd]|\[\d+[smhd]\]", "", text)

    assert bare(short) == bare(text)
    assert "[10s]" in short and "for: 4s" in short and "[24h]" not in short
    assert alerts(short).keys() == alerts().keys()


def test_every_figure_that_is_used_stands_in_one_list_of_names():
    """Names in rules and dashboards are those of the code: a name that is mistyped finds nothing, in silence."""
    code = "\n".join(
        path.read_text() for folder in ("shared/src", "worker/src", "producer/src") for path in (REPO / folder).rglob("*.rs"))
    used = set()
    for path in [RULES, *(MONITORING / "grafana").glob("*.json")]:
        used |= set(re.findall(r"\b(postroom_[a-z_]+)\b(?!:)", path.read_text()))
    used -= {"postroom_url", "postroom_runbooks"}
    names = {re.sub(r"_(total|bucket|count|sum)$", "", name).removeprefix("postroom_") for name in used}
    assert len(names) > 20
    missing = sorted(name for name in names if not re.search(rf'"(postroom_)?{name}"', code))
    assert missing == []

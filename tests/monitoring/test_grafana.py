"""The dashboards of Grafana as files: what is kept is what the script makes."""

import json
import subprocess
import sys

from stand import MONITORING

GRAFANA = MONITORING / "grafana"


def test_the_kept_json_is_what_the_script_makes(tmp_path):
    subprocess.run([sys.executable, GRAFANA / "dashboards.py", tmp_path], check=True, timeout=120)
    made = {path.name: path.read_text() for path in tmp_path.glob("*.json")}
    kept = {path.name: path.read_text() for path in GRAFANA.glob("*.json")}
    assert set(made) == {"fleet.json", "accounts.json", "failures.json"}
    stale = [name for name in made if made[name] != kept.get(name)]
    assert set(kept) == set(made) and stale == [], f"stale: {stale}; run `make dashboards`"


def test_every_panel_says_what_it_shows():
    for path in GRAFANA.glob("*.json"):
        panels = json.loads(path.read_text())["panels"]
        assert len(panels) > 10
        for panel in panels:
            if panel["type"] != "row":
                assert panel["description"].endswith("."), f"{path.name}: {panel['title']}"
                assert panel["targets"], f"{path.name}: {panel['title']}"

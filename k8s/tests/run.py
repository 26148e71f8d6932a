"""`make test-k8s`: renders every overlay and checks it; seeded typos; checkov; the scaling query; rules that lie twice.

Ends with a line as `cargo test` has it. Nothing is contacted but programs on this machine."""

import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

import yaml

import objects
import together
import typos

K8S = pathlib.Path(__file__).parent.parent
CACHE = K8S.parent / ".cache"
KUBECTL = CACHE / "k8s/bin/kubectl"
OVERLAYS = {path.name: path for path in sorted([*(K8S / "overlays").iterdir(), *(K8S / "tests/overlays").iterdir()])}
SEED = int(os.environ.get("SEED", "1"))
SLIPS = 300


def rendered(name):
    """What `kubectl kustomize` makes of an overlay."""
    done = subprocess.run([KUBECTL, "kustomize", OVERLAYS[name]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), done.stderr
    return done.stdout


def faults(items, versions):
    """All that is wrong with the objects of an overlay."""
    found = []
    for version in versions:
        for item in items:
            found += [f"{version}: {fault}" for fault in objects.fits_schema(item, version)]
    try:
        for item in items:
            found += objects.fits_values(item)
        found += together.check(items)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, StopIteration, RuntimeError) as error:
        # What is so wrong that it cannot even be looked at.
        found.append(f"{type(error).__name__}: {error}")
    return found


def every_overlay_fits_the_last_eight_versions():
    versions = objects.versions()
    assert len(versions) == 8, versions
    for name in OVERLAYS:
        items = objects.load(rendered(name))
        found = faults(items, versions)
        assert not found, f"{name}:\n" + "\n".join(found)
        print(f"  {name}: {len(items)} objects, Kubernetes {versions[0]} to {versions[-1]}")


def schemas_alone_refuse_what_the_validator_only_warns_of():
    for kind in ("Deploymnet", "VirtualService"):
        item = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "x"}, "spec": {}}
        assert objects.fits_schema(item, objects.versions()[-1]), kind
    assert objects.fits_schema({"apiVersion": "keda.sh/v1", "kind": "ScaledObject", "metadata": {"name": "x"}}, objects.versions()[-1])


def every_seeded_typo_is_caught():
    versions = objects.versions()
    made = {name: objects.load(rendered(name)) for name in OVERLAYS}
    # What is wrong already would pass for a typo that was caught.
    assert not any(faults(items, versions[-1:]) for items in made.values())
    missed = []
    for version in (versions[0], versions[-1]):
        missed += [typo for typo in typos.TABLE if not faults(typos.put(made[typo[0]], *typo[1:]), [version])]
    assert not missed, "not caught:\n" + "\n".join(map(str, missed))
    print(f"  {len(typos.TABLE)} faults that people make, {len(typos.TABLE)} caught")


def every_slip_of_a_finger_is_caught():
    dice = random.Random(SEED)
    missed, number = [], 0
    for name in OVERLAYS:
        items = objects.load(rendered(name))
        assert not faults(items, objects.versions()[-1:])
        for what, changed in typos.slips(items, dice, SLIPS // len(OVERLAYS)):
            number += 1
            if not faults(changed, objects.versions()[-1:]):
                missed.append(f"{name}: {what}")
    assert not missed, f"seed {SEED}, not caught:\n" + "\n".join(missed)
    print(f"  {number} misspelt keys (seed {SEED}), {number} caught")


def checkov_finds_nothing():
    skips = yaml.safe_load((K8S / "tests/checkov-skips.yaml").read_text())
    assert all(len(skip["reason"]) > 40 for skip in skips.values())
    with tempfile.TemporaryDirectory() as folder:
        for name in OVERLAYS:
            (pathlib.Path(folder) / f"{name}.yaml").write_text(rendered(name))
        command = [CACHE / "checkov/bin/checkov", "-d", folder, "--framework", "kubernetes", "secrets", "--skip-download", "-o", "json", "--soft-fail"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    reports = json.loads(done.stdout)
    reports = reports if isinstance(reports, list) else [reports]
    failed = [check for report in reports for check in report["results"]["failed_checks"]]
    passed = sum(len(report["results"]["passed_checks"]) for report in reports)
    assert passed > 500, (passed, done.stderr[-2000:])

    def skipped(check):
        where = skips.get(check["check_id"], {}).get("where")
        return where == "all" or (where is not None and pathlib.Path(check["file_path"]).stem == where)

    left = [f"{check['check_id']} {check['check_name']}: {check['file_path']} {check['resource']}" for check in failed if not skipped(check)]
    assert not left, "\n".join(left)
    assert "urlopen" not in done.stderr, done.stderr[-2000:]
    idle = set(skips) - {check["check_id"] for check in failed}
    assert not idle, f"needed no more: {idle}"
    print(f"  checkov: {passed} passed, 0 failed, {len(failed)} skipped by {len(skips)} reasons")


def the_query_that_scales_is_the_one_that_is_tested():
    tests = yaml.safe_load((K8S / "tests/scaling/tests.yaml").read_text())
    asked = {test["expr"] for group in tests["tests"] for test in group["promql_expr_test"]}
    triggers = [trigger for item in objects.load(rendered("zero")) if item["kind"] == "ScaledObject" for trigger in item["spec"]["triggers"]]
    for trigger in triggers:
        query, threshold = trigger["metadata"]["query"], trigger["metadata"]["threshold"]
        assert query in asked, query
        assert f"ceil({query} / {threshold})" in asked or threshold == "10000000", (query, threshold)
    promtool = shutil.which("promtool")
    assert promtool, "no promtool: tests/tools/k8s.sh installs it"
    done = subprocess.run([promtool, "test", "rules", "tests.yaml"], cwd=K8S / "tests/scaling", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"  {len(asked)} expressions, {len(triggers)} of them scale")


def an_adapter_asks_the_same():
    text = (K8S / "README.md").read_text()
    query = next(trigger["metadata"]["query"] for item in objects.load(rendered("prod")) if item["kind"] == "ScaledObject" for trigger in item["spec"]["triggers"])
    assert query in text


def alert_rules_lie_in_the_cluster_as_they_were_written():
    source = K8S / "monitoring/rules/postroom.yaml"
    made = K8S / "components/monitoring/rules.yaml"
    if not source.exists():
        print("  no alert rules yet")
        return
    item = yaml.safe_load(made.read_text())
    assert item["spec"] == yaml.safe_load(source.read_text()), "make it anew: python3 k8s/tests/wrap-rules.py"


def the_images_hold_what_the_manifests_run():
    text = (K8S / "image/Containerfile").read_text()
    # What the first stage lays out below /out, and where the last ones copy it to.
    laid_out = set(re.findall(r" (/out/\S*postroom\S*)", text.split("\nFROM scratch")[0]))
    copies = re.findall(r"^COPY --from=built (\S+) (\S+)$", text, re.M)
    held = {path.replace(source, to, 1) for path in laid_out for source, to in copies if f"{path}/".startswith(f"{source}/")}
    specs = [item["spec"]["template"]["spec"] for name in OVERLAYS for item in together.pods(objects.load(rendered(name)))]
    containers = [container for spec in specs for container in spec["containers"] + (spec.get("initContainers") or [])]
    run = {container["command"][0] for container in containers if "postroom" in container["image"]}
    assert len(run) == 3 and run <= held, (run, held)
    assert len(re.findall(r"^USER 65532:65532$", text, re.M)) == 2


TESTS = [
    every_overlay_fits_the_last_eight_versions,
    schemas_alone_refuse_what_the_validator_only_warns_of,
    every_seeded_typo_is_caught,
    every_slip_of_a_finger_is_caught,
    checkov_finds_nothing,
    the_query_that_scales_is_the_one_that_is_tested,
    an_adapter_asks_the_same,
    alert_rules_lie_in_the_cluster_as_they_were_written,
    the_images_hold_what_the_manifests_run,
]


def main():
    failed = 0
    wanted = sys.argv[1:]
    chosen = [test for test in TESTS if not wanted or any(word in test.__name__ for word in wanted)]
    for test in chosen:
        try:
            test()
            print(f"test {test.__name__} ... ok", flush=True)
        except Exception:  # a test says what failed by failing, whatever it is
            failed += 1
            traceback.print_exc(file=sys.stdout)
            print(f"test {test.__name__} ... FAILED", flush=True)
    print(f"test result: {'FAILED' if failed else 'ok'}. {len(chosen) - failed} passed; {failed} failed; 0 ignored")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Makes components/monitoring/rules.yaml, the alert rules as an object for a Prometheus operator, of monitoring/rules/postroom.yaml."""

import pathlib

import yaml

K8S = pathlib.Path(__file__).parent.parent
item = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "PrometheusRule",
    "metadata": {"name": "postroom", "labels": {"app.kubernetes.io/part-of": "postroom"}},
    "spec": yaml.safe_load((K8S / "monitoring/rules/postroom.yaml").read_text()),
}
head = "# Made by k8s/tests/wrap-rules.py of k8s/monitoring/rules/postroom.yaml: change it there.\n"
text = yaml.safe_dump(item, sort_keys=False, width=160, allow_unicode=True)
(K8S / "components/monitoring/rules.yaml").write_text(head + text)

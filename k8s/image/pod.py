"""The rendered worker of the overlay dev as one Pod that `podman play kube` can start on the host's network: the stand-in, which podman
of Debian 12 does not know as a sidecar, becomes a container; the Redis is the one that is given; the Secret and the ConfigMap come along."""

import base64
import os
import sys

import yaml

items = list(yaml.safe_load_all(sys.stdin))
pod_name, tag, redis = os.environ["POD"], os.environ["TAG"], os.environ["REDIS"]
deployment = next(item for item in items if item["kind"] == "Deployment" and item["metadata"]["name"] == "postroom-worker")
template = deployment["spec"]["template"]
spec = template["spec"]
sandbox = spec.pop("initContainers")[0]
sandbox.pop("restartPolicy")
spec["containers"].insert(0, sandbox)
spec["restartPolicy"] = "Always"
spec["hostNetwork"] = True
for name in ("topologySpreadConstraints", "serviceAccountName", "automountServiceAccountToken", "enableServiceLinks"):
    spec.pop(name, None)
for container in spec["containers"]:
    container["image"] = f"localhost/{container['image'].rsplit(':', 1)[0]}:{tag}"
    container["imagePullPolicy"] = "Never"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        container.pop(probe, None)
    # On the host's network a port needs no mapping, and this podman refuses one.
    container.pop("ports", None)
for volume in spec["volumes"]:
    if "secret" in volume:
        # The podman of Debian 12 falls over one that does not say so.
        volume["secret"].setdefault("optional", False)
used = {source["configMapRef"]["name"] for container in spec["containers"] for source in container.get("envFrom", [])}
used |= {volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
out = []
for item in items:
    if item["kind"] in ("ConfigMap", "Secret") and item["metadata"]["name"] in used:
        if item["kind"] == "Secret":
            item["data"]["redis-url"] = base64.b64encode(redis.encode()).decode()
        item["metadata"].pop("namespace", None)
        out.append(item)
meta = {"name": pod_name, "labels": template["metadata"]["labels"]}
out.append({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
yaml.safe_dump_all(out, sys.stdout)

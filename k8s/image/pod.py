"""The rendered worker of the overlay dev as one Pod that `podman kube play` can start on the host's network. What differs, and why: the
stand-in, which podman of Debian 12 does not know as a sidecar, becomes a container; the Redis is the one that is given; probes and ports go,
since no kubelet asks; a program that ended well stays ended, so that its exit code can be read; the Secret is a ConfigMap, since podman
before 4.4 leaves a Secret's values in base64 (its pull request 16631)."""

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
# Nothing holds the worker back until the stand-in is there: it fails until then, and is started again.
spec["restartPolicy"] = "OnFailure"
spec["hostNetwork"] = True
for name in ("topologySpreadConstraints", "serviceAccountName", "automountServiceAccountToken", "enableServiceLinks"):
    spec.pop(name, None)
for container in spec["containers"]:
    container["image"] = f"localhost/{container['image'].rsplit(':', 1)[0]}:{tag}"
    container["imagePullPolicy"] = "Never"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe", "ports"):
        container.pop(probe, None)

maps = {source["configMapRef"]["name"] for container in spec["containers"] for source in container.get("envFrom", [])}
secrets = set()
for volume in spec["volumes"]:
    if "secret" in volume:
        secret = volume.pop("secret")
        secrets.add(secret["secretName"])
        # Podman keeps the volume by this name: no other try's may be found by it.
        volume["configMap"] = {"name": f"{pod_name}-{secret['secretName']}", "items": secret["items"], "optional": False}
out = []
for item in items:
    name = item["metadata"]["name"]
    if item["kind"] == "ConfigMap" and name in maps:
        item["metadata"].pop("namespace", None)
        out.append(item)
    if item["kind"] == "Secret" and name in secrets:
        data = {key: base64.b64decode(value).decode() for key, value in item["data"].items()}
        data["redis-url"] = redis
        out.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{pod_name}-{name}"}, "data": data})
meta = {"name": pod_name, "labels": template["metadata"]["labels"]}
out.append({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
yaml.safe_dump_all(out, sys.stdout)

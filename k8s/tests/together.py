"""What is checked of all objects of an overlay together: whatever one names must be there, and what belongs together must agree."""

import re

from objects import POD_SECURITY, label, walk

# Made by whoever runs it, or by an operator.
GIVEN_SECRETS = {"postroom-secrets"}
# Only here the keys are free: what stands there is compared with what it must meet.
LABELS = {"app.kubernetes.io/name", "app.kubernetes.io/part-of"}
MIB = {"Mi": 1, "Gi": 1024, "MiB": 1, "GiB": 1024}


def named(items, kind, name):
    return next((item for item in items if item["kind"] == kind and item["metadata"]["name"] == name), None)


def megabytes(text):
    number, unit = re.match(r"([0-9]+)([A-Za-z]+)$", text).groups()
    return int(number) * MIB[unit]


def seconds(text):
    return int(text.removesuffix("s"))


def matches(selector, labels):
    wanted = (selector or {}).get("matchLabels") or {}
    return bool(wanted) and all(labels.get(name) == value for name, value in wanted.items())


def pods(items):
    return [item for item in items if item["kind"] == "Deployment"]


def settings_of(items, container):
    """The variables that a container gets."""
    found = {}
    for source in container.get("envFrom") or []:
        found |= (named(items, "ConfigMap", source["configMapRef"]["name"]) or {}).get("data") or {}
    return found | {variable["name"]: variable.get("value") for variable in container.get("env") or []}


def restricted(item):
    """The rules of the pod security level `restricted`, and our own: a root that cannot be written, no token, no links."""
    pod, faults = item["spec"]["template"]["spec"], []
    context = pod.get("securityContext") or {}
    wanted = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    faults += [f"pod: {name}" for name, value in wanted.items() if context.get(name) != value]
    if not context.get("runAsUser") or context["runAsUser"] < 10_000:
        faults.append("pod: runAsUser")
    for name in ("automountServiceAccountToken", "enableServiceLinks"):
        if pod.get(name) is not False:
            faults.append(f"pod: {name}")
    for container in pod["containers"] + (pod.get("initContainers") or []):
        own = container.get("securityContext") or {}
        if own.get("allowPrivilegeEscalation") is not False or own.get("readOnlyRootFilesystem") is not True:
            faults.append(f"{container['name']}: securityContext")
        if own.get("capabilities") != {"drop": ["ALL"]}:
            faults.append(f"{container['name']}: capabilities")
        resources = container.get("resources") or {}
        if not {"cpu", "memory"} <= set(resources.get("requests") or {}) or "memory" not in (resources.get("limits") or {}):
            faults.append(f"{container['name']}: resources")
        for probe in ("livenessProbe", "readinessProbe"):
            if probe not in container:
                faults.append(f"{container['name']}: {probe}")
    return [f"{label(item)}: {fault} is not as `restricted` and we want it" for fault in faults]


def pod_refers(items, item):
    """All that a pod names is there."""
    template, faults = item["spec"]["template"], []
    pod, labels = template["spec"], template["metadata"]["labels"]
    if not matches(item["spec"]["selector"], labels):
        faults.append("its selector does not match its pods")
    account = pod.get("serviceAccountName")
    if account and not named(items, "ServiceAccount", account):
        faults.append(f"no ServiceAccount {account}")
    faults += [f"spreads over pods that are not its own: {spread['labelSelector']}"
               for spread in pod.get("topologySpreadConstraints") or [] if not matches(spread.get("labelSelector"), labels)]
    volumes = {volume["name"] for volume in pod.get("volumes") or []}
    for volume in pod.get("volumes") or []:
        secret = volume.get("secret")
        if secret:
            there = named(items, "Secret", secret["secretName"])
            if not there and secret["secretName"] not in GIVEN_SECRETS:
                faults.append(f"no Secret {secret['secretName']}")
            offered = set((there or {}).get("data") or {}) or {"redis-url", "secret-key"}
            faults += [f"no key {entry['key']} in {secret['secretName']}" for entry in secret.get("items") or [] if entry["key"] not in offered]
        elif "emptyDir" not in volume:
            faults.append(f"volume {volume['name']} is of a kind that is not used here")
    for container in pod["containers"] + (pod.get("initContainers") or []):
        faults += [f"{container['name']}: {fault}" for fault in container_refers(items, pod, container, volumes)]
    return [f"{label(item)}: {fault}" for fault in faults]


def container_refers(items, pod, container, volumes):
    mounts = container.get("volumeMounts") or []
    yield from (f"no volume {mount['name']}" for mount in mounts if mount["name"] not in volumes)
    ports = {port["name"]: port["containerPort"] for port in container.get("ports") or []}
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        http = (container.get(probe) or {}).get("httpGet")
        if http and http["port"] not in ports:
            yield f"{probe}: no port {http['port']}"
        if http and http["path"] not in ("/livez", "/readyz", "/api/stats"):
            yield f"{probe}: no path {http['path']}"
    for source in container.get("envFrom") or []:
        if not named(items, "ConfigMap", source["configMapRef"]["name"]):
            yield f"no ConfigMap {source['configMapRef']['name']}"
    program = {"postroom": "postroom", "postroom-worker": "postroom-worker", "postroom-sandbox": "postroom-sandbox", "redis-server": "redis"}
    if container["command"][0].split("/")[-1] not in program:
        yield f"no program {container['command'][0]}"
    for variable, value in settings_of(items, container).items():
        if variable.endswith("_LISTEN") and int(value.rsplit(":", 1)[1]) not in ports.values():
            yield f"{variable}: {value} is none of the ports"
        if variable.endswith("_LISTEN") and not value.startswith("0.0.0.0:"):
            yield f"{variable}: nobody reaches {value}"
        if variable.endswith("_FILE") and not any(value.startswith(mount["mountPath"] + "/") for mount in mounts):
            yield f"{variable}: nothing is mounted at {value}"
        if variable.endswith("_FILE"):
            files = {entry["path"] for volume in pod["volumes"] for entry in (volume.get("secret") or {}).get("items") or []}
            if value.startswith("/etc/postroom/secrets/") and value.rsplit("/", 1)[1] not in files:
                yield f"{variable}: no file {value}"


def others_refer(items):
    """What services, budgets, monitors, policies and autoscalers choose is there."""
    services = [item for item in items if item["kind"] == "Service"]
    for item in items:
        kind, spec = item["kind"], item.get("spec") or {}
        if kind == "Service":
            chosen = [pod for pod in pods(items) if matches({"matchLabels": spec["selector"]}, pod["spec"]["template"]["metadata"]["labels"])]
            ports = {port["name"] for pod in chosen for container in pod["spec"]["template"]["spec"]["containers"] for port in container["ports"]}
            if len(chosen) != 1:
                yield f"{label(item)}: chooses {len(chosen)} Deployments"
            yield from (f"{label(item)}: no port {port['targetPort']}" for port in spec["ports"] if port["targetPort"] not in ports)
        if kind in ("PodDisruptionBudget", "PodMonitor"):
            chosen = [pod for pod in pods(items) if matches(spec["selector"], pod["spec"]["template"]["metadata"]["labels"])]
            if len(chosen) != 1:
                yield f"{label(item)}: chooses {len(chosen)} Deployments"
            ports = {port["name"] for pod in chosen for container in pod["spec"]["template"]["spec"]["containers"] for port in container["ports"]}
            yield from (f"{label(item)}: {end}" for end in spec.get("podMetricsEndpoints") or [] if end.get("port") not in ports or end.get("path") != "/metrics")
        if kind == "ServiceMonitor":
            chosen = [service for service in services if matches(spec["selector"], service["metadata"].get("labels") or {})]
            ports = {port["name"] for service in chosen for port in service["spec"]["ports"]}
            yield from (f"{label(item)}: {end}" for end in spec["endpoints"] if end.get("port") not in ports or end.get("path") != "/metrics")
        if kind == "NetworkPolicy":
            yield from policy(items, item)
        if kind in ("ScaledObject", "HorizontalPodAutoscaler"):
            target = spec["scaleTargetRef"]
            if not named(items, target.get("kind"), target["name"]) or target.get("apiVersion") != "apps/v1":
                yield f"{label(item)}: no target {target}"
        if kind == "PodDisruptionBudget" and (spec.get("maxUnavailable") != 1 or spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow"):
            yield f"{label(item)}: {spec}"


def policy(items, item):
    chosen = item["spec"]["podSelector"]
    ports = {}
    for pod in pods(items):
        if matches(chosen, pod["spec"]["template"]["metadata"]["labels"]):
            ports = {port["containerPort"] for container in pod["spec"]["template"]["spec"]["containers"] for port in container["ports"]}
    if chosen and not ports:
        yield f"{label(item)}: chooses no pod"
    opened = [port["port"] for rule in item["spec"].get("ingress") or [] for port in rule["ports"]]
    yield from (f"{label(item)}: opens {port}, where nobody listens" for port in opened if port not in ports)
    peers = [peer for way in ("ingress", "egress") for rule in item["spec"].get(way) or [] for peer in (rule.get("from") or rule.get("to") or [])]
    known = {"app.kubernetes.io/name": {"redis"}, "kubernetes.io/metadata.name": {"kube-system", "monitoring"}, "k8s-app": {"kube-dns"}, "postroom/client": {"true"}}
    for path, value in walk(peers):
        if len(path) > 1 and path[-2] == "matchLabels" and value not in known.get(path[-1], set()):
            yield f"{label(item)}: {path[-1]}={value} is no peer that is known"


def agree(items):
    """Numbers that belong together."""
    for item in pods(items):
        pod = item["spec"]["template"]["spec"]
        container = pod["containers"][0]
        settings = settings_of(items, container)
        if "POSTROOM_DRAIN_SECONDS" in settings:
            stop = ((container.get("lifecycle") or {}).get("preStop") or {}).get("sleep", {}).get("seconds", 0)
            if pod["terminationGracePeriodSeconds"] < seconds(settings["POSTROOM_DRAIN_SECONDS"]) + stop + 10:
                yield f"{label(item)}: killed while it drains"
        if "POSTROOM_API_MEMORY" in settings:
            if megabytes(container["resources"]["limits"]["memory"]) < 2 * megabytes(settings["POSTROOM_API_MEMORY"]):
                yield f"{label(item)}: POSTROOM_API_MEMORY does not fit its limit"
        if container["image"].endswith(":latest") or ":" not in container["image"].split("/")[-1]:
            yield f"{label(item)}: {container['image']} names no version"
    worker = next(settings_of(items, item["spec"]["template"]["spec"]["containers"][0]) for item in pods(items) if item["metadata"]["name"] == "postroom-worker")
    wanted = int(worker["POSTROOM_CONCURRENCY"]) * 3 // 4
    for path, value in walk(items):
        if path and path[-1] in ("threshold", "averageValue") and int(value) not in (wanted, 10_000_000):
            yield f"{path}: {value} is not three quarters of POSTROOM_CONCURRENCY"
        if path and path[-1] == "query" and not re.fullmatch(r'max by \(namespace\) \(postroom_(slots_wanted|schedule_lag_seconds)\{namespace="postroom"\}\)', value):
            yield f"{path}: {value}"
    scaled = any(item["kind"] in ("ScaledObject", "HorizontalPodAutoscaler") for item in items)
    if scaled and "replicas" in named(items, "Deployment", "postroom-worker")["spec"]:
        yield "the autoscaler and the Deployment both say how many workers there are"


def check(items):
    """All of it."""
    faults = []
    space = [item for item in items if item["kind"] == "Namespace"]
    if len(space) != 1 or (space[0]["metadata"].get("labels") or {}).get(POD_SECURITY + "enforce") != "restricted":
        faults.append("no namespace that enforces `restricted`")
    else:
        own = space[0]["metadata"]["name"]
        faults += [f"{label(item)}: is not in {own}" for item in items if item is not space[0] and item["metadata"].get("namespace") != own]
    for item in items:
        faults += [f"{label(item)}: {name} is no label of ours" for name in item["metadata"].get("labels") or {} if name not in LABELS and not name.startswith(POD_SECURITY)]
    for item in pods(items):
        faults += restricted(item) + pod_refers(items, item)
    return faults + list(others_refer(items)) + list(agree(items))

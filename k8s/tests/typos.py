"""Faults that people make, put into rendered objects one at a time: each must be caught. And slips of the finger, by a seed."""

import copy

from objects import label, walk

POD = "spec.template.spec"
BOX = POD + ".containers.0"
WORKER, SERVER = "Deployment/postroom-worker", "Deployment/postroom-producer"
# (overlay, object, where, what is put there); "=name" gives the key another name, "-" takes it away.
TABLE = [
    ("prod", WORKER, "spec.replcas", 3),
    ("prod", WORKER, "kind", "Deploymnet"),
    ("prod", WORKER, "apiVersion", "apps/v1beta1"),
    ("prod", WORKER, POD + ".terminationGracePeriodSeconds", 30),
    ("prod", WORKER, POD + ".terminationGracePeriodSeconds", "45s"),
    ("prod", WORKER, POD + ".securityContext.runAsNonRoot", "=runAsNonroot"),
    ("prod", WORKER, POD + ".securityContext.seccompProfile.type", "RuntimeDefualt"),
    ("prod", WORKER, POD + ".automountServiceAccountToken", "-"),
    ("prod", WORKER, BOX + ".securityContext.readOnlyRootFilesystem", "=readOnlyRootFileSystem"),
    ("prod", WORKER, BOX + ".securityContext.capabilities.drop", ["all"]),
    ("prod", WORKER, BOX + ".resources.limits.memory", "512Mo"),
    ("prod", WORKER, BOX + ".livenessProbe.httpGet.path", "/livz"),
    ("prod", WORKER, BOX + ".livenessProbe.httpGet.port", "probes"),
    ("prod", WORKER, BOX + ".readinessProbe", "=readynessProbe"),
    ("prod", WORKER, BOX + ".envFrom.0.configMapRef.name", "postroom-worker"),
    ("prod", WORKER, BOX + ".env.0.value", "/etc/postroom/secret/redis-url"),
    ("prod", WORKER, BOX + ".env.1.value", "/etc/postroom/secrets/secret_key"),
    ("prod", WORKER, BOX + ".command.0", "/usr/local/bin/postroom-workers"),
    ("prod", WORKER, BOX + ".volumeMounts.0.name", "secret"),
    ("prod", WORKER, POD + ".volumes.0.secret.items.0.key", "redis_url"),
    ("prod", WORKER, POD + ".topologySpreadConstraints.0.whenUnsatisfiable", "ScheduleAnyways"),
    ("prod", WORKER, "spec.template.metadata.labels", {"app": "postroom-worker"}),
    ("prod", SERVER, BOX + ".lifecycle.preStop.sleep.seconds", "5"),
    ("prod", SERVER, BOX + ".resources.limits.memory", "256Mi"),
    ("prod", "Service/postroom", "spec.ports.0.targetPort", "htpp"),
    ("prod", "Service/postroom", "spec.selector", {"app.kubernetes.io/name": "postroom-server"}),
    ("prod", "PodDisruptionBudget/postroom-worker", "spec.unhealthyPodEvictionPolicy", "AllwaysAllow"),
    ("prod", "PodDisruptionBudget/postroom-worker", "spec.selector.matchLabels", {"app.kubernetes.io/name": "worker"}),
    ("prod", "NetworkPolicy/postroom-worker", "spec.policyTypes", ["ingress", "egress"]),
    ("prod", "NetworkPolicy/postroom-worker", "spec.egress.0.ports.0.protocol", "tcp"),
    ("prod", "NetworkPolicy/postroom-producer", "spec.ingress.0.ports.0.port", 8052),
    ("prod", "ScaledObject/postroom-worker", "spec.triggers.0.metadata.ignoreNullValues", False),
    ("prod", "ScaledObject/postroom-worker", "spec.triggers.0.metadata.ignoreNullValues", "=ignoreNullValue"),
    ("prod", "ScaledObject/postroom-worker", "spec.triggers.0.metadata.query", "sum(postroom_slots_wanted)"),
    ("prod", "ScaledObject/postroom-worker", "spec.fallback.behavior", "currentReplicaIfHigher"),
    ("prod", "ScaledObject/postroom-worker", "spec.minReplicas", 2),
    ("prod", "ScaledObject/postroom-worker", "spec.scaleTargetRef.name", "postroom-workers"),
    ("prod", "ServiceMonitor/postroom-producer", "spec.endpoints.0.interval", "15 s"),
    ("prod", "ServiceMonitor/postroom-producer", "spec.endpoints.0.port", "metrics"),
    ("prod", "PodMonitor/postroom-worker", "spec.podMetricsEndpoint", []),
    ("prod", "Namespace/postroom", "metadata.labels", {"pod-security.kubernetes.io/enforce": "restrictd"}),
    ("hpa", "HorizontalPodAutoscaler/postroom-worker", "spec.metrics.0.external.target.averageValue", "64"),
    ("hpa", "HorizontalPodAutoscaler/postroom-worker", "spec.behaviour", {}),
    ("hpa", "HorizontalPodAutoscaler/postroom-worker", "spec.behavior.scaleDown.policies.0.type", "Pod"),
    ("external-secrets", "ExternalSecret/postroom-secrets", "spec.data.0.remoteRef", "=remoteref"),
    ("dev", WORKER, POD + ".initContainers.0.restartPolicy", "=restartpolicy"),
]
# Below these, keys are names that somebody chose: a slip is found by what they must meet, or it is another name.
CHOSEN = ("labels", "matchLabels", "data", "annotations", "selector")


def put(items, name, where, value):
    """The objects with one of them changed."""
    items = copy.deepcopy(items)
    node = next(item for item in items if label(item) == name)
    *path, last = [int(part) if part.isdigit() else part for part in where.split(".")]
    for part in path:
        node = node[part]
    if value == "-":
        del node[last]
    elif isinstance(value, str) and value.startswith("="):
        node[value[1:]] = node.pop(last)
    else:
        assert isinstance(last, int) or last not in node or node[last] != value, where
        node[last] = value
    return items


def slip(word, dice):
    """A word with one letter doubled, dropped, swapped with its neighbour or in the other case."""
    for _ in range(50):
        at = dice.randrange(len(word))
        other = dice.choice([
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1:],
            word[:at] + word[at:at + 2][::-1] + word[at + 2:],
            word[:at] + word[at].swapcase() + word[at + 1:],
        ])
        if other and other != word:
            return other
    return word + "x"


def slips(items, dice, number):
    """So many copies of the objects, each with one key misspelt; and what was done."""
    keys = []
    for place, item in enumerate(items):
        for path, value in walk(item):
            if isinstance(value, dict) and not any(part in CHOSEN for part in path):
                keys += [(place, path, key) for key in value if isinstance(key, str)]
    for _ in range(number):
        place, path, key = dice.choice(keys)
        changed = copy.deepcopy(items)
        node = changed[place]
        for part in path:
            node = node[part]
        other = slip(key, dice)
        node[other] = node.pop(key)
        yield f"{label(items[place])}: {'.'.join(map(str, path))}: {key} -> {other}", changed

"""What is checked of one rendered object, and of all objects of an overlay together. Answers sentences; none means nothing is wrong."""

import functools
import json
import pathlib
import re

import jsonschema
from kubernetes_validate import utils as kubernetes_validate
import yaml

# The validator reads its files, some megabytes, anew for each object.
kubernetes_validate.schema_contents = functools.lru_cache(maxsize=64)(kubernetes_validate.schema_contents)
HERE = pathlib.Path(__file__).parent
# Objects that are not Kubernetes' own, each with its schema (schemas/make.sh). Any other kind is refused.
FOREIGN = {
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("external-secrets.io/v1", "ExternalSecret"),
}
# The schemas take any text here; the API server does not.
WORDS = {
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "protocol": {"TCP", "UDP", "SCTP"},
    "unhealthyPodEvictionPolicy": {"AlwaysAllow", "IfHealthyBudget"},
    "whenUnsatisfiable": {"ScheduleAnyway", "DoNotSchedule"},
    "topologyKey": {"kubernetes.io/hostname", "topology.kubernetes.io/zone"},
    "appProtocol": {"http"},
}
POLICY_TYPES = {"Ingress", "Egress"}
QUANTITY = re.compile(r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")
NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
POD_SECURITY = "pod-security.kubernetes.io/"


def versions():
    """The last eight versions of Kubernetes that the validator has, oldest first."""
    return list(dict.fromkeys(kubernetes_validate.all_versions()))[-8:]


def load(text):
    """The objects of rendered YAML; a key that stands twice is refused."""

    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader, node):
        keys = [loader.construct_object(key) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise ValueError(f"a key stands twice: {keys}")
        return yaml.SafeLoader.construct_mapping(loader, node, deep=True)

    Strict.add_constructor("tag:yaml.org,2002:map", mapping)
    return [item for item in yaml.load_all(text, Loader=Strict) if item is not None]


def label(item):
    """An object in few words."""
    return f"{item.get('kind')}/{(item.get('metadata') or {}).get('name')}"


def fits_schema(item, version):
    """What the strict schema of its kind says of an object."""
    kind = (item.get("apiVersion"), item.get("kind"))
    if kind in FOREIGN:
        schema = json.loads((HERE / "schemas" / f"{kind[1]}.json").read_text())
        faults = jsonschema.Draft7Validator(schema).iter_errors(item)
        return [f"{label(item)}: {'.'.join(map(str, fault.absolute_path))}: {fault.message[:200]}" for fault in faults]
    try:
        kubernetes_validate.validate(item, version, strict=True)
    except kubernetes_validate.ValidationError as fault:
        return [f"{label(item)}: {'.'.join(map(str, fault.path))}: {fault.message[:200]}"]
    except kubernetes_validate.SchemaNotFoundError:
        return [f"{label(item)}: {kind} is no kind that is known here, in Kubernetes {version}"]
    except (KeyError, TypeError, AttributeError) as fault:
        return [f"{label(item)}: is no object: {fault!r}"]
    return []


def walk(node, path=()):
    """Every value with the path of names that leads to it."""
    yield path, node
    if isinstance(node, dict):
        for name, value in node.items():
            yield from walk(value, (*path, name))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from walk(value, (*path, number))


def fits_values(item):
    """What the API server checks of single values and the schemas do not."""
    faults = []
    for path, value in walk(item):
        name, where = (path[-1] if path else None), f"{label(item)}: {'.'.join(map(str, path))}"
        if name in WORDS and value not in WORDS[name]:
            faults.append(f"{where}: {value!r} is none of {sorted(WORDS[name])}")
        if len(path) > 1 and path[-2] in ("requests", "limits") and not QUANTITY.match(str(value)):
            faults.append(f"{where}: {value!r} is no quantity")
        if len(path) > 1 and path[-2] in ("requests", "limits") and name not in ("cpu", "memory"):
            faults.append(f"{where}: no such resource")
        if name in ("seccompProfile",) and value.get("type") != "RuntimeDefault":
            faults.append(f"{where}: {value}")
        if len(path) > 1 and path[-2] == "drop" and value != "ALL":
            faults.append(f"{where}: {value!r} is not ALL")
        if len(path) > 1 and path[-2] == "policyTypes" and value not in POLICY_TYPES:
            faults.append(f"{where}: {value!r} is none of {sorted(POLICY_TYPES)}")
        if name == "policies" and any(policy.get("type") not in ("Pods", "Percent") for policy in value):
            faults.append(f"{where}: a policy is of no known type")
    meta = item.get("metadata") or {}
    if not NAME.match(str(meta.get("name"))):
        faults.append(f"{label(item)}: is no name")
    for name in meta.get("labels") or {}:
        if name.startswith("pod-security.kubernetes.io/") and name.removeprefix(POD_SECURITY) not in ("enforce", "audit", "warn"):
            faults.append(f"{label(item)}: {name} is no such label")
    return faults

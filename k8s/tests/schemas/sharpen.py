"""Sharpens a schema made of types: whole numbers are whole, spans of time are spans, and what the operators take as a free map but
read by name (the metadata of KEDA's trigger `prometheus`) lists its names. Those names and patterns are written by hand, from the
operators' documents. What nobody writes by hand (status, descriptions) is left out."""

import json
import sys

SPAN = r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$"
PROMETHEUS = {
    "serverAddress": {"type": "string", "pattern": "^https?://"},
    "query": {"type": "string", "minLength": 1},
    "threshold": {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"},
    "activationThreshold": {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"},
    "ignoreNullValues": {"enum": ["true", "false"]},
    "unsafeSsl": {"enum": ["true", "false"]},
    "timeout": {"type": "string"},
    "namespace": {"type": "string"},
    "customHeaders": {"type": "string"},
    "queryParameters": {"type": "string"},
    "authModes": {"type": "string"},
}


def sharpen(node, inside=""):
    """One node and all below it."""
    if isinstance(node, list):
        return [sharpen(item, inside) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: sharpen(value, name) for name, value in node.items() if not (name == "description" and isinstance(value, str))}
    if node.get("type") == "number":
        node["type"] = "integer"
    if inside in ("IDuration", "INonEmptyDuration") and node.get("type") == "string":
        node["pattern"] = SPAN
    if inside == "IScaleTriggers":
        trigger = {"properties": {"type": {"const": "prometheus"}}}
        metadata = {"type": "object", "properties": PROMETHEUS, "additionalProperties": False, "required": ["serverAddress", "query", "threshold"]}
        node["if"], node["then"] = trigger, {"properties": {"metadata": metadata}}
        node["properties"]["type"] = {"enum": ["prometheus"]}
        node["properties"]["metricType"] = {"enum": ["AverageValue", "Value", "Utilization"]}
    if inside == "IHPAScalingPolicy":
        node["properties"]["type"] = {"enum": ["Pods", "Percent"]}
    return node


def reachable(schema):
    """The definitions that are still referred to."""
    wanted, found = [schema], set()
    while wanted:
        node = wanted.pop()
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).removeprefix("#/definitions/")
            if name and name not in found:
                found.add(name)
                wanted.append(schema["definitions"][name])
            wanted += [value for key, value in node.items() if key != "definitions"]
        elif isinstance(node, list):
            wanted += node
    return found


schema = sharpen(json.load(sys.stdin))
schema["properties"].pop("status", None)
# An object without these is nothing that anybody would apply.
schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
kept = reachable(schema)
schema["definitions"] = {name: value for name, value in schema["definitions"].items() if name in kept}
json.dump(schema, sys.stdout, indent=1, sort_keys=True)
print()

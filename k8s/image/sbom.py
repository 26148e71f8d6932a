#!/usr/bin/env python3
"""Writes what is inside the image as CycloneDX (JSON, 1.6): each crate that is built into the programs, with version, licence and checksum, and
what depends on what. From cargo's own list, by cyclonedx-python-lib.
  sbom.py FILE"""

import json
import pathlib
import re
import subprocess
import sys

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

PROGRAMS = ["postroom", "postroom-worker"]
PLATFORM = "x86_64-unknown-linux-gnu"


def metadata():
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", PLATFORM]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def is_macro(package):
    """Whether it runs in the compiler only."""
    return any("proc-macro" in target["kind"] for target in package["targets"])


def inside(nodes, packages):
    """The packages that are built into the programs: whatever is only needed to build or to test them is not."""
    found, left = set(), [id for id, package in packages.items() if package["name"] in PROGRAMS]
    while left:
        id = left.pop()
        if id in found or is_macro(packages[id]):
            continue
        found.add(id)
        for dependency in nodes[id]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                left.append(dependency["pkg"])
    return found


def checksums():
    lock = pathlib.Path("Cargo.lock").read_text()
    blocks = re.findall(r'name = "(.+)"\nversion = "(.+)"\nsource = .+\nchecksum = "(.+)"', lock)
    return {(name, version): checksum for name, version, checksum in blocks}


def component(package, sums):
    name, version = package["name"], package["version"]
    ours = package["source"] is None
    licence = (package["license"] or "").replace("/", " OR ")
    known = sums.get((name, version))
    return Component(
        type=ComponentType.APPLICATION if name in PROGRAMS else ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=f"{name}@{version}",
        purl=None if ours else PackageURL("cargo", None, name, version),
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=known)] if known else [],
    )


def main(file):
    data = metadata()
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    found = inside(nodes, packages)
    sums = checksums()
    components = {id: component(packages[id], sums) for id in sorted(found)}
    bom = Bom(components=components.values())
    bom.metadata.component = Component(type=ComponentType.CONTAINER, name="postroom", bom_ref="image")
    bom.register_dependency(bom.metadata.component, [one for one in components.values() if one.name in PROGRAMS])
    for id, one in components.items():
        bom.register_dependency(one, [components[edge["pkg"]] for edge in nodes[id]["deps"] if edge["pkg"] in components])
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault:
        sys.exit(f"no valid CycloneDX: {fault}")
    pathlib.Path(file).write_text(text)
    print(f"{file}: {len(components)} crates")


main(sys.argv[1])

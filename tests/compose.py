#!/usr/bin/env python3
"""Holds the files of the container mesh against each other and against mesh.yaml.

The same shop is written down for a native run (mesh.yaml), for containers
(deploy/compose/mesh.yaml, docker-compose.yml) and for Prometheus (its targets).
They must not drift apart. Reads the files as text: needs Python 3.9, nothing else.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NATIVE = ROOT / "mesh.yaml"
CONTAINERS = ROOT / "deploy" / "compose" / "mesh.yaml"
COMPOSE = ROOT / "docker-compose.yml"
TARGETS = ROOT / "dashboards" / "prometheus" / "targets" / "compose.yml"
VERSIONS = ROOT / ".env"


def section(text, key):
    """Lines of a top-level key, without comments and blank lines."""
    match = re.search(rf"^{key}:.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    lines = match.group(0).splitlines() if match else []
    return [line.rstrip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def native_instances(text):
    """payments-1, payments-2, …: what a native run makes of the counts."""
    names = []
    for service, body in re.findall(r"^  ([a-z]+):(.*?)(?=^  [a-z]|\Z)", "\n".join(section(text, "services")[1:]), re.MULTILINE | re.DOTALL):
        count = re.search(r"instances: (\d+)", body)
        names += [f"{service}-{number}" for number in range(1, int(count.group(1)) + 1 if count else 2)]
    return names


def calls(text):
    """Who may call whom, by service."""
    found, service = {}, None
    for line in section(text, "services")[1:]:
        if match := re.match(r"  ([a-z]+):", line):
            service = match.group(1)
        if match := re.search(r"calls: \[(.*?)\]", line):
            found[service] = match.group(1)
    return found


def problems():
    native, containers, compose = NATIVE.read_text(), CONTAINERS.read_text(), COMPOSE.read_text()
    for key in ["mesh", "telemetry", "defaults", "routes", "chaos"]:
        if section(native, key) != section(containers, key):
            yield f"`{key}` differs between {NATIVE.name} and {CONTAINERS.relative_to(ROOT)}"
    if calls(native) != calls(containers):
        yield f"`calls` differ between {NATIVE.name} and {CONTAINERS.relative_to(ROOT)}"

    instances = native_instances(native)
    listed = re.findall(r'name: ([\w-]+), inbound: "\1:8001"', containers)
    if sorted(instances) != sorted(listed):
        yield f"{CONTAINERS.relative_to(ROOT)} lists {listed}, {NATIVE.name} means {instances}"

    services = re.findall(r"^  ([\w-]+):$", compose.split("\nservices:\n")[1].split("\nvolumes:\n")[0], re.MULTILINE)
    wanted = set(instances) | {f"{name}-sidecar" for name in instances}
    for name in sorted(wanted - set(services)):
        yield f"{COMPOSE.name} has no service {name}"
    for name in instances:
        if f'network_mode: "service:{name}"' not in compose:
            yield f"{COMPOSE.name}: no sidecar lives in the network namespace of {name}"

    targets = re.findall(r"- ([\w-]+):(\d+)", TARGETS.read_text())
    for port in ["9101", "9102"]:
        scraped = sorted(name for name, at in targets if at == port)
        if scraped != sorted(instances):
            yield f"{TARGETS.relative_to(ROOT)}: port {port} is scraped on {scraped}, instances are {sorted(instances)}"

    for image in re.findall(r"^(?!GLASSMESH)\w+_IMAGE=(.*)$", VERSIONS.read_text(), re.MULTILINE):
        if not re.search(r":v?\d+\.\d+\.\d+|@sha256:[0-9a-f]{64}$", image):
            yield f"{VERSIONS.name}: {image} is not pinned to a version or a digest"
    for port in re.findall(r'ports: \["(.*?)"\]', compose):
        if not port.startswith("127.0.0.1:"):
            yield f"{COMPOSE.name}: port {port} is published beyond this machine"


def main():
    found = list(problems())
    for problem in found:
        print(f"  {problem}", file=sys.stderr)
    if found:
        sys.exit(1)
    print("  the container files agree with mesh.yaml")


if __name__ == "__main__":
    main()

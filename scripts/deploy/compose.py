"""compose.py SCHEMA FOLDER: deploy/compose without Docker: the file against the compose specification, and what the schema
cannot see. Exits 1 if there is a problem."""

import copy
import json
import os
import re
import sys

import jsonschema
import yaml

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

from agree import UNITS


def seconds(span):
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+) *(ms|s|m|h)", span))


def problems(compose, validator, folder):
    for error in validator.iter_errors(compose):
        yield f"{'.'.join(str(part) for part in error.absolute_path)}: {error.message}"
    services = compose["services"]
    for name, service in services.items():
        tag = service["image"].rpartition(":")[2]
        if "/" in tag or tag in ("", "latest", service["image"]):
            yield f"{name}: {service['image']} is not pinned"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name}: port {port} is open to other machines, and everybody may use everything"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith(".") and not os.path.exists(f"{folder}/{source}"):
                yield f"{name}: mounts {source}, which is not there"
        for other in service.get("depends_on", {}):
            if other not in services:
                yield f"{name}: depends on {other}, which is not there"
    yield from agreed(services, folder)


def agreed(services, folder):
    """Names and times that the files beside it have in common with it."""
    with open(f"{folder}/notifier.toml", "rb") as file:
        settings = tomllib.load(file)
    nodes = sorted(name for name in services if name.startswith("notifier-"))
    servers = sorted(name for name in services if name.startswith("nats-"))
    for name in nodes:
        patience = seconds(services[name]["stop_grace_period"])
        if patience <= seconds(settings["drain"]["grace"]) + 2:
            yield f"{name}: is killed after {patience:g} s, before its drain is over"
    if sorted(settings["server"]["internal_hosts"]) != nodes:
        yield f"notifier.toml: Prometheus may ask {settings['server']['internal_hosts']}, the nodes are {nodes}"
    if sorted(settings["broker"]["nats"]["urls"]) != [f"nats://{name}:4222" for name in servers]:
        yield f"notifier.toml: broker.nats.urls are not those of {servers}"
    for name in servers:
        command = services[name]["command"]
        if f"--name={name}" not in command or f"--routes={','.join(f'nats://{one}:6222' for one in servers)}" not in command:
            yield f"{name}: has another name, or other routes than those of {servers}"
    for file, pattern in ("haproxy.cfg", r"^  server (\S+) \1:8080$"), ("prometheus.yaml", r'"([^"]+):9090"'):
        with open(f"{folder}/{file}") as text:
            found = sorted(re.findall(pattern, text.read(), re.MULTILINE))
        if found != nodes:
            yield f"{file}: has {found}, the nodes are {nodes}"


CONTROLS = [
    lambda it: it["services"]["balancer"].update(prots=["8080:8080"]),
    lambda it: it["services"]["balancer"].update(image="haproxy"),
    lambda it: it["services"]["balancer"].update(ports=["8080:8080"]),
    lambda it: it["services"]["balancer"]["volumes"].append("./missing:/etc/missing:ro"),
    lambda it: it["services"]["balancer"]["depends_on"].append("notifier-9"),
    lambda it: it["services"]["notifier-1"].update(stop_grace_period="10s"),
    lambda it: it["services"].pop("notifier-2"),
    lambda it: it["services"]["nats-1"]["command"].remove("--name=nats-1"),
]


def main():
    schema, folder = sys.argv[1:]
    with open(schema) as file:
        validator = jsonschema.Draft202012Validator(json.load(file))
    with open(f"{folder}/compose.yaml") as file:
        compose = yaml.safe_load(file)
    found = list(problems(compose, validator, folder))
    for number, control in enumerate(CONTROLS):
        faulty = copy.deepcopy(compose)
        control(faulty)
        if not list(problems(faulty, validator, folder)):
            found.append(f"fault {number} of the controls is not found")
    for problem in found:
        print(f"deploy/compose: {problem}", file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()

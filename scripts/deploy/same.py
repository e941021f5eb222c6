"""Whether the chart and a folder of Kustomize say the same, object by object."""

import json

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

# Written by Helm, or by who installs with it, and by nobody else.
OF_HELM = {"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"}
CHECKSUM = "checksum/config"
CONFIG = "notifier-config"
# Lists whose order means nothing are sorted by this field.
BY_NAME = "name"


def plain(value, key=None):
    """A value without what the two ways write in their own manner."""
    if isinstance(value, dict):
        kept = {name: plain(own, name) for name, own in value.items() if name not in OF_HELM and name != CHECKSUM}
        return {name: own for name, own in kept.items() if not (name == "annotations" and not own)}
    if isinstance(value, list):
        items = [plain(one) for one in value]
        named = all(isinstance(one, dict) and BY_NAME in one for one in items)
        return sorted(items, key=lambda one: one[BY_NAME]) if named and key != "env" else items
    # Kustomize ends the name of what it generates with a hash: a change is another ConfigMap. Helm has a checksum.
    if key == BY_NAME and isinstance(value, str) and value.startswith(f"{CONFIG}-"):
        return CONFIG
    return value


def normal(objects):
    found = {}
    for one in objects:
        if "helm.sh/hook" in one["metadata"].get("annotations", {}):
            continue
        one = plain(one)
        if one["kind"] == "ConfigMap":
            one["data"] = {name: tomllib.loads(text) for name, text in one["data"].items()}
        found[f"{one['kind']} {one['metadata']['name']}"] = one
    return found


def differences(left, right, path=""):
    """Where two values differ, as lines."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            if key not in left or key not in right:
                yield f"{path}{key}: only {'the chart' if key in left else 'kustomize'} has it"
            else:
                yield from differences(left[key], right[key], f"{path}{key}: ")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (one, other) in enumerate(zip(left, right)):
            yield from differences(one, other, f"{path}{number}: ")
    elif left != right:
        yield f"{path}the chart says {json.dumps(left)}, kustomize {json.dumps(right)}"


def compare(chart, kustomize):
    return differences(normal(chart), normal(kustomize))

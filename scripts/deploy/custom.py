"""Custom objects against the schemas of their CRDs, as an API server with strict validation has it: a field that the schema
does not know is a fault. Not checked: rules in CEL, which only a server evaluates."""

import glob

import jsonschema
import yaml


def strict(schema):
    """The schema, refusing what it does not know, with Kubernetes' own extensions in the words of JSON Schema."""
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    # `format` and `pattern` stay as they are; `nullable` is none of JSON Schema.
    strict_one = {key: value for key, value in schema.items() if not key.startswith("x-") and key != "nullable"}
    for key in "properties", "patternProperties":
        if key in strict_one:
            strict_one[key] = {name: strict(value) for name, value in strict_one[key].items()}
    for key in "items", "additionalProperties", "not":
        if key in strict_one:
            strict_one[key] = strict(strict_one[key])
    keeps = schema.get("x-kubernetes-preserve-unknown-fields")
    if "properties" in strict_one and "additionalProperties" not in strict_one and not keeps:
        strict_one["additionalProperties"] = False
    return strict_one


class Schemas:
    def __init__(self, folder):
        self.validators = {}
        for path in sorted(glob.glob(f"{folder}/*.yaml")):
            with open(path) as file:
                for crd in yaml.load_all(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
                    self.add(crd["spec"])

    def add(self, spec):
        for version in spec["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            # The API server knows it for every kind.
            schema["properties"]["metadata"] = {"type": "object"}
            name = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
            self.validators[name] = jsonschema.Draft7Validator(schema)

    def knows(self, one):
        return (one["apiVersion"], one["kind"]) in self.validators

    def problems(self, one):
        validator = self.validators[one["apiVersion"], one["kind"]]
        for error in validator.iter_errors(one):
            place = ".".join(str(part) for part in error.absolute_path)
            yield f"{one['kind']} {one['metadata']['name']}: {place}: {error.message}"

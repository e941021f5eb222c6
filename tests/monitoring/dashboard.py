"""The dashboard deploy/grafana/notifier.json as its queries and as its form."""

import enum
import json
import pathlib
import re
import types
import typing

REPO = pathlib.Path(__file__).resolve().parent.parent.parent
FILE = REPO / "deploy/grafana/notifier.json"
# Where Grafana would choose by the interval of scraping, which is 1 s here.
VARIABLES = {"$__rate_interval": "5s", "$job": ".*", "$instance": ".*"}


def read():
    return json.loads(FILE.read_text())


def expand(text):
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    assert "$" not in text, f"{text}: a variable that nobody knows"
    return text


def panels(dashboard):
    """Rows and panels, those of collapsed rows too."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def queries(dashboard):
    """Each panel's title, the legend and the expression of each of its queries."""
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            yield panel["title"], target["legendFormat"], expand(target["expr"])


def label_queries(dashboard):
    """The label and the selector of each variable that Prometheus is asked for."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
            yield label, expand(selector)


def problems(dashboard):
    """What is wrong with its form."""
    known = {f"${name['name']}" for name in dashboard["templating"]["list"]}
    ids = [panel["id"] for panel in panels(dashboard)]
    if len(ids) != len(set(ids)):
        yield "two panels have the same id"
    taken = {}
    for panel in panels(dashboard):
        place, title = panel["gridPos"], panel["title"]
        if place["x"] + place["w"] > 24:
            yield f"{title}: is wider than the dashboard"
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if (other := taken.setdefault((x, y), title)) != title:
                    yield f"{title}: lies over another panel at {x}, {y} ({other})"
        if panel["type"] == "row":
            continue
        if not panel.get("description"):
            yield f"{title}: has no description"
        if not panel["targets"]:
            yield f"{title}: asks for nothing"
        for target in panel["targets"]:
            if target["datasource"]["uid"] != "${datasource}":
                yield f"{title}: has a data source of its own"
            for series in re.findall(r"(?<![\w:])notifier_\w+(?!\w)(?!\{)", target["expr"]):
                yield f"{title}: {series} is of all jobs and nodes"
            for name in re.findall(r"\$\w+", target["expr"]):
                if name not in known | {"$__rate_interval"}:
                    yield f"{title}: {name} is no variable"


def schema_problems(dashboard):
    """Whatever the classes of grafana-foundation-sdk do not know, or know as another type."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    read = Dashboard.from_json(dashboard)
    written = json.loads(JSONEncoder().encode(read))
    yield from lost(dashboard, written, "dashboard")
    yield from misfits(read, "dashboard")


def lost(given, written, where):
    """What does not come back: fields without a place in the schema."""
    if isinstance(given, dict) and isinstance(written, dict):
        for key, value in given.items():
            if key in written:
                yield from lost(value, written[key], f"{where}.{key}")
            # A null that its class leaves out says the same.
            elif value is not None:
                yield f"{where}.{key}: no such field"
    elif isinstance(given, list) and isinstance(written, list) and len(given) == len(written):
        for number, pair in enumerate(zip(given, written)):
            yield from lost(*pair, f"{where}[{number}]")
    elif given != written:
        yield f"{where}: {given!r} comes back as {written!r}"


def misfits(thing, where):
    """Fields of the schema's classes whose value is of another type than declared."""
    module = __import__(type(thing).__module__, fromlist=["*"])
    for name, hint in typing.get_type_hints(type(thing), vars(module)).items():
        value = getattr(thing, name)
        if not fits(value, hint):
            yield f"{where}.{name}: {value!r} is no {hint}"
        for number, inner in enumerate(value if isinstance(value, list) else [value]):
            if type(inner).__module__.startswith("grafana_foundation_sdk.models") and not isinstance(inner, enum.Enum):
                yield from misfits(inner, f"{where}.{name}[{number}]" if isinstance(value, list) else f"{where}.{name}")


def fits(value, hint):
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (object, typing.Any):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(fits(one, arguments[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(one, arguments[1]) for one in value.values())
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return value in [one.value for one in hint]
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)

"""check_dashboard.py form | data NATS_SERVER NOTIFIER PROMETHEUS: the dashboard's form, or what its queries return.

`data` loads two nodes for some seconds, under a Prometheus that also evaluates the rules of deploy/prometheus.
"""

import asyncio
import importlib.util
import math
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/monitoring"))

import dashboard  # noqa: E402

# A busy machine of tests may be that slow.
OF_SPEED = ("NotifierDeliverySlow", "NotifierDeliveryBudget")
SECONDS = 12  # of load: some scrapes, and pages that have come and gone


def form():
    board = dashboard.read()
    yield from dashboard.problems(board)
    if importlib.util.find_spec("grafana_foundation_sdk"):
        yield from dashboard.schema_problems(board)
    else:
        print("check_dashboard.py: Python is older than 3.11, so Grafana's schema is not checked", file=sys.stderr)


def data(programs):
    import load
    from stage import Stage

    with Stage(*programs) as stage:
        asyncio.run(load.load(stage.nodes, SECONDS))
        yield from answers(stage)


def answers(stage):
    board = dashboard.read()
    for label, selector in dashboard.label_queries(board):
        if not stage.get(f"label/{label}/values", **{"match[]": selector}):
            yield f"the variable of {selector}: no value of {label}"
    span = {"start": stage.begun, "end": time.time(), "step": "1s"}
    for title, legend, query in dashboard.queries(board):
        series = stage.get("query_range", query=query, **span)["result"]
        if not any(not math.isnan(float(value)) for one in series for _, value in one["values"]):
            yield f"{title}: {legend or 'its query'} returns nothing: {query}"
    for group in stage.get("rules")["groups"]:
        for rule in group["rules"]:
            if rule["health"] != "ok":
                yield f"{rule['name']}: {rule.get('lastError')}"
            if rule.get("state") == "firing" and rule["name"] not in OF_SPEED:
                yield f"{rule['name']} fires although all is well: {rule['alerts']}"


def main():
    match sys.argv[1:]:
        case ["form"]:
            found = list(form())
        case ["data", *programs]:
            found = list(data(programs))
        case _:
            sys.exit(__doc__)
    print("\n".join(found), end="\n" if found else "")
    sys.exit(bool(found))


main()

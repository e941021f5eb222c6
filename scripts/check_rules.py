"""check_rules.py tests FOLDER | check SCHEMAS | write: the alert rules, their runbook, their tests, their PrometheusRule.

`tests` writes files of tests for promtool, from tests/monitoring/alerts.yaml. `check` finds what promtool cannot see: an
alert without a section in the runbook, without a case, or other rules in prometheusrule.yaml, which also has to pass the
schema of its CRD (scripts/schemas.sh), or in the chart. `write` makes these two.
"""

import pathlib
import re
import sys

import yaml

REPO = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO / "scripts/deploy"))

import custom  # noqa: E402

RULES = REPO / "deploy/prometheus/notifier.rules.yaml"
KUBERNETES = REPO / "deploy/prometheus/prometheusrule.yaml"
# Helm reads no file outside of its chart.
CHART = REPO / "deploy/helm/notifier/files/notifier.rules.yaml"
CASES = REPO / "tests/monitoring/alerts.yaml"
RUNBOOK = "docs/operations/runbook.md"
SEVERITIES = ("page", "ticket")
ANNOTATIONS = ("summary", "description", "runbook_url")
OBJECTIVES = ("notifier-records", "notifier-objectives")
# Where a case does not speak of it: a node is there.
PRESENT = {'build_info{version="1.0.0",commit="c"}': "1x500"}


def alerts():
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def kubernetes():
    """The groups as they stand, comments included, one level deeper."""
    _, groups = RULES.read_text().split("groups:\n", 1)
    head = (
        "# Made from notifier.rules.yaml by `scripts/check-monitoring.sh --write`.\n"
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n"
        "metadata:\n  name: notifier\n  labels: { app.kubernetes.io/name: notifier }\nspec:\n  groups:\n"
    )
    return head + "".join(f"  {line}" if line.strip() else line for line in groups.splitlines(keepends=True))


def whole(name):
    """`up{job="x"}` or `connections` with the job and the instance that it does not name."""
    name, _, labels = name.rstrip("}").partition("{")
    given = dict(re.findall(r'(\w+)="([^"]*)"', labels))
    labels = {"job": "notifier", "instance": "a"} | given
    name = name if name == "up" else f"notifier_{name}"
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def test(alert, kind, case):
    series = case["series"]
    if not any(name.startswith("build_info") for name in series):
        series = series | PRESENT
    firing = [alert, *case.get("also", [])] if kind == "fires" else []
    return {
        "name": f"{alert} {kind} at {case['at']}",
        "interval": "1m",
        "input_series": [{"series": whole(name), "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"}) > bool 0',
                "eval_time": case["at"],
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(firing)],
            }
        ],
    }


def cases_of_alerts():
    # All as text: `0x10` would be a hexadecimal number.
    return yaml.load(CASES.read_text(), Loader=yaml.BaseLoader)


def tests(folder):
    """Two files, which can run at once. All rules over hours would take longer than all other cases together."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    few = [group for group in groups if group["name"] in OBJECTIVES]
    (folder / "few.rules.yaml").write_text(yaml.safe_dump({"groups": few}))
    long = [rule["alert"] for group in few for rule in group["rules"] if "alert" in rule]
    cases = cases_of_alerts()
    rows = [(alert, kind, case) for alert in cases for kind in cases[alert] for case in cases[alert][kind]]
    for file, rules, mine in (
        ("objectives", folder / "few.rules.yaml", lambda alert: alert in long),
        ("alerts", RULES, lambda alert: alert not in long),
    ):
        content = {
            "rule_files": [str(rules)],
            "evaluation_interval": "1m",
            "tests": [test(*row) for row in rows if mine(row[0])],
        }
        (folder / f"{file}.test.yaml").write_text(yaml.safe_dump(content, sort_keys=False, width=1000))


def problems(schemas):
    cases = cases_of_alerts()
    names = [rule["alert"] for rule in alerts()]
    headings = re.findall(r"^#+ (Notifier\w+)$", (REPO / RUNBOOK).read_text(), re.MULTILINE)
    for rule in alerts():
        name, texts = rule["alert"], rule.get("annotations", {})
        if rule.get("labels", {}).get("severity") not in SEVERITIES:
            yield f"{name}: its severity is none of {SEVERITIES}"
        if sorted(texts) != sorted(ANNOTATIONS):
            yield f"{name}: has the annotations {sorted(texts)}, not {sorted(ANNOTATIONS)}"
        if texts.get("runbook_url") != f"{RUNBOOK}#{name.lower()}":
            yield f"{name}: runbook_url is not {RUNBOOK}#{name.lower()}"
        if sorted(cases.get(name, {})) != ["fires", "quiet"]:
            yield f"{name}: tests/monitoring/alerts.yaml needs `fires` and `quiet`"
    for name in sorted(set(names) ^ set(headings)):
        yield f"{name}: " + (f"{RUNBOOK} has no section" if name in names else "is in the runbook, and no rule")
    for name in sorted(set(cases) - set(names)):
        yield f"{name}: has cases, and no rule"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name}: two rules have that name"
    if not CHART.exists() or CHART.read_text() != RULES.read_text():
        yield "the chart's rules are others than those of notifier.rules.yaml: scripts/check-monitoring.sh --write"
    if not KUBERNETES.exists() or KUBERNETES.read_text() != kubernetes():
        yield "prometheusrule.yaml says something else than notifier.rules.yaml: scripts/check-monitoring.sh --write"
    elif yaml.safe_load(kubernetes())["spec"] != yaml.safe_load(RULES.read_text()):
        yield "prometheusrule.yaml does not hold the groups of notifier.rules.yaml"
    yield from custom.Schemas(schemas).problems(yaml.safe_load(kubernetes()))


def main():
    match sys.argv[1:]:
        case ["tests", folder]:
            tests(pathlib.Path(folder))
        case ["write"]:
            KUBERNETES.write_text(kubernetes())
            CHART.write_text(RULES.read_text())
        case ["check", schemas]:
            found = list(problems(schemas))
            print("\n".join(found), end="\n" if found else "")
            sys.exit(bool(found))
        case _:
            sys.exit(__doc__)


main()

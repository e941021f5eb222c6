"""check.py [DIR..]: checks deploy/ without a cluster; with folders of Kustomize only those, such as an overlay of your own.

scripts/check-deploy.sh runs it and says where the tools are. Prints one line for each problem; exits 1 if there is one.
"""

import argparse
import concurrent.futures
import copy
import json
import os
import subprocess
import sys
import tempfile

import yaml

import agree
import policies
import renderings
import same
from custom import Schemas

# The oldest Kubernetes that most clusters still run, and the newest that the schemas know.
VERSIONS = ["1.32", "1.37"]


class Check:
    def __init__(self, arguments):
        with open(f"{arguments.repository}/deploy/Dockerfile") as file:
            self.dockerfile = file.read()
        self.validate = arguments.validate
        self.schemas = Schemas(arguments.schemas)
        # Of Kubernetes' own kinds, each once: renderings have most of them in common.
        self.core = {}
        self.count = 0
        self.problems = []

    def found(self, name, problems):
        self.problems += [f"{name}: {problem}" for problem in problems]

    def rendering(self, name, objects, production=False):
        self.count += 1
        self.found(name, agree.problems(objects, self.dockerfile))
        self.found(name, policies.problems(policies.Rendering(objects), production))
        for one in objects:
            if self.schemas.knows(one):
                self.found(name, self.schemas.problems(one))
            else:
                self.core.setdefault(json.dumps(one, sort_keys=True), one)

    def kubernetes(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump_all(self.core.values(), file)
            file.flush()
            for version in VERSIONS:
                # --strict: without it a misspelt field passes, as it would on a cluster that ignores what it does not know.
                command = [self.validate, "--strict", "--quiet", "-k", version, file.name]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    self.found(f"Kubernetes {version}", (done.stdout + done.stderr).splitlines())

    def controls(self, tools):
        """Whether the checks find what they are there for."""
        control = tools.of_chart(renderings.CONTROL)
        self.found("controls", policies.blind(policies.Rendering(control)))
        # A misspelt field of a custom kind, and a value that only one of the two ways has.
        faulty = copy.deepcopy(control)
        monitor = next(one for one in faulty if one["kind"] == "PodMonitor")
        monitor["spec"]["podMetricsEndpoints"][0]["intervall"] = "15s"
        if not list(self.schemas.problems(monitor)):
            self.found("controls", ["the schema of PodMonitor does not find `intervall`"])
        faulty = copy.deepcopy(control)
        next(one for one in faulty if one["kind"] == "Service")["spec"]["ports"][0]["port"] = 81
        if len(list(same.compare(faulty, control))) != 1:
            self.found("controls", ["the comparison does not find another port"])


def whole(check, tools, repository, pool):
    folder = f"{repository}/deploy/kubernetes"
    overlays = [f"overlays/{name}" for name in sorted(os.listdir(f"{folder}/overlays"))]
    missing = {"base", *overlays} - renderings.PAIRS.keys()
    check.found("deploy/kubernetes", [f"{name}: no values of the chart say the same" for name in sorted(missing)])

    of_chart = {name: pool.submit(tools.of_chart, values) for name, (values, _) in renderings.PAIRS.items()}
    of_kustomize = {name: pool.submit(tools.of_kustomize, f"{folder}/{name}") for name in renderings.PAIRS}
    others = {name: pool.submit(tools.of_chart, values) for name, values in renderings.combinations()}
    for name, values in renderings.SINGLE.items():
        others[f"chart {name}"] = pool.submit(tools.of_chart, [*renderings.ANONYMOUS, *renderings.NEEDS, *values])
    others["chart of another release"] = pool.submit(tools.of_chart, renderings.ANONYMOUS, "shop")
    notes = {name: pool.submit(tools.notes, values) for name, (values, _) in renderings.PAIRS.items()}
    refusals = [pool.submit(list, tools.not_refused(name)) for name in renderings.REFUSED]

    for name, (_, production) in renderings.PAIRS.items():
        chart, kustomize = of_chart[name].result(), of_kustomize[name].result()
        check.rendering(f"chart as {name}", chart, production)
        check.rendering(name, kustomize, production)
        check.found(name, same.compare(chart, kustomize))
        warned = "WARNING: config.auth.mode is anonymous" in notes[name].result()
        check.found(f"chart as {name}", ["the notes say nothing about open nodes, or of others"] * (warned is production))
    for name, rendered in others.items():
        check.rendering(name, rendered.result())
    for refusal in refusals:
        check.found("chart", refusal.result())
    check.controls(tools)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for tool in "helm", "kustomize", "validate", "schemas", "repository":
        parser.add_argument(f"--{tool}", required=True)
    parser.add_argument("folders", nargs="*")
    arguments = parser.parse_args()
    tools = renderings.Tools(arguments.helm, arguments.kustomize, f"{arguments.repository}/deploy/helm/notifier")
    check = Check(arguments)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            if arguments.folders:
                for folder in arguments.folders:
                    check.rendering(folder, tools.of_kustomize(folder))
            else:
                whole(check, tools, arguments.repository, pool)
        except RuntimeError as error:
            check.found("rendering", [error])
    check.kubernetes()
    for problem in check.problems:
        print(problem, file=sys.stderr)
    print(f"{check.count} renderings, {len(check.core)} objects of Kubernetes' own kinds", file=sys.stderr)
    sys.exit(1 if check.problems else 0)


if __name__ == "__main__":
    main()

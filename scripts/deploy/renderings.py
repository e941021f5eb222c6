"""The renderings that are checked: each folder of Kustomize, the same from the chart, the chart with its switches in all
combinations, and values that the chart has to refuse."""

import itertools
import subprocess

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

ANONYMOUS = ["--set=config.auth.mode=anonymous"]
# The values with which the chart says what a folder of Kustomize says, and whether users are there.
PAIRS = {
    "base": (ANONYMOUS, False),
    "overlays/dev": (["--values={chart}/values-dev.yaml"], False),
    "overlays/production": (["--values={chart}/values-production.yaml"], True),
    "overlays/monitoring": (["--values={chart}/values-production.yaml", "--values={chart}/values-monitoring.yaml"], True),
}
PRODUCTION = PAIRS["overlays/production"][0]
# Keeps every policy, and has one of each kind that they look at.
CONTROL = [
    *PAIRS["overlays/monitoring"][0],
    "--set=autoscaling=hpa",
    "--set=podDisruptionBudget.maxUnavailable=1",
]

SWITCHES = {
    "autoscaling": ["none", "hpa", "keda"],
    "scrape.by": ["annotations", "podMonitor", "serviceMonitor", "none"],
    "route": ["none", "httpRoute", "ingress"],
    "networkPolicy.enabled": ["true", "false"],
}
# Values that some switches need.
NEEDS = ["--set=httpRoute.parentRefs[0].name=gateway", "--set=ingress.hostnames[0]=live.shop.example"]

# Values that are looked at one by one.
SINGLE = {
    **{f"balancer {name}": [f"--set=balancer={name}"] for name in ("cluster", "aws-alb", "aws-nlb", "gcp")},
    "own preStop and grace": ["--set=preStopSeconds=7,config.drain.grace=1m 30.5s"],
    "digest": ["--set=image.digest=sha256:" + "0" * 64],
    "below a path": ["--set=config.server.path_prefix=/notifier,route=ingress"],
    "surge of all": ["--set=rollout.maxSurge=100%"],
    "rules and their runbook": ["--set=scrape.rules=true,scrape.runbooks=https://git.example/notifier/blob/main/"],
    "token of metrics": [
        "--set=scrape.by=podMonitor,scrape.tokenSecret.name=notifier,scrape.tokenSecret.key=internal",
        "--set=config.server.internal_token_file=/run/secrets/notifier/internal",
        "--set=secrets[0].name=notifier,secrets[0].path=/run/secrets/notifier",
    ],
    "token of the test": ["--set=test.tokenSecret.name=notifier-test,test.tokenSecret.key=token"],
    "clients by namespace": [
        "--set=networkPolicy.clients[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=gateway"
    ],
    "everything of pods": [
        "--set=podLabels.team=shop,podAnnotations.owner=shop,nodeSelector.disk=ssd,priorityClassName=high",
        "--set=tolerations[0].key=shop,tolerations[0].operator=Exists,imagePullSecrets[0].name=registry",
        "--set=env[0].name=TZ,env[0].value=UTC,image.pullPolicy=Always",
        "--set=affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]"
        ".matchExpressions[0].key=arch,affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
        ".nodeSelectorTerms[0].matchExpressions[0].operator=Exists",
    ],
}

# Values that the chart refuses, and a part of its reason.
REFUSED = {
    "nobody said who may come in": ([], "config.auth.mode: is not set"),
    "tokens of nobody": (["--set=config.auth.mode=jwt"], "issuers"),
    "a misspelt value": ([*ANONYMOUS, "--set=replcias=3"], "replcias"),
    "an unknown switch": ([*ANONYMOUS, "--set=autoscaling=vpa"], "autoscaling"),
    "an unpinned image": ([*ANONYMOUS, "--set=image.tag=latest"], "tag"),
    "another port": ([*ANONYMOUS, "--set=config.server.listen=0.0.0.0:80"], "listen"),
    "one node with an autoscaler": ([*ANONYMOUS, "--set=autoscaler.min=1"], "min"),
    "a route from nowhere": ([*ANONYMOUS, "--set=route=httpRoute"], "httpRoute.parentRefs"),
    "an Ingress for nobody": ([*ANONYMOUS, "--set=route=ingress"], "ingress.hostnames"),
    "a container without requests": ([*ANONYMOUS, "--set=resources.requests=null"], "requests"),
}


def combinations():
    for values in itertools.product(*SWITCHES.values()):
        switches = [f"--set={key}={value}" for key, value in zip(SWITCHES, values)]
        yield "chart " + " ".join(values), [*ANONYMOUS, *NEEDS, *switches]


class Tools:
    def __init__(self, helm, kustomize, chart):
        self.helm, self.kustomize, self.chart = helm, kustomize, chart

    def run(self, *command):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")
        return done.stdout

    def chart_text(self, values, release="notifier"):
        values = [one.format(chart=self.chart) if "{chart}" in one else one for one in values]
        return self.run(self.helm, "template", release, self.chart, "--namespace=notifier", *values)

    def of_chart(self, values, release="notifier"):
        return objects(self.chart_text(values, release))

    def notes(self, values):
        """The text that Helm shows after an installation."""
        values = [one.format(chart=self.chart) for one in values]
        said = self.run(self.helm, "install", "notifier", self.chart, "--namespace=notifier", "--dry-run=client", *values)
        return said.partition("\nNOTES:\n")[2]

    def of_kustomize(self, folder):
        return objects(self.run(self.kustomize, folder))

    def not_refused(self, name):
        values, reason = REFUSED[name]
        try:
            self.chart_text(values)
        except RuntimeError as error:
            if reason not in str(error):
                yield f"{name}: refused without saying {reason}: {error}"
        else:
            yield f"{name}: not refused"


def objects(text):
    return [one for one in yaml.load_all(text, Loader=LOADER) if one]

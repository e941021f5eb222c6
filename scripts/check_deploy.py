"""check_deploy.py RENDERED DOCKERFILE: finds what a schema cannot see, values that must agree across the deployment.

Reads rendered manifests and the Dockerfile, touches no cluster. Prints one line for each problem; exits 1 if there is one.
"""

import json
import re
import sys

import yaml

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

MARGIN = 15  # seconds: the kubelet's own delays and a slow last write, before it kills the process
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
RESTRICTED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


class Deploy:
    """Everything rendered for one environment, and what was found wrong with it."""

    def __init__(self, rendered, dockerfile):
        self.objects = [one for one in yaml.safe_load_all(rendered) if one]
        self.dockerfile = dockerfile
        self.problems = []
        self.deployment = self.only("Deployment")
        self.spec = self.deployment["spec"]
        self.template = self.spec["template"]
        self.pod = self.template["spec"]
        self.container = self.pod["containers"][0]
        self.ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}

    def demand(self, true, problem):
        if not true:
            self.problems.append(problem)

    def all(self, kind):
        return [one for one in self.objects if one["kind"] == kind]

    def only(self, kind):
        found = self.all(kind)
        if len(found) != 1:
            sys.exit(f"expected one {kind}, found {len(found)}")
        return found[0]

    def check_config(self):
        flag, path = self.container["args"][-2:]
        self.demand(flag == "--config", f"the container's last arguments are {flag} {path}, not --config FILE")
        mounted = {}
        for mount in self.container["volumeMounts"]:
            volume = next(one for one in self.pod["volumes"] if one["name"] == mount["name"])
            for config in self.all("ConfigMap"):
                if config["metadata"]["name"] == volume.get("configMap", {}).get("name"):
                    mounted |= {f"{mount['mountPath']}/{key}": text for key, text in config["data"].items()}
        if path not in mounted:
            self.problems.append(f"--config {path}: no mounted ConfigMap has it, only {sorted(mounted)}")
            return
        try:
            config = tomllib.loads(mounted[path])
        except tomllib.TOMLDecodeError as error:
            self.problems.append(f"{path}: {error}")
            return
        for key, port in ("listen", "client"), ("internal_listen", "internal"):
            address = config["server"][key]
            host, _, number = address.rpartition(":")
            self.demand(
                int(number) == self.ports.get(port),
                f"server.{key} is {address}, containerPort {port} is {self.ports.get(port)}",
            )
            self.demand(host in ("0.0.0.0", "[::]"), f"server.{key} is {address}: unreachable from outside the pod")
        self.demand_grace(config["drain"]["grace"])
        self.demand_nats(config["broker"].get("nats", {}).get("urls", []))

    def demand_grace(self, drain):
        drain = sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+) *(ms|s|m|h)", drain))
        before = self.container["lifecycle"]["preStop"]["sleep"]["seconds"]
        grace = self.pod["terminationGracePeriodSeconds"]
        least = before + drain + MARGIN
        self.demand(
            grace >= least,
            f"terminationGracePeriodSeconds is {grace}, needs {least:g}: preStop {before} + drain.grace {drain:g} + margin {MARGIN}",
        )

    def demand_nats(self, urls):
        allowed = {
            port["port"]
            for policy in self.all("NetworkPolicy")
            for rule in policy["spec"]["egress"]
            for port in rule["ports"]
        }
        for url in urls:
            found = re.search(r":(\d+)$", url)
            port = int(found[1]) if found else 4222
            self.demand(
                port in allowed,
                f"broker.nats.urls has {url}, the NetworkPolicy lets out only to ports {sorted(allowed)}",
            )

    def check_selectors(self):
        labels = self.template["metadata"]["labels"]
        selectors = [("Deployment", self.spec["selector"]["matchLabels"])]
        selectors += [
            ("topologySpreadConstraints", one["labelSelector"]["matchLabels"])
            for one in self.pod["topologySpreadConstraints"]
        ]
        selectors += [(f"Service {one['metadata']['name']}", one["spec"]["selector"]) for one in self.all("Service")]
        selectors += [
            ("PodDisruptionBudget", one["spec"]["selector"]["matchLabels"]) for one in self.all("PodDisruptionBudget")
        ]
        selectors += [("NetworkPolicy", one["spec"]["podSelector"]["matchLabels"]) for one in self.all("NetworkPolicy")]
        for name, selector in selectors:
            self.demand(
                selector and selector.items() <= labels.items(), f"{name} selects {selector}, the pods have {labels}"
            )

    def check_ports(self):
        for probe in "startupProbe", "livenessProbe", "readinessProbe":
            port = self.container[probe]["httpGet"]["port"]
            self.demand(port == "internal", f"{probe} asks port {port}, health is served on internal")
        exposed = set()
        for service in self.all("Service"):
            name, targets = service["metadata"]["name"], {port["targetPort"] for port in service["spec"]["ports"]}
            exposed |= targets
            self.demand(
                targets <= self.ports.keys(),
                f"Service {name} targets {sorted(targets)}, the container has {sorted(self.ports)}",
            )
            if "internal" in targets:
                self.demand(
                    targets == {"internal"} and service["spec"].get("clusterIP") == "None",
                    f"Service {name} exposes the internal port: only a headless Service that has nothing else may",
                )
        for policy in self.all("NetworkPolicy"):
            opened = [(port["port"], "from" in rule) for rule in policy["spec"]["ingress"] for port in rule["ports"]]
            unknown = {port for port, _ in opened} - self.ports.keys()
            self.demand(not unknown, f"NetworkPolicy opens {sorted(unknown)}, the container has {sorted(self.ports)}")
            self.demand(("internal", False) not in opened, "NetworkPolicy opens the internal port to everybody")
            exposed -= {port for port, _ in opened}
        self.demand(not exposed, f"Services target {sorted(exposed)}, the NetworkPolicy does not let it in")
        notes = self.template["metadata"]["annotations"]
        port = notes.get("prometheus.io/port")
        self.demand(notes.get("prometheus.io/scrape") == "true", "the pods have no prometheus.io/scrape annotation")
        self.demand(
            port == str(self.ports.get("internal")),
            f"prometheus.io/port is {port}, containerPort internal is {self.ports.get('internal')}",
        )

    def check_rollout(self):
        rolling = self.spec["strategy"]["rollingUpdate"]
        self.demand(
            rolling["maxUnavailable"] == 0 and rolling["maxSurge"],
            "a rollout must start a new pod before it drains an old one",
        )
        for budget in self.all("PodDisruptionBudget"):
            self.demand(budget["spec"].get("maxUnavailable"), "the PodDisruptionBudget forbids every eviction")

    def check_security(self):
        """Pod Security "restricted", and what we ask for beyond it."""
        pod, own = self.pod.get("securityContext", {}), self.container.get("securityContext", {})
        self.demand(pod.get("runAsNonRoot") is True, "runAsNonRoot is not true")
        self.demand(
            pod.get("seccompProfile", {}).get("type") == "RuntimeDefault", "seccompProfile is not RuntimeDefault"
        )
        self.demand(own.get("allowPrivilegeEscalation") is False, "allowPrivilegeEscalation is not false")
        self.demand(own.get("capabilities") == {"drop": ["ALL"]}, "capabilities are not exactly `drop: [ALL]`")
        self.demand(own.get("readOnlyRootFilesystem") is True, "readOnlyRootFilesystem is not true")
        self.demand(self.pod.get("automountServiceAccountToken") is False, "a service account token is mounted")
        self.demand(
            self.pod.get("enableServiceLinks") is False,
            "enableServiceLinks is not false: NOTIFIER_PORT and the like would be read as settings",
        )
        host = [key for key in ("hostNetwork", "hostPID", "hostIPC") if self.pod.get(key)]
        host += [port["name"] for port in self.container["ports"] if "hostPort" in port]
        self.demand(not host, f"the host is shared: {host}")
        kinds = {key for volume in self.pod.get("volumes", []) for key in volume if key != "name"}
        self.demand(kinds <= RESTRICTED_VOLUMES, f"volumes of kind {sorted(kinds - RESTRICTED_VOLUMES)}")

    def check_image(self):
        def last(instruction):
            return re.findall(rf"^{instruction} (.+)$", self.dockerfile, re.MULTILINE)[-1]

        exposed = {int(port) for port in last("EXPOSE").split()}
        self.demand(
            exposed == set(self.ports.values()),
            f"the image exposes {sorted(exposed)}, the pod has {sorted(self.ports.values())}",
        )
        user = f"{self.pod['securityContext'].get('runAsUser')}:{self.pod['securityContext'].get('runAsGroup')}"
        self.demand(last("USER") == user, f"the image's user is {last('USER')}, the pod's is {user}")
        command = json.loads(last("CMD"))
        self.demand(command == self.container["args"], f"the image runs {command}, the pod {self.container['args']}")


def main():
    rendered, dockerfile = sys.argv[1:]
    with open(rendered) as manifests, open(dockerfile) as image:
        deploy = Deploy(manifests.read(), image.read())
    checks = (
        deploy.check_config,
        deploy.check_selectors,
        deploy.check_ports,
        deploy.check_rollout,
        deploy.check_security,
        deploy.check_image,
    )
    for check in checks:
        try:
            check()
        except (KeyError, IndexError, StopIteration, TypeError, ValueError) as error:
            deploy.problems.append(
                f"{check.__name__}: {type(error).__name__} {error}: what it looks at is missing or of another kind"
            )
    for problem in deploy.problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if deploy.problems else 0)


if __name__ == "__main__":
    main()

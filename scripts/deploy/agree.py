"""Values that must agree across a deployment and the Dockerfile, which a schema cannot see."""

import json
import re

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

MARGIN = 15  # seconds: the kubelet's own delays and a slow last write, before it kills the process
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


class Deploy:
    """Everything rendered for one environment, and what was found wrong with it."""

    def __init__(self, objects, dockerfile):
        self.objects = objects
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
            raise ValueError(f"expected one {kind}, found {len(found)}")
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
        policies = self.all("NetworkPolicy")
        allowed = {port["port"] for policy in policies for rule in policy["spec"]["egress"] for port in rule["ports"]}
        for url in urls if policies else []:
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
        closed = exposed if self.all("NetworkPolicy") else set()
        self.demand(not closed, f"Services target {sorted(closed)}, the NetworkPolicy does not let it in")
        self.check_scrape()

    def check_scrape(self):
        notes = self.template["metadata"].get("annotations", {})
        port = notes.get("prometheus.io/port", "9090")
        self.demand(
            port == str(self.ports.get("internal")),
            f"prometheus.io/port is {port}, containerPort internal is {self.ports.get('internal')}",
        )
        labels = self.template["metadata"]["labels"]
        services = [one["metadata"]["labels"] for one in self.all("Service")]
        for kind, field, selected in (
            ("PodMonitor", "podMetricsEndpoints", [labels]),
            ("ServiceMonitor", "endpoints", services),
        ):
            for monitor in self.all(kind):
                wanted = monitor["spec"]["selector"]["matchLabels"].items()
                found = [one for one in selected if wanted <= one.items()]
                self.demand(len(found) == 1, f"{kind} selects {len(found)} of {kind.removesuffix('Monitor')}s, not one")
                asked = {one["port"] for one in monitor["spec"][field]}
                self.demand(asked == {"internal"}, f"{kind} asks {sorted(asked)}, metrics are on internal")

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


def problems(objects, dockerfile):
    try:
        deploy = Deploy(objects, dockerfile)
    except (KeyError, IndexError, ValueError) as error:
        return [f"no deployment to look at: {type(error).__name__} {error}"]
    for check in deploy.check_config, deploy.check_selectors, deploy.check_ports, deploy.check_image:
        try:
            check()
        except (KeyError, IndexError, StopIteration, TypeError, ValueError) as error:
            what = f"{type(error).__name__} {error}: what it looks at is missing or of another kind"
            deploy.problems.append(f"{check.__name__}: {what}")
    return deploy.problems

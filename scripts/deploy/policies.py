"""Rules that every rendering of deploy/ has to keep, and those for production only. Each policy has a fault that it must
find (`CONTROLS`): a policy that finds nothing would be taken for one that holds.

A policy takes a Rendering and yields what is wrong.
"""

import copy
import re

WORKLOADS = {"Deployment", "Pod"}
# Of Pod Security "restricted".
VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SECRET = re.compile(r'^\s*(secret|password|token|nkey|internal_token) *= *"', re.MULTILINE)


class Rendering:
    def __init__(self, objects):
        self.objects = objects

    def all(self, *kinds):
        return [one for one in self.objects if one["kind"] in kinds]

    def pods(self):
        """Each workload's pod."""
        for one in self.all(*WORKLOADS):
            yield one["spec"]["template"]["spec"] if one["kind"] == "Deployment" else one["spec"]

    def containers(self):
        for pod in self.pods():
            for container in pod["containers"] + pod.get("initContainers", []):
                yield pod, container

    def nodes(self):
        """The containers of nodes."""
        for one in self.all("Deployment"):
            yield from one["spec"]["template"]["spec"]["containers"]

    def scalers(self):
        """Each autoscaler with its least number of pods and its way down."""
        for one in self.all("HorizontalPodAutoscaler"):
            yield one["spec"]["minReplicas"], one["spec"]["behavior"]["scaleDown"]
        for one in self.all("ScaledObject"):
            own = one["spec"]
            yield own["minReplicaCount"], own["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]

    def least(self):
        """The fewest pods that there may be."""
        floors = [least for least, _ in self.scalers()]
        return min(floors or [one["spec"]["replicas"] for one in self.all("Deployment")])


def image(rendering):
    for _, container in rendering.containers():
        name = container["image"]
        pinned = "@sha256:" in name or re.search(r":[^/:]+$", name)
        if not pinned or name.endswith(":latest"):
            yield f"{name}: a restarted pod could be another version than its neighbours"


def resources(rendering):
    for _, container in rendering.containers():
        own = container.get("resources", {})
        for key in "cpu", "memory":
            if key not in own.get("requests", {}):
                yield f"{container['name']} requests no {key}"
        if "memory" not in own.get("limits", {}):
            yield f"{container['name']} has no limit of memory"
        if "cpu" in own.get("limits", {}):
            yield f"{container['name']} has a limit of cpu: a throttled node delays all its clients"


def user(rendering):
    for pod in rendering.pods():
        own = pod.get("securityContext", {})
        if own.get("runAsNonRoot") is not True or not own.get("runAsUser"):
            yield "a pod may run as root"


def privileges(rendering):
    for pod, container in rendering.containers():
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield f"{container['name']} may gain privileges"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{container['name']} has capabilities that are not exactly `drop: [ALL]`"
        if pod.get("securityContext", {}).get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{container['name']} has no seccomp profile"


def root_file_system(rendering):
    for _, container in rendering.containers():
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield f"{container['name']} can write to its root file system"


def host(rendering):
    for pod in rendering.pods():
        yield from (f"{key} shares the machine's" for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key))
        kinds = {key for volume in pod.get("volumes", []) for key in volume if key != "name"}
        yield from (f"a volume is {kind}" for kind in sorted(kinds - VOLUMES))
    for _, container in rendering.containers():
        yield from (f"port {port['name']} is the machine's" for port in container.get("ports", []) if "hostPort" in port)


def service_account(rendering):
    for pod in rendering.pods():
        if pod.get("automountServiceAccountToken") is not False:
            yield "a service account's token is mounted, and nodes never speak to the API"


def service_links(rendering):
    for pod in rendering.pods():
        if pod.get("enableServiceLinks") is not False:
            yield "enableServiceLinks is not false: variables of Services stand among those of settings"


def probes(rendering):
    for container in rendering.nodes():
        for name, path in ("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz"):
            found = container.get(name, {}).get("httpGet", {}).get("path")
            if found != path:
                yield f"{name} asks {found}, not {path}: a restart for an outage of NATS would move all clients"


def budget(rendering):
    budgets = rendering.all("PodDisruptionBudget")
    if not budgets:
        yield "there is none: a cluster that is updated may take all nodes at once"
    for one in budgets:
        most = one["spec"].get("maxUnavailable")
        if not isinstance(most, int) or most < 1:
            yield f"maxUnavailable is {most}: no machine could be emptied"
        elif most >= rendering.least() > 1:
            yield f"maxUnavailable is {most} of {rendering.least()} nodes: all of them may go at once"


def rollout(rendering):
    for one in rendering.all("Deployment"):
        rolling = one["spec"]["strategy"]["rollingUpdate"]
        if rolling["maxUnavailable"] != 0 or not rolling["maxSurge"]:
            yield "a rollout has to start a new pod before it drains an old one"


def replicas(rendering):
    for one in rendering.all("Deployment"):
        if list(rendering.scalers()) and "replicas" in one["spec"]:
            yield "the Deployment has a count besides the autoscaler's: each apply would reset it"


def scale_down(rendering):
    for _, down in rendering.scalers():
        slow = [one for one in down["policies"] if one["type"] == "Pods" and one["value"] == 1]
        if len(slow) != len(down["policies"]) or any(one["periodSeconds"] < 300 for one in slow):
            yield "more than one pod in five minutes: each one less moves all its clients"
        if down["stabilizationWindowSeconds"] < 300:
            yield "the load has to be low for five minutes first"


def spread(rendering):
    for one in rendering.all("Deployment"):
        keys = {own["topologyKey"] for own in one["spec"]["template"]["spec"].get("topologySpreadConstraints", [])}
        missing = {"kubernetes.io/hostname", "topology.kubernetes.io/zone"} - keys
        yield from (f"pods are not spread by {key}" for key in sorted(missing))


def routes(rendering):
    clients = {
        one["metadata"]["name"]
        for one in rendering.all("Service")
        if any(port["name"] == "client" for port in one["spec"]["ports"])
    }
    backends = []
    for one in rendering.all("HTTPRoute"):
        for rule in one["spec"]["rules"]:
            backends += [backend["name"] for backend in rule["backendRefs"]]
            if rule.get("timeouts", {}).get("request") != "0s":
                yield "an HTTPRoute ends requests after a time, and a WebSocket is one"
    for one in rendering.all("Ingress"):
        backends += [
            path["backend"]["service"]["name"] for rule in one["spec"]["rules"] for path in rule["http"]["paths"]
        ]
    yield from (f"{name} is not the clients' Service" for name in backends if name not in clients)


def secrets(rendering):
    for one in rendering.all("ConfigMap"):
        for text in one["data"].values():
            yield from (f"the ConfigMap holds a {found[1]}; a Secret should" for found in SECRET.finditer(text))


def scraped_once(rendering):
    monitors = len(rendering.all("PodMonitor", "ServiceMonitor"))
    for one in rendering.all("Deployment"):
        notes = one["spec"]["template"]["metadata"].get("annotations", {})
        if monitors + ("prometheus.io/scrape" in notes) > 1:
            yield "every node would be counted twice"


def labels(rendering):
    for one in rendering.objects:
        if "app.kubernetes.io/name" not in one["metadata"].get("labels", {}):
            yield f"{one['kind']} {one['metadata']['name']} does not say whose it is"


EVERYWHERE = [
    image,
    resources,
    user,
    privileges,
    root_file_system,
    host,
    service_account,
    service_links,
    probes,
    budget,
    rollout,
    replicas,
    scale_down,
    spread,
    routes,
    secrets,
    scraped_once,
    labels,
]


def tokens(rendering):
    for one in rendering.all("ConfigMap"):
        text = one["data"]["notifier.toml"]
        if 'mode = "jwt"' not in text or "[[grants]]" not in text or "allow_anonymous = true" in text:
            yield "nodes let clients in without a token"


def nats(rendering):
    for one in rendering.all("ConfigMap"):
        text = one["data"]["notifier.toml"]
        if '"nats://' in text or not re.search(r"^(credentials|password|nkey|token)_file", text, re.MULTILINE):
            yield "nodes reach NATS without TLS or without a user of their own"


def walls(rendering):
    policies = rendering.all("NetworkPolicy")
    if not policies:
        yield "there is no NetworkPolicy"
    for one in policies:
        yield from ("everybody may reach a port" for rule in one["spec"]["ingress"] if not rule.get("from"))


def nodes(rendering):
    if rendering.least() < 3:
        yield f"there may be {rendering.least()} nodes: a rollout beside a lost machine needs three"


IN_PRODUCTION = [tokens, nats, walls, nodes]


def problems(rendering, production=False):
    for policy in EVERYWHERE + (IN_PRODUCTION if production else []):
        for problem in policy(rendering):
            yield f"policy {policy.__name__}: {problem}"


def of(rendering, kind):
    return rendering.all(kind)[0]


def pod(rendering):
    return of(rendering, "Deployment")["spec"]["template"]["spec"]


def node(rendering):
    return pod(rendering)["containers"][0]


def settings(rendering, old, new):
    data = of(rendering, "ConfigMap")["data"]
    assert old in data["notifier.toml"], f"the settings have no {old}"
    data["notifier.toml"] = data["notifier.toml"].replace(old, new)


# The fault that each policy has to find.
CONTROLS = {
    image: lambda it: node(it).update(image="registry.example/notifier:latest"),
    resources: lambda it: node(it)["resources"]["limits"].pop("memory"),
    user: lambda it: pod(it)["securityContext"].update(runAsUser=0),
    privileges: lambda it: node(it)["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
    root_file_system: lambda it: node(it)["securityContext"].pop("readOnlyRootFilesystem"),
    host: lambda it: pod(it)["volumes"].append({"name": "log", "hostPath": {"path": "/var/log"}}),
    service_account: lambda it: pod(it).pop("automountServiceAccountToken"),
    service_links: lambda it: pod(it).pop("enableServiceLinks"),
    probes: lambda it: node(it)["livenessProbe"]["httpGet"].update(path="/readyz"),
    budget: lambda it: of(it, "PodDisruptionBudget")["spec"].update(maxUnavailable=it.least()),
    rollout: lambda it: of(it, "Deployment")["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1),
    replicas: lambda it: of(it, "Deployment")["spec"].update(replicas=3),
    scale_down: lambda it: next(it.scalers())[1]["policies"][0].update(value=4),
    spread: lambda it: pod(it)["topologySpreadConstraints"].pop(),
    routes: lambda it: of(it, "HTTPRoute")["spec"]["rules"][0].pop("timeouts"),
    secrets: lambda it: settings(it, "[auth]\n", '[auth]\nsecret = "0123456789"\n'),
    scraped_once: lambda it: of(it, "Deployment")["spec"]["template"]["metadata"]["annotations"].update(
        {"prometheus.io/scrape": "true"}
    ),
    labels: lambda it: of(it, "Service")["metadata"].pop("labels"),
    tokens: lambda it: settings(it, 'mode = "jwt"', 'mode = "anonymous"'),
    nats: lambda it: settings(it, '"tls://', '"nats://'),
    walls: lambda it: of(it, "NetworkPolicy")["spec"]["ingress"][0].pop("from"),
    nodes: lambda it: of(it, "HorizontalPodAutoscaler")["spec"].update(minReplicas=2),
}


def blind(rendering):
    """The policies that do not find their fault in a rendering which keeps them all and has an HPA, a PodMonitor and an
    HTTPRoute."""
    for policy in EVERYWHERE + IN_PRODUCTION:
        faulty = Rendering(copy.deepcopy(rendering.objects))
        if list(policy(faulty)):
            yield f"policy {policy.__name__}: the rendering for the controls does not keep it"
        CONTROLS[policy](faulty)
        if not list(policy(faulty)):
            yield f"policy {policy.__name__} does not find its fault"

"""A nats-server, two nodes and a Prometheus that scrapes them each second, on free ports, until the end of a `with`."""

import json
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

REPO = pathlib.Path(__file__).resolve().parent.parent.parent
PATIENCE = 20  # seconds for a server to start; each needs a fraction of one

NODE = """
[server]
listen = "127.0.0.1:0"
internal_listen = "127.0.0.1:0"
[broker]
kind = "nats"
[broker.nats]
urls = ["{nats}"]
[auth]
mode = "anonymous"
[log]
format = "json"
[[streams]]
name = "STORED"
subjects = ["load.stored.>"]
storage = "memory"
[[subjects]]
pattern = "load.stored.>"
delivery = "durable"
stream = "STORED"
"""

PROMETHEUS = """
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: [{rules}]
scrape_configs:
  - job_name: notifier
    static_configs: [{{ targets: {targets} }}]
"""


class Stage:
    def __init__(self, nats_server, notifier, prometheus):
        self.programs = nats_server, notifier, prometheus
        self.running = []

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.folder.name)
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # Backwards: who uses a server ends before it.
        for process in reversed(self.running):
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.folder.cleanup()

    def begin(self):
        self.nats = self.start_nats(-1)
        ports = self.until("nats", lambda _: next(iter(self.dir.glob("*.ports")), None))
        self.nats_url = self.until("nats", lambda _: json.loads(ports.read_text() or "{}").get("nats"))[0]
        nodes = [self.start_node(name) for name in ("node-a", "node-b")]
        self.nodes = [f"ws://{clients}" for clients, _ in nodes]
        self.internal = [internal for _, internal in nodes]
        config = self.dir / "prometheus.yml"
        rules = REPO / "deploy/prometheus/notifier.rules.yaml"
        config.write_text(PROMETHEUS.format(rules=json.dumps(str(rules)), targets=json.dumps(self.internal)))
        arguments = [f"--config.file={config}", f"--storage.tsdb.path={self.dir}/data"]
        self.start("prometheus", [self.programs[2], *arguments, "--web.listen-address=127.0.0.1:0"])
        listens = r'msg="Listening on" address=(\S+)'
        self.prometheus = "http://" + self.until("prometheus", lambda log: re.search(listens, log))[1]
        self.until("prometheus", lambda _: urllib.request.urlopen(f"{self.prometheus}/-/ready", timeout=5))
        self.until("prometheus", lambda _: self.get("query", query="sum(up)")["result"])
        self.begun = time.time()

    def start_nats(self, port):
        arguments = ["--addr", "127.0.0.1", "--port", str(port), "-js", "-sd", str(self.dir / "js")]
        return self.start("nats", [self.programs[0], *arguments, "--ports_file_dir", str(self.dir)])

    def start_node(self, name):
        config = self.dir / f"{name}.toml"
        config.write_text(NODE.format(nats=self.nats_url) + f'[node]\nname = "{name}"\n')
        self.start(name, [self.programs[1], "serve", "--config", str(config)])
        address = lambda log, of: re.search(rf'"{of}":"([0-9.]+:\d+)"', log)
        clients = self.until(name, lambda log: address(log, "clients"))[1]
        internal = self.until(name, lambda log: address(log, "internal"))[1]
        self.until(name, lambda _: urllib.request.urlopen(f"http://{internal}/readyz", timeout=5))
        return clients, internal

    def restart_nats(self, seconds):
        """Kills nats-server and starts it again, on the same port, after some seconds."""
        self.nats.send_signal(signal.SIGKILL)
        self.nats.wait()
        time.sleep(seconds)
        self.nats = self.start_nats(self.nats_url.rsplit(":", 1)[1])

    def start(self, name, command):
        with open(self.dir / f"{name}.log", "ab") as log:
            self.running.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
        return self.running[-1]

    def until(self, name, look):
        """The first answer of `look` to the log that is something; the log itself where there is none in time."""
        log, deadline = self.dir / f"{name}.log", time.monotonic() + PATIENCE
        while True:
            try:
                if found := look(log.read_text(errors="replace")):
                    return found
            except OSError:  # not there yet, or an HTTP status that says so
                pass
            if time.monotonic() > deadline or self.running[-1].poll() is not None:
                raise SystemExit(f"{log.read_text(errors='replace')}\n{name} did not start")
            time.sleep(0.05)

    def get(self, path, **parameters):
        """The `data` of an answer of Prometheus."""
        url = f"{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{parameters}: {error.read().decode()}") from None

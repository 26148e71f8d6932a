"""A whole Postroom with its monitoring, of real processes on free ports of the loopback: Redis, the stand-in for Gmail, a worker,
`postroom serve`, Prometheus, Alertmanager, and a webhook that keeps what it is told. Whatever it starts it ends, by its handle.
"""

import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from shorten import shorten

REPO = pathlib.Path(__file__).resolve().parents[2]
MONITORING = REPO / "k8s/monitoring"
BINARIES = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target")).resolve() / "debug"
# The bound of everything that must happen: against hanging, never a measure.
PATIENCE = 180
ACCOUNTS = ["alice@example.com", "bob@example.com"]
SECRET_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def alertmanager_tool():
    """amtool, which checks configurations."""
    return shutil.which("amtool") or "amtool"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, ask, patience=PATIENCE):
    """Asks again and again until there is an answer that is something; answers it."""
    began = time.monotonic()
    while True:
        try:
            answer = ask()
        except (urllib.error.URLError, ConnectionError, TimeoutError) as fault:
            answer, last = None, fault
        else:
            last = answer
        if answer:
            return answer
        assert time.monotonic() - began < patience, f"waited {patience} s in vain for {what}; at last: {last!r}"
        time.sleep(0.2)


def fetch(url, body=None, method=None, headers=()):
    """What a server answers, as text."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers))
    if data is not None:
        request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()


class Webhook:
    """Keeps every notification of Alertmanager, by the path it came to."""

    def __init__(self):
        self.told = []
        kept = self.told

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                kept.extend((self.path, alert) for alert in body["alerts"])
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def find(self, name, status, path=None, since=0):
        """The first alert of that name and status that was told after so many."""
        for where, alert in self.told[since:]:
            if alert["labels"]["alertname"] == name and alert["status"] == status and path in (None, where):
                return alert
        return None

    def wait(self, name, status, path=None, since=0):
        return until(f"{name} {status} at the webhook", lambda: self.find(name, status, path, since))

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Stand:
    """See the top of the file."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.processes = {}
        self.webhook = Webhook()
        self.ports = {
            name: free_port() for name in ("redis", "api", "serve", "worker", "prometheus", "alertmanager")
        }
        self.url = {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}
        self.environment = {"PATH": f"{BINARIES}:{os.environ['PATH']}", "HOME": str(self.folder)}

    def start(self, name, command, environment=None):
        """Starts a process; what it writes goes into a file of its name."""
        log = open(self.folder / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
            env=self.environment | (environment or {}))
        log.close()

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def end(self, name, how=signal.SIGTERM):
        process = self.processes.pop(name)
        process.send_signal(how)
        try:
            return process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(timeout=60)

    def stop(self):
        for name in list(self.processes)[::-1]:
            self.end(name)
        self.webhook.stop()

    # Its parts, in the order in which they start.

    def start_redis(self):
        server = shutil.which("redis-server") or shutil.which("valkey-server")
        assert server, "no redis-server on PATH: `make test-monitoring` brings one"
        data = self.folder / "redis"
        data.mkdir(exist_ok=True)
        self.start("redis", [server, "--port", self.ports["redis"], "--bind", "127.0.0.1", "--save", "",
                             "--appendonly", "yes", "--dir", data])
        until("Redis", lambda: self.run(["redis-cli", "-p", str(self.ports["redis"]), "ping"]).stdout.strip() == "PONG")

    def start_sandbox(self):
        folder = self.folder / "sandbox"
        self.start("sandbox", [BINARIES / "postroom-sandbox", "--smtp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--dir", folder])
        until("the sandbox", (folder / "env").exists)
        shown = self.run(["bash", "-c", 'set -a; . "$1"; env', "bash", folder / "env"]).stdout
        self.environment |= dict(line.split("=", 1) for line in shown.splitlines() if line.startswith("POSTROOM_"))
        token = urllib.parse.urlsplit(self.environment["POSTROOM_TOKEN_URL"])
        self.url["sandbox"] = f"{token.scheme}://{token.netloc}"

    def settings(self):
        self.environment |= {
            "POSTROOM_REDIS_URL": f"redis://127.0.0.1:{self.ports['redis']}",
            "POSTROOM_SECRET_KEY": SECRET_KEY,
            "POSTROOM_EHLO_NAME": "worker.test.example",
            "POSTROOM_SENT_ALLOWANCE": "1s",
            "POSTROOM_RETRY_BASE": "200ms",
            "POSTROOM_RETRY_CAP": "1s",
            # Late is what did not go within a few seconds.
            "POSTROOM_ON_TIME": "10s",
        }

    def start_worker(self):
        probe = f"127.0.0.1:{self.ports['worker']}"
        self.start("worker", [BINARIES / "postroom-worker"], {"POSTROOM_PROBE_LISTEN": probe})
        until("the worker's figures", lambda: fetch(f"{self.url['worker']}/metrics"))

    def start_serve(self):
        settings = {
            "POSTROOM_LISTEN": f"127.0.0.1:{self.ports['api']}", "POSTROOM_PROBE_LISTEN": f"127.0.0.1:{self.ports['serve']}",
            "POSTROOM_DASHBOARD": "on",
        }
        self.start("serve", [BINARIES / "postroom", "serve"], settings)
        until("the figures of serve", lambda: fetch(f"{self.url['serve']}/metrics"))

    def start_alertmanager(self):
        config = shorten((MONITORING / "alertmanager.yaml").read_text())
        config = config.replace("http://127.0.0.1:9099", f"http://127.0.0.1:{self.webhook.port}")
        (self.folder / "alertmanager.yaml").write_text(config)
        tool = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
        self.start("alertmanager", [
            tool, f"--config.file={self.folder}/alertmanager.yaml", f"--storage.path={self.folder}/alertmanager",
            f"--web.listen-address=127.0.0.1:{self.ports['alertmanager']}", "--cluster.listen-address="])
        until("Alertmanager", lambda: fetch(f"{self.url['alertmanager']}/-/ready"))

    def start_prometheus(self):
        (self.folder / "rules").mkdir(exist_ok=True)
        (self.folder / "rules/postroom.yaml").write_text(shorten((MONITORING / "rules/postroom.yaml").read_text()))
        config = shorten((MONITORING / "prometheus.yaml").read_text())
        places = {"127.0.0.1:9465": "serve", "127.0.0.1:9464": "worker", "127.0.0.1:9093": "alertmanager", "127.0.0.1:8025": "api"}
        for address, name in places.items():
            assert address in config, address
            config = config.replace(address, f"127.0.0.1:{self.ports[name]}")
        (self.folder / "prometheus.yaml").write_text(config)
        self.start("prometheus", [
            "prometheus", f"--config.file={self.folder}/prometheus.yaml", f"--storage.tsdb.path={self.folder}/prometheus",
            f"--web.listen-address=127.0.0.1:{self.ports['prometheus']}", "--log.level=warn"])
        until("Prometheus", lambda: fetch(f"{self.url['prometheus']}/-/ready"))

    def start_all(self):
        self.start_redis()
        self.start_sandbox()
        self.settings()
        for account in ACCOUNTS:
            self.add_account(account, "--limit", "400")
        self.start_serve()
        self.start_worker()
        self.start_alertmanager()
        self.start_prometheus()
        self.key = self.postroom("key", "create", "monitoring", "--admin").strip()

    # What one does with it.

    def run(self, command, environment=None, text=None, check=True, timeout=PATIENCE):
        done = subprocess.run(
            [str(part) for part in command], input=text, capture_output=True, text=True, cwd=self.folder, timeout=timeout,
            env=self.environment | (environment or {}))
        assert not check or done.returncode == 0 or command[0] == "redis-cli", f"{command}: {done.stdout}{done.stderr}"
        return done

    def postroom(self, *arguments, text=None, environment=None):
        return self.run([BINARIES / "postroom", *arguments], environment, text).stdout

    def refresh_token(self, account):
        return f"sandbox-refresh:{account}"

    def add_account(self, account, *more):
        token = {"POSTROOM_REFRESH_TOKEN": self.refresh_token(account)}
        return self.postroom("account", "add", account, *more, environment=token)

    def send(self, number, to="someone@example.org", account=ACCOUNTS[0], subject="Hello", **more):
        """Hands so many mails over; answers their ids."""
        mail = {"from": account, "to": [to], "subject": subject, "text": "Hello.\n"} | more
        lines = "".join(json.dumps(mail | {"subject": f"{subject} {n}"}) + "\n" for n in range(number))
        return self.postroom("send", "-", text=lines).split()

    def fault(self, rule):
        fetch(f"{self.url['sandbox']}/api/faults", rule)

    def heal(self):
        fetch(f"{self.url['sandbox']}/api/faults", method="DELETE")

    def ask(self, expression):
        """What Prometheus answers to an expression, now: a list of series without those that are no number."""
        query = urllib.parse.urlencode({"query": expression})
        answer = json.loads(fetch(f"{self.url['prometheus']}/api/v1/query?{query}"))
        assert answer["status"] == "success", answer
        return [series for series in answer["data"]["result"] if series["value"][1] != "NaN"]

    def figure(self, expression):
        """One number; None if there is none."""
        series = self.ask(expression)
        return float(series[0]["value"][1]) if series else None

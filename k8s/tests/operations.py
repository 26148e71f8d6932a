"""Runs every block of commands in docs/operations.md, in order, against real processes, and looks after each page at what came of it.
Needs the built programs (their folder is the argument), redis-server, redis-cli and jq. Part of `make test-k8s`."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parent.parent / "docs/operations.md"
HOME, OTHER = "alice@example.com", "carol@example.com"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, condition, patience=60):
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"did not come: {what}"
        time.sleep(0.1)


def pages():
    """The blocks of shell by the heading above them; those before the first heading come first in each."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.M)
    blocks = [re.findall(r"^```sh\n(.*?)^```$", part, flags=re.M | re.S) for part in parts[::2]]
    return blocks[0], dict(zip(parts[1::2], blocks[1:], strict=True))


class Stand:
    def __init__(self, folder, programs):
        self.folder, self.running = pathlib.Path(folder), []
        for name in ("bin", "secret", "postroom-worker", "postroom-producer"):
            (self.folder / name).mkdir()
        (self.folder / "bin/kubectl").symlink_to(HERE / "kubectl-stand.py")
        self.env = os.environ | {"PATH": f"{self.folder / 'bin'}:{programs}:{os.environ['PATH']}", "STAND": folder}
        self.start("postroom-sandbox", "--dir", f"{folder}/sandbox", "--smtp", "127.0.0.1:0", "--http", "127.0.0.1:0")
        given = self.folder / "sandbox/env"
        until("the sandbox", given.exists)
        lines = self.shell(f". {given} && env").splitlines()
        found = dict(line.split("=", 1) for line in lines if line.startswith("POSTROOM_"))
        found |= {"POSTROOM_SECRET_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "POSTROOM_SENT_ALLOWANCE": "1s"}
        self.http = found["POSTROOM_TOKEN_URL"].removesuffix("/token")
        (self.folder / "environment.json").write_text(json.dumps(found))
        self.env |= found

    def start(self, *command):
        self.running.append(subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def redis(self, *further):
        port = free_port()
        folder = self.folder / f"redis-{port}"
        folder.mkdir()
        self.start("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", *further)
        url = f"redis://127.0.0.1:{port}"
        until("Redis", lambda: self.ask(url, "PING") == "PONG")
        return url

    def use(self, url):
        (self.folder / "secret/redis-url").write_text(url)
        self.env["POSTROOM_REDIS_URL"] = url

    def ask(self, url, *words):
        return subprocess.run(["redis-cli", "-u", url, *words], capture_output=True, text=True, check=False).stdout.strip()

    def shell(self, text, **more):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], env=self.env | more, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n-> {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done.stdout

    def logs(self):
        return "".join(path.read_text()[-2000:] for path in self.folder.glob("*.log"))

    def send(self, number, subject):
        lines = [json.dumps({"from": HOME, "to": ["bob@example.org"], "subject": f"{subject} {n}", "text": "x"}) for n in range(number)]
        return subprocess.run(["postroom", "send", "-"], env=self.env, input="\n".join(lines), capture_output=True, text=True, check=True).stdout.split()

    def states(self):
        return json.loads(self.shell("postroom queue stats --json"))["states"]

    def caught(self):
        return json.loads(self.shell(f"curl -sf '{self.http}/api/mails?limit=1'"))["total"]

    def count(self, name):
        return int(self.shell(f"pids=0; for file in $STAND/{name}/*.pid; do [ -e $file ] && [ -e /proc/$(cat $file) ] && pids=$((pids + 1)); done; echo $pids"))

    def end(self):
        for name in ("postroom-worker", "postroom-producer"):
            for path in (self.folder / name).glob("*.pid"):
                try:
                    os.kill(int(path.read_text()), signal.SIGTERM)
                except ProcessLookupError:
                    pass
        time.sleep(0.5)
        for process in reversed(self.running):
            process.terminate()
            process.wait(10)


def play(stand, title, before, blocks, first=0, last=None, **more):
    for block in blocks[title][first:last]:
        stand.shell("\n".join([*before, block]), **more)


def a_new_version(stand, before, blocks):
    stand.send(50, "before")
    play(stand, "A new version", before, blocks)
    until("50 mails", lambda: stand.states().get("sent") == 50)
    assert stand.caught() == 50, stand.caught()


def all_sending_stops(stand, before, blocks):
    play(stand, "All sending stops", before, blocks, 0, 1)
    stand.send(5, "paused")
    assert stand.states().get("ready") == 5, stand.states()
    play(stand, "All sending stops", before, blocks, 1)
    until("55 mails", lambda: stand.states().get("sent") == 55)


def another_redis(stand, before, blocks):
    old, new = stand.env["POSTROOM_REDIS_URL"], stand.redis("--appendonly", "yes")
    stand.send(200, "moving")
    play(stand, "Another Redis", before, blocks, OLD=old, NEW=new)
    stand.use(new)
    until("255 mails", lambda: stand.states().get("sent") == 255)
    assert stand.caught() == 255, stand.caught()
    stand.ask(old, "SHUTDOWN", "NOSAVE")
    assert stand.ask(new, "CONFIG", "GET", "appendonly").endswith("yes")


def redis_is_lost(stand, before, blocks):
    stand.shell("kubectl -n postroom scale deployment/postroom-worker --replicas=0")
    kept, twice = stand.send(3, "kept"), stand.send(1, "sent after the backup")
    backup = stand.folder / "backup.rdb"
    assert "Transfer finished" in subprocess.run(["redis-cli", "-u", stand.env["POSTROOM_REDIS_URL"], "--rdb", str(backup)], capture_output=True, text=True, check=True).stderr
    # What is handed over after the backup is lost with Redis.
    lost = stand.send(1, "lost")
    stand.ask(stand.env["POSTROOM_REDIS_URL"], "SHUTDOWN", "NOSAVE")
    new = stand.redis("--dir", str(stand.folder), "--dbfilename", "backup.rdb", "--appendonly", "no", "--maxmemory-policy", "noeviction")
    stand.ask(new, "CONFIG", "SET", "appendonly", "yes")
    play(stand, "Redis is lost", before, blocks, 0, 2, NEW=new)
    stand.use(new)
    assert stand.states().get("ready") == 4, stand.states()
    stand.shell(f"postroom mail cancel {twice[0]}")
    play(stand, "Redis is lost", before, blocks, 2, NEW=new)
    until("258 mails", lambda: stand.states().get("sent") == 258)
    assert stand.caught() == 258, stand.caught()
    gone = subprocess.run(["postroom", "mail", "show", lost[0]], env=stand.env, capture_output=True, text=True, check=False)
    assert gone.returncode == 1 and len(kept) == 3


def the_quota_is_used_up(stand, before, blocks):
    fault = {"stage": "mail", "action": {"reply": "550 5.4.5 Daily user sending limit exceeded - gsmtp"}}
    stand.shell(f"curl -sf -H 'content-type: application/json' {stand.http}/api/faults -d '{json.dumps(fault)}'")
    stand.send(20, "too many")
    until("the hold", lambda: json.loads(stand.shell("postroom account list --json"))[0].get("holds"))
    play(stand, "The quota is used up", before, blocks)
    assert stand.states().get("dead", 0) == 0 and stand.states().get("ready") == 20, stand.states()
    assert stand.caught() == 258


def main():
    before, blocks = pages()
    tests = {"A new version": a_new_version, "All sending stops": all_sending_stops, "Another Redis": another_redis,
             "Redis is lost": redis_is_lost, "The quota is used up": the_quota_is_used_up}
    assert list(blocks) == list(tests), f"a page without a test: {list(blocks)}"
    passed = 0
    with tempfile.TemporaryDirectory() as folder:
        stand = Stand(folder, sys.argv[1])
        try:
            stand.use(stand.redis("--appendonly", "yes", "--maxmemory-policy", "noeviction"))
            stand.shell(f"POSTROOM_REFRESH_TOKEN=sandbox-refresh:{HOME} postroom account add {HOME}")
            stand.shell("kubectl -n postroom scale deployment/postroom-worker --replicas=2; kubectl -n postroom scale deployment/postroom-producer --replicas=2")
            for title, test in tests.items():
                test(stand, before, blocks)
                passed += 1
                print(f"test {title} ({len(blocks[title])} blocks) ... ok", flush=True)
        finally:
            stand.end()
            print(f"test result: {'ok' if passed == len(tests) else 'FAILED'}. {passed} passed; {len(tests) - passed} failed; 0 ignored")


if __name__ == "__main__":
    main()

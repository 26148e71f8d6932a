#!/usr/bin/env python3
"""Stands in for kubectl in the test of docs/operations.md: Deployments are processes of this machine, the Secret is a folder. It knows the
commands of that page and refuses all others. State lies in the folder STAND."""

import base64
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

STAND = pathlib.Path(os.environ["STAND"])
PROGRAMS = {"postroom-worker": ["postroom-worker"], "postroom-producer": ["postroom", "serve"]}


def running(name):
    """The processes of a Deployment that live."""
    pids = []
    for path in sorted((STAND / name).glob("*.pid")):
        pid = int(path.read_text())
        state = pathlib.Path(f"/proc/{pid}/stat")
        if state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z":
            pids.append(pid)
        else:
            path.unlink()
    return pids


def environment(name):
    given = json.loads((STAND / "environment.json").read_text())
    secret = {"POSTROOM_REDIS_URL_FILE": str(STAND / "secret/redis-url")}
    own = {key: value for key, value in os.environ.items() if key != "POSTROOM_REDIS_URL"}
    return own | given | secret | {"POSTROOM_WORKER_NAME": name}


def start(name):
    number = time.monotonic_ns()
    extra = {"POSTROOM_LISTEN": "127.0.0.1:0", "POSTROOM_PROBE_LISTEN": "127.0.0.1:0"}
    with (STAND / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(PROGRAMS[name], env=environment(name) | extra, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (STAND / name / f"{number}.pid").write_text(str(process.pid))


def stop(pids):
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 40
    while any(pathlib.Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text() for pid in pids):
        if time.monotonic() > end:
            sys.exit("a process did not stop within its grace")
        time.sleep(0.05)


def scale(name, number):
    have = running(name)
    stop(have[number:])
    for _ in range(number - len(have)):
        start(name)


def roll(name):
    """New ones come before old ones go."""
    old = running(name)
    for _ in old:
        start(name)
    stop(old)


def main(words):
    words = [word for word in words if word not in ("-n", "postroom")] if "exec" not in words else words
    if "exec" in words:
        command = words[words.index("--") + 1:]
        name = next(word.split("/")[1] for word in words if word.startswith("deploy/"))
        if not running(name):
            sys.exit(f"no pod of {name}")
        os.execvpe(command[0], command, environment(name))
    match words:
        case ["scale", target, replicas] if replicas.startswith("--replicas="):
            scale(target.removeprefix("deployment/"), int(replicas.split("=")[1]))
        case ["set", "image", target, image] if "=" in image:
            roll(target.removeprefix("deployment/"))
        case ["rollout", "restart" | "undo", target]:
            roll(target.removeprefix("deployment/"))
        case ["rollout", "status", target]:
            time.sleep(0.5)
            if not running(target.removeprefix("deployment/")):
                sys.exit(f"no pod of {target} lives")
        case ["annotate", "scaledobject/postroom-worker", mark, *rest] if mark.startswith("autoscaling.keda.sh/paused") and set(rest) <= {"--overwrite"}:
            (STAND / "paused").write_text(mark)
        case ["patch", "secret", "postroom-secrets", "-p", patch]:
            for key, value in json.loads(patch)["data"].items():
                (STAND / "secret" / key).write_bytes(base64.b64decode(value))
        case _:
            sys.exit(f"not a command of docs/operations.md: {words}")


if __name__ == "__main__":
    main(sys.argv[1:])

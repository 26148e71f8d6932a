#!/usr/bin/env python3
"""What a mail takes in Redis, by size and state: `make redis-size`. Starts a Redis, the stand-in for Gmail and a worker of its own on
free loopback ports, needs the built binaries on PATH, and prints the table of docs/redis.md."""

import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import tempfile
import time

WORDS = "the mail order invoice ship thank you please number address total price town street item account link question answer week".split()
NUMBER = 500
HOME = "alice@example.com"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, condition, patience=60):
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"did not come: {what}"
        time.sleep(0.05)


class Stand:
    def __init__(self, folder):
        self.folder, self.port, self.running = folder, free_port(), []
        self.start("redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, "--maxmemory-policy", "noeviction")
        until("Redis", lambda: self.redis("PING") == "PONG")
        self.start("postroom-sandbox", "--dir", f"{folder}/sandbox", "--smtp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--keep", "none")
        env_file = pathlib.Path(folder) / "sandbox/env"
        until("the sandbox", env_file.exists)
        lines = subprocess.run(["bash", "-c", f". {env_file} && env"], capture_output=True, text=True, check=True).stdout.splitlines()
        found = dict(line.split("=", 1) for line in lines if line.startswith("POSTROOM_"))
        key = {"POSTROOM_SECRET_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "POSTROOM_REFRESH_TOKEN": f"sandbox-refresh:{HOME}"}
        self.env = os.environ | found | key | {"POSTROOM_REDIS_URL": f"redis://127.0.0.1:{self.port}", "POSTROOM_SENT_ALLOWANCE": "1s"}
        self.postroom("account", "add", HOME, "--limit", "1000000")

    def start(self, *command, env=None):
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.running.append(process)
        return process

    def redis(self, *words):
        return subprocess.run(["redis-cli", "-p", str(self.port), *words], capture_output=True, text=True, check=False).stdout.strip()

    def used(self):
        return int(next(line.split(":")[1] for line in self.redis("INFO", "memory").splitlines() if line.startswith("used_memory_dataset:")))

    def postroom(self, *arguments, text=""):
        return subprocess.run(["postroom", *arguments], env=self.env, input=text, capture_output=True, text=True, check=True).stdout

    def stats(self):
        return json.loads(self.postroom("queue", "stats", "--json"))["states"]

    def work(self, state, number):
        worker = self.start("postroom-worker", env=self.env)
        until(f"{number} {state}", lambda: self.stats().get(state, 0) >= number, 180)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0

    def end(self):
        for process in reversed(self.running):
            if process.poll() is None:
                process.terminate()
                process.wait(10)


def mails(dice, size):
    for number in range(NUMBER):
        text = ""
        while len(text) < size:
            text += dice.choice(WORDS) + (str(dice.randrange(10**6)) if dice.random() < 0.2 else "") + (".\n" if dice.random() < 0.1 else " ")
        yield json.dumps({"from": HOME, "to": ["bob@example.org"], "subject": f"Mail {number}", "text": text[:size]})


def measure(size):
    dice = random.Random(size)
    with tempfile.TemporaryDirectory() as folder:
        stand = Stand(folder)
        try:
            before = stand.used()
            stand.postroom("send", "-", text="\n".join(mails(dice, size)))
            waiting = stand.used()
            stand.work("sent", NUMBER)
            after = stand.used()
        finally:
            stand.end()
    return (waiting - before) // NUMBER, (after - before) // NUMBER


def main():
    print("| text of a mail | bytes while it waits, or is a dead letter | bytes once it is sent |\n|---|---|---|")
    for size in (500, 2_000, 20_000, 200_000):
        waiting, sent = measure(size)
        print(f"| {size:,} bytes | {waiting:,} | {sent:,} |", flush=True)


if __name__ == "__main__":
    main()

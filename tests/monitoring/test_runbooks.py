"""Every command of every runbook is run on the living stand: a page that nobody has tried is no help at night."""

import re

import pytest
from stand import ACCOUNTS, BINARIES, MONITORING

PAGES = sorted((MONITORING / "runbooks").glob("*.md"))
# `doctor` asks DNS about the sending domains; here nobody may be asked but a port of the loopback at which nobody answers.
POSTROOM = """#!/usr/bin/env bash
case "${1:-}" in doctor) set -- "$@" --resolver 127.0.0.1:9 ;; esac
exec "%s/postroom" "$@"
"""


def blocks(page):
    """The fenced commands of a page, without the indentation of the list they stand in."""
    for indent, body in re.findall(r"(?ms)^( *)```sh\n(.*?)^ *```$", page.read_text()):
        yield re.sub(rf"(?m)^{indent}", "", body)


@pytest.fixture(scope="module")
def bench(stand, tmp_path_factory):
    """The stand with what the pages speak of: a dead letter, and a `postroom` that asks no DNS."""
    folder = tmp_path_factory.mktemp("bin")
    shim = folder / "postroom"
    shim.write_text(POSTROOM % BINARIES)
    shim.chmod(0o755)
    environment = {
        "PATH": f"{folder}:{stand.environment['PATH']}",
        "POSTROOM_PROBE_LISTEN": "127.0.0.1:0",
        "account": ACCOUNTS[0],
        "refresh_token": stand.refresh_token(ACCOUNTS[0]),
        "id": stand.send(1)[0],
        "serve": stand.url["serve"],
        "worker": stand.url["worker"],
        "prometheus": stand.url["prometheus"],
    }
    return stand, environment


def commands():
    for page in PAGES:
        for place, block in enumerate(blocks(page), 1):
            yield pytest.param(block, id=f"{page.stem} {place}")


@pytest.mark.parametrize("block", list(commands()))
def test_the_commands_of_a_runbook_do_what_the_page_says(bench, block):
    stand, environment = bench
    done = stand.run(["bash", "-euo", "pipefail", "-c", block], environment, check=False)
    told = f"{block}\n--\n{done.stdout}{done.stderr}"
    assert done.returncode == 0, told
    assert "command not found" not in done.stderr and "error:" not in done.stderr.lower(), told
    assert done.stdout.strip() or "promtool" in block, told


def test_every_page_has_commands():
    assert all(list(blocks(page)) for page in PAGES)

"""One stand for all tests that need living processes: they come one after the other, and leave it well."""

import pytest
from stand import Stand


@pytest.fixture(scope="session")
def stand(tmp_path_factory):
    made = Stand(tmp_path_factory.mktemp("stand"))
    try:
        made.start_all()
        yield made
    finally:
        made.stop()


def pytest_terminal_summary(terminalreporter):
    """The sums once more as cargo's tests tell them, for .ci/run."""
    counted = {word: len(terminalreporter.stats.get(word, [])) for word in ("passed", "failed", "error", "skipped")}
    failed = counted["failed"] + counted["error"]
    result = "FAILED" if failed else "ok"
    terminalreporter.write_line(
        f"test result: {result}. {counted['passed']} passed; {failed} failed; {counted['skipped']} ignored;")

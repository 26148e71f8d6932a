"""Makes the copies of rules and configurations that a test can wait for: durations become shorter, and nothing else changes.

Every duration behind `for:` and the intervals and waits of the configurations, and every range `[…]` in an expression, is
divided by 30 and is at least 2 s: half an hour is a minute. Names of recorded figures, thresholds and labels stay.
"""

import re

FACTOR = 30
LEAST = 2
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
KEYS = "for|interval|scrape_interval|evaluation_interval|group_wait|group_interval|repeat_interval"
DURATION = r"(\d+)([smhd])"


def _short(match):
    before, number, unit, after = match.groups()
    seconds = max(LEAST, int(number) * UNITS[unit] // FACTOR)
    return f"{before}{seconds}s{after}"


def shorten(text):
    """The text with shorter durations."""
    text = re.sub(rf"(?m)^(\s*(?:- )?(?:{KEYS}):\s+){DURATION}(\s*)$", _short, text)
    return re.sub(rf"(\[){DURATION}(\])", _short, text)

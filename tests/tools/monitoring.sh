#!/usr/bin/env bash
# Makes sure of what `make test-monitoring` needs: a Prometheus, promtool and an Alertmanager (the machine's, or Debian's packages if
# this may install them), and Grafana's SDK and pytest from PyPI, in a virtual environment below .cache.
# With `python`: only the latter.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=.cache/monitoring
wanted=tests/monitoring/requirements.txt
if ! cmp -s "$wanted" "$venv/requirements.txt"; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
  cp "$wanted" "$venv/requirements.txt"
fi
[ "${1:-}" = python ] && exit 0

there() {
  command -v prometheus && command -v promtool && command -v redis-cli && command -v curl \
    && { command -v prometheus-alertmanager || command -v alertmanager; }
} > /dev/null
if there; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  # Their services must not start: the tests start servers of their own.
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  (apt-get update && apt-get install -y --no-install-recommends prometheus prometheus-alertmanager redis-tools curl) > "$log" 2>&1 || true
  if there; then exit 0; fi
  tail -n 5 "$log" >&2
fi
echo "Prometheus or Alertmanager is missing and was not installed: install the packages prometheus, prometheus-alertmanager," >&2
echo "redis-tools and curl (as root), then run this again." >&2
exit 1

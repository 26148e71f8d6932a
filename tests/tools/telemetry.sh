#!/usr/bin/env bash
# Makes sure of what `make test-telemetry` reads metrics and traces with: PyPI's prometheus-client and rotel, in a virtual
# environment below .cache.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=.cache/telemetry
wanted="prometheus-client==0.26.0 rotel==0.0.1a15"
if [ -f "$venv/wanted" ] && [ "$(cat "$venv/wanted")" = "$wanted" ]; then exit 0; fi
echo "no prometheus-client and rotel: fetching them from PyPI" >&2
python3 -m venv "$venv" >&2
# shellcheck disable=SC2086
"$venv/bin/pip" install --quiet $wanted >&2
echo "$wanted" > "$venv/wanted"

#!/usr/bin/env bash
# Makes sure of a schemathesis for `make test-openapi`: PyPI's, in a virtual environment below .cache.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=.cache/schemathesis
version=4.32.5
if [ "$("$venv/bin/schemathesis" --version 2> /dev/null)" = "schemathesis, version $version" ]; then exit 0; fi
echo "no schemathesis: fetching it from PyPI" >&2
python3 -m venv "$venv" >&2
"$venv/bin/pip" install --quiet "schemathesis==$version" >&2

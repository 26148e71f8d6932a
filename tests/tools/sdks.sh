#!/usr/bin/env bash
# Installs the SDKs of `make test-sdks` from npm and PyPI: below tests/sdks, and in a virtual environment below .cache.
set -euo pipefail
cd "$(dirname "$0")/../.."

npm install --prefix tests/sdks --no-audit --no-fund --no-package-lock --silent
venv=.cache/sdks
# Made anew only when what it holds is to change.
if ! cmp -s tests/sdks/requirements.txt "$venv/requirements.txt"; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/sdks/requirements.txt
  cp tests/sdks/requirements.txt "$venv/requirements.txt"
fi

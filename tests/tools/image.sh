#!/usr/bin/env bash
# Makes sure of what `make test-k8s-image` needs: buildah, podman and runc (the machine's, or Debian's packages if this may install
# them). No registry of images is asked.
set -euo pipefail

there() { command -v buildah && command -v podman && command -v runc && command -v catatonit; } > /dev/null
if there; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  (apt-get update && apt-get install -y --no-install-recommends buildah podman runc catatonit) > "$log" 2>&1 || true
  if there; then exit 0; fi
  tail -n 5 "$log" >&2
fi
echo "buildah, podman or runc is missing and was not installed: install those packages (as root), then run this again." >&2
exit 1

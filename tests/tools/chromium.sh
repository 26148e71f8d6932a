#!/usr/bin/env bash
# Makes sure of a Chromium and its driver for `make test-browser`: the machine's, or Debian's packages if this may install them.
set -euo pipefail

is_there() { command -v chromedriver > /dev/null && { command -v chromium || command -v google-chrome; } > /dev/null; }

if is_there; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  if (apt-get update && apt-get install -y --no-install-recommends chromium chromium-driver) > "$log" 2>&1 && is_there; then
    exit 0
  fi
  tail -n 5 "$log" >&2
fi
echo "Chromium or its driver is missing and was not installed: install chromium and chromium-driver (as root), then run this again." >&2
exit 1

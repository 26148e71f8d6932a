#!/usr/bin/env bash
# Makes sure of libfaketime for `make chaos`, which sets the workers' clocks with it: the machine's, or Debian's package if this
# may install it. Without it the runs go on, and say that no clock is set.
set -euo pipefail

is_there() { compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' > /dev/null; }

if is_there; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  if (apt-get update && apt-get install -y --no-install-recommends libfaketime) > "$log" 2>&1 && is_there; then exit 0; fi
  tail -n 5 "$log" >&2
fi
echo "libfaketime is missing and was not installed: no worker's clock will be set. Install libfaketime (as root) for that." >&2

#!/usr/bin/env bash
# Makes sure of a Dovecot for `make test-servers`: the machine's, or Debian's package if this may install it.
set -euo pipefail

if [ -x /usr/sbin/dovecot ] || [ -x /usr/local/sbin/dovecot ]; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  if (apt-get update && apt-get install -y --no-install-recommends dovecot-imapd) > "$log" 2>&1; then exit 0; fi
  tail -n 5 "$log" >&2
fi
echo "Dovecot is missing and was not installed: install the package dovecot-imapd (as root), then run this again." >&2
exit 1

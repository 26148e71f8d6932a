#!/usr/bin/env bash
# Licences, bans and sources with cargo-deny; advisories too where their database can be had.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v cargo-deny >/dev/null; then
  echo "cargo-deny is not installed: building it once" >&2
  cargo install --quiet --locked cargo-deny --root "${CARGO_HOME:-$HOME/.cargo}" || {
    echo "cargo-deny cannot be had here: licences and advisories are NOT checked" >&2
    exit 0
  }
fi
cargo deny --all-features check bans licenses sources
if cargo deny fetch db >/dev/null 2>&1; then
  cargo deny --all-features check advisories
else
  echo "the advisory database cannot be had here: advisories are NOT checked" >&2
fi

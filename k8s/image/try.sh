#!/usr/bin/env bash
# Tries the images that build.sh made, with Debian's podman and runc on the host's network: the worker of the overlay dev, rendered, sends
# mails to the stand-in beside it with a root that cannot be written, no capability and a limit of memory, all read from the kernel; SIGTERM
# amid sending ends it with 0, and started anew it sends the rest. Says what the machine does not let it prove; anything else that is not as
# it should be fails.
#   k8s/image/try.sh [TAG]
set -euo pipefail
cd "$(dirname "$0")/../.."

# In a network of its own with nothing but a loopback: the ports of the manifests are free there, and no mail could leave.
if [ "${TRY_ALONE:-}" != yes ] && unshare --net true 2> /dev/null && command -v ip > /dev/null; then
  TRY_ALONE=yes exec unshare --net bash -c 'ip link set lo up && exec "$@"' try k8s/image/try.sh "$@"
fi
tag=${1:-dev}
work=$(mktemp -d)
pod=postroom-try-$$
unproved=()
[ "${TRY_ALONE:-}" = yes ] || unproved+=("that nothing is sought outside (no network of its own is to be had here: it ran on the machine's)")

# Limits of files and processes that this machine grants, where it may be a container itself. Soft and hard alike: podman 4.3 exchanges them.
at_most() { if [ "$1" = unlimited ] || [ "$1" -gt "$2" ]; then echo "$2"; else echo "$1"; fi; }
files=$(at_most "$(ulimit -Hn)" 1048576) processes=$(at_most "$(ulimit -Hu)" 32768)
cat > "$work/containers.conf" << CONF
[containers]
default_ulimits = ["nofile=$files:$files", "nproc=$processes:$processes"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
CONF
export CONTAINERS_CONF=$work/containers.conf

redis_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$redis_port" --bind 127.0.0.1 --save "" --dir "$work" --maxmemory-policy noeviction > "$work/redis.log" &
redis=$!
cleanup() {
  {
    podman pod rm -f -t 5 "$pod"
    podman volume ls --format '{{.Name}}' | grep "^$pod-" | xargs -r podman volume rm -f
  } > /dev/null 2>&1 || true
  kill "$redis" 2> /dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

fail() { echo "$1" >&2; podman logs "$pod-worker" 2>&1 | tail -n 20 >&2; exit 1; }
until_so() { # what, seconds, command…
  local what=$1 end=$((SECONDS + $2))
  shift 2
  until "$@" > "$work/until.log" 2>&1; do
    [ "$SECONDS" -lt "$end" ] || { cat "$work/until.log" >&2; fail "did not come: $what"; }
    sleep 0.2
  done
}
sandbox=http://127.0.0.1:4480/api
figure() { curl -sf "$sandbox/stats" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
has_sent() { [ "$(figure mails_accepted)" -ge "$1" ]; }
mails() { for number in $(seq "$1" "$2"); do echo "{\"from\": \"alice@example.com\", \"to\": [\"bob@example.org\"], \"subject\": \"Mail $number\", \"text\": \"It works.\"}"; done; }
send() { podman exec -i "$pod-worker" /usr/local/bin/postroom send - "$@" > "$work/ids"; }

.cache/k8s/bin/kubectl kustomize k8s/overlays/dev > "$work/all.yaml"
POD=$pod TAG=$tag REDIS=redis://127.0.0.1:$redis_port .cache/k8s/bin/python k8s/image/pod.py < "$work/all.yaml" > "$work/pod.yaml"
podman play kube --network host "$work/pod.yaml" > "$work/play.log" 2>&1 || { cat "$work/play.log" >&2; exit 1; }
until_so "the worker" 60 curl -sf http://127.0.0.1:9464/livez
until_so "the worker, ready" 60 curl -sf http://127.0.0.1:9464/readyz

echo "== how it runs, told by the kernel"
pid=$(podman inspect "$pod-worker" --format '{{.State.Pid}}')
state() { awk -v name="$1:" '$1 == name { $1 = ""; print }' "/proc/$pid/status" | tr -s '\t ' ' ' | sed 's/^ //'; }
[ "$(state Uid)" = "65532 65532 65532 65532" ] || fail "it runs as $(state Uid)"
for set in CapInh CapPrm CapEff CapBnd CapAmb; do [ "$(state "$set")" = 0000000000000000 ] || fail "capabilities: $set $(state "$set")"; done
[ "$(state NoNewPrivs)" = 1 ] || fail "it may gain privileges"
if [ "$(state Seccomp)" = 2 ]; then filter=", calls filtered"; else filter="" unproved+=("seccomp (no filter is set on the process)"); fi
echo "user 65532, no capability, no new privileges$filter"
awk '$5 == "/" && $6 ~ /(^|,)ro(,|$)/ { found = 1 } END { exit !found }' "/proc/$pid/mountinfo" || fail "its root is not mounted read-only"
if touch "/proc/$pid/root/written" 2> "$work/touch"; then fail "its root can be written, even by root"; fi
echo "root: $(sed 's/.*: //' "$work/touch")"
group() { # what /proc says of its cgroup, by the controller's name (version 1) or none (version 2)
  awk -F: -v name="$1" '{ n = split($2, part, ","); if ($2 == "" && name == "") print $3; for (i = 1; i <= n; i++) if (part[i] == name && name != "") print $3 }' "/proc/$pid/cgroup"
}
limit=
for file in "/sys/fs/cgroup/memory$(group memory)/memory.limit_in_bytes" "/sys/fs/cgroup$(group "")/memory.max"; do
  [ -n "$limit" ] || { [ -r "$file" ] && limit=$(cat "$file"); } || true
done
if [ "$limit" = 536870912 ]; then
  echo "memory: at most 512 MiB"
elif [ -d /sys/fs/cgroup/memory ] || grep -qs memory /sys/fs/cgroup/cgroup.controllers; then
  fail "its limit of memory is ${limit:-none}"
else
  unproved+=("the limit of memory (this machine has no memory controller for cgroups)")
fi

echo "== sends"
podman exec --env POSTROOM_CLIENT_ID=sandbox-client --env POSTROOM_CLIENT_SECRET=sandbox-secret \
  --env POSTROOM_REFRESH_TOKEN=sandbox-refresh:alice@example.com "$pod-worker" /usr/local/bin/postroom account add alice@example.com
mails 1 20 | send --wait
[ "$(figure mails_accepted) $(figure distinct)" = "20 20" ] || fail "20 mails were sent, $(figure mails_accepted) were caught"

echo "== SIGTERM amid sending"
curl -sf -H 'content-type: application/json' -d '{"latency_ms": 150}' "$sandbox/config" > /dev/null
mails 21 220 | send
until_so "the first of 200 more mails" 60 has_sent 25
began=$(date +%s%N)
podman kill --signal TERM "$pod-worker" > /dev/null
code=$(podman wait "$pod-worker")
took=$((($(date +%s%N) - began) / 1000000))
[ "$code" = 0 ] || fail "SIGTERM: exit code $code"
caught=$(figure mails_accepted)
[ "$caught" -lt 220 ] || fail "all were sent before it ended: nothing was drained"
curl -sf -H 'content-type: application/json' -d '{"latency_ms": 0}' "$sandbox/config" > /dev/null
podman start "$pod-worker" > /dev/null
until_so "the mails that were left" 120 has_sent 220
until_so "the worker, ready again" 60 curl -sf http://127.0.0.1:9464/readyz
[ "$(figure mails_accepted) $(figure distinct) $(figure doubled)" = "220 220 0" ] \
  || fail "220 mails: $(figure mails_accepted) caught, $(figure distinct) distinct, $(figure doubled) doubled"
echo "ended with 0 after $took ms, $caught of 220 mails sent; started anew it sent the rest: none lost, none doubled"
echo "proved with $(podman --version), $(runc --version | head -n 1), cgroups $(podman info --format '{{.Host.CgroupsVersion}}')"
for what in ${unproved[@]+"${unproved[@]}"}; do echo "NOT proved here: $what"; done

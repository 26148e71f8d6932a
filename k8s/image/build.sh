#!/usr/bin/env bash
# Builds both images on this machine with Debian's buildah, without any registry: the programs by this machine's cargo, then the last
# stages of the Containerfile. Each image is put together twice and must have one digest; over 25 MB unpacked fails, but for --profile dev.
# With --again the programs, too, are built twice, the second time from a clone in another folder, and must be the same.
#   k8s/image/build.sh [--profile slim|release|dev] [--tag TAG] [--again]
set -euo pipefail
cd "$(dirname "$0")/../.."

profile=slim tag=dev again=
while [ $# -gt 0 ]; do
  case "$1" in
    --profile) profile=$2; shift 2 ;;
    --tag) tag=$2; shift 2 ;;
    --again) again=yes; shift ;;
    *) echo "usage: k8s/image/build.sh [--profile slim|release|dev] [--tag TAG] [--again]" >&2; exit 2 ;;
  esac
done
[ -z "$again" ] || git diff --quiet HEAD || { echo "--again builds what is committed, too: commit first" >&2; exit 1; }
command -v buildah > /dev/null || { echo "buildah is missing: install the packages buildah, podman and runc" >&2; exit 1; }

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$target/image/out
platform=x86_64-unknown-linux-gnu
cargo_home=${CARGO_HOME:-$HOME/.cargo}

programs() { # source, cargo's folder, where to: as the first stage of the Containerfile
  local maps=("$1=." "$cargo_home=cargo") map rust="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs" c=""
  case "$2" in "$1/target") ;; *) maps+=("$2=./target") ;; esac
  for map in "${maps[@]}"; do rust+=" --remap-path-prefix=$map" c="-ffile-prefix-map=$map${c:+ $c}"; done
  (cd "$1" && CARGO_TARGET_DIR=$2 CARGO_INCREMENTAL=0 CFLAGS=$c RUSTFLAGS=$rust \
    cargo build --locked --profile "$profile" --target "$platform" -p postroom-image -p postroom-sandbox)
  local folder=$2/$platform/$profile
  [ "$profile" != dev ] || folder=$2/$platform/debug
  rm -rf "$3"
  mkdir -p "$3/bin"
  install -m 0555 "$folder/postroom-image" "$3/bin/postroom"
  ln -s postroom "$3/bin/postroom-worker"
  install -m 0555 "$folder/postroom-sandbox" "$3/postroom-sandbox"
  install -m 0444 /etc/ssl/certs/ca-certificates.crt "$3/ca-certificates.crt"
}
began=$SECONDS
programs "$PWD" "$target" "$out"
echo "the programs took $((SECONDS - began)) s"
for program in bin/postroom postroom-sandbox; do
  if readelf -lW "$out/$program" | grep -q INTERP; then echo "$program is not static" >&2; exit 1; fi
done
if [ -n "$again" ]; then
  other=$(mktemp -d)
  trap 'rm -rf "$other"' EXIT
  git clone --quiet --no-hardlinks . "$other/source"
  programs "$other/source" "$other/made" "$other/out"
  diff -r --no-dereference "$out" "$other/out" || { echo "two builds of the programs, in two folders, differ" >&2; exit 1; }
  echo "the programs, built in two folders, are the same"
fi

# A digest tells the bytes and the times in an image; the times are those of the last commit.
when=$(git log -1 --format=%ct)
# The stage that builds is replaced by what was built here.
sed -n '/^FROM scratch/,$p' k8s/image/Containerfile | sed 's#^\(COPY\) --from=built\(.*\) /out/#\1\2 #' > "$target/image/Containerfile"

build() { # target, name
  buildah build --quiet --isolation chroot --no-cache --layers --timestamp "$when" --target "$1" -f "$target/image/Containerfile" -t "$2" "$out" > /dev/null
  buildah inspect --type image --format '{{.FromImageDigest}}' "localhost/$2"
}
for pair in sandbox:postroom-sandbox postroom:postroom; do
  name=${pair#*:}
  first=$(build "${pair%:*}" "$name:$tag")
  second=$(build "${pair%:*}" "$name:$tag")
  [ "$first" = "$second" ] || { echo "$name: two builds, two digests: $first and $second" >&2; exit 1; }
  bytes=$(podman image inspect --format '{{.Size}}' "localhost/$name:$tag")
  echo "$name:$tag $first, $bytes bytes unpacked, twice the same"
  podman history --format '  {{.Size}} {{.CreatedBy}}' "localhost/$name:$tag" | grep -v '^  0 ' || true
  [ "$bytes" -le 25000000 ] || [ "$profile" = dev ] || { echo "$name is larger than 25 MB" >&2; exit 1; }
done

# What is inside, for those who look for advisories.
.cache/k8s/bin/python k8s/image/sbom.py "$target/image/postroom.cdx.json"

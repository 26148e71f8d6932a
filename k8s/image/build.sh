#!/usr/bin/env bash
# Builds both images on this machine with Debian's buildah, without any registry: the programs by this machine's cargo, then the last
# stages of the Containerfile. Each image is put together twice and must have one digest. Says how large it is; over 25 MB fails.
#   k8s/image/build.sh [--profile release|dev] [--tag TAG]
set -euo pipefail
cd "$(dirname "$0")/../.."

profile=release tag=dev
while [ $# -gt 0 ]; do
  case "$1" in
    --profile) profile=$2; shift 2 ;;
    --tag) tag=$2; shift 2 ;;
    *) echo "usage: k8s/image/build.sh [--profile release|dev] [--tag TAG]" >&2; exit 2 ;;
  esac
done
command -v buildah > /dev/null || { echo "buildah is missing: install the packages buildah, podman and runc" >&2; exit 1; }

target=${CARGO_TARGET_DIR:-target}
folder=$target/$([ "$profile" = dev ] && echo debug || echo "$profile")
out=$target/image/out
mkdir -p "$out"
# Only the programs themselves are linked in another way, so what `make test` built is used again.
flags=(-C target-feature=+crt-static -C strip=symbols "--remap-path-prefix=$PWD=." "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo")
for package in postroom postroom-worker postroom-sandbox; do
  cargo rustc --locked --profile "$profile" -p "$package" --bin "$package" -- "${flags[@]}"
  if ldd "$folder/$package" 2>&1 | grep -q '=>'; then echo "$package is not static" >&2; exit 1; fi
  cp "$folder/$package" "$out/"
done
cp /etc/ssl/certs/ca-certificates.crt "$out/"

# A digest tells the bytes and the times in an image; the times are those of the last commit.
when=$(git log -1 --format=%ct)
# The stage that builds is replaced by what was built here.
sed -n '/^FROM scratch/,$p' k8s/image/Containerfile | sed 's#^COPY --from=built --chmod=[0-9]* /out/#COPY #' > "$target/image/Containerfile"
chmod 0555 "$out"/postroom*
chmod 0444 "$out/ca-certificates.crt"

build() { # target, name
  buildah build --quiet --isolation chroot --no-cache --timestamp "$when" --target "$1" -f "$target/image/Containerfile" -t "$2" "$out" > /dev/null
  buildah inspect --type image --format '{{.FromImageDigest}}' "localhost/$2"
}
for pair in postroom:postroom sandbox:postroom-sandbox; do
  name=${pair#*:}
  first=$(build "${pair%:*}" "$name:$tag")
  second=$(build "${pair%:*}" "$name:$tag")
  [ "$first" = "$second" ] || { echo "$name: two builds, two digests: $first and $second" >&2; exit 1; }
  bytes=$(buildah images --json "localhost/$name:$tag" | sed -n 's/.*"size": "\([0-9.]*\) \([KMG]*B\)".*/\1 \2/p' | head -1)
  echo "$name:$tag $first, $bytes, twice the same"
  awk -v size="$bytes" 'BEGIN { split(size, part, " "); mb = part[1] / (part[2] == "KB" ? 1000 : 1) * (part[2] == "GB" ? 1000 : 1); exit mb > 25 }' \
    || { [ "$profile" = dev ] || { echo "$name is larger than 25 MB" >&2; exit 1; }; }
done

# What is inside, for those who look for advisories.
.cache/k8s/bin/python k8s/image/sbom.py "$target/image/postroom.cdx.json"

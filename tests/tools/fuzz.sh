#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET…]: each target for so many seconds, from its corpus. With cargo-fuzz where there is a nightly
# toolchain; else random changes of the corpora, which see nothing of the code's branches and so find less.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=$1
shift
folder=tests/fuzz
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=($(basename -a "$folder"/corpus/*))

if ! cargo +nightly --version > /dev/null 2>&1; then
  echo "no nightly toolchain: random changes of the corpora instead, WITHOUT a look at what they reach" >&2
  PROPTEST_CASES=$((seconds * 500)) exec cargo test -p postroom-fuzz
fi
tools=$(pwd)/.cache/fuzz
if ! command -v cargo-fuzz > /dev/null && [ ! -x "$tools/bin/cargo-fuzz" ]; then
  echo "cargo-fuzz is not installed: building it once" >&2
  cargo install --quiet --locked --root "$tools" cargo-fuzz@0.13.2
fi
export PATH="$PATH:$tools/bin"
CARGO_TARGET_DIR="$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz"
export CARGO_TARGET_DIR
failed=()
for target in "${targets[@]}"; do
  # What is found lies below .cache, which is kept; the corpus in the source grows by hand (`cargo fuzz cmin`).
  found=$(pwd)/.cache/fuzz/corpus/$target
  mkdir -p "$found" "$folder/libfuzzer/artifacts/$target"
  echo "== $target, $seconds s"
  # Without a sanitizer: there is no unsafe code of ours, and what is looked for are panics, time and memory.
  (cd "$folder/libfuzzer" && cargo +nightly fuzz run --fuzz-dir . --sanitizer none "$target" "$found" "../corpus/$target" -- \
    -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0) || failed+=("$target")
done
[ ${#failed[@]} = 0 ] || { echo "failed: ${failed[*]}; the inputs lie in $folder/libfuzzer/artifacts" >&2; exit 1; }

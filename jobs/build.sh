#!/usr/bin/env bash
# Configures and builds one preset: jobs/build.sh [release|debug|asan|tsan] [cmake options] [--target TARGET]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}
shift || true
start=$SECONDS
target=()
if [[ $# -ge 2 && ${*: -2:1} == --target ]]; then
  target=("${@: -2}")
  set -- "${@:1:$#-2}"
fi
cmake --preset "$preset" "$@" >"/dev/null"
cmake --build --preset "$preset" "${target[@]}" -- --quiet
echo "build: build/$preset is up to date ($((SECONDS - start)) s)"

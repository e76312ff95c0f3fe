#!/usr/bin/env bash
# Configures and builds one preset: jobs/build.sh [release|debug|asan|tsan] [cmake options]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}
shift || true
start=$SECONDS
cmake --preset "$preset" "$@" >"/dev/null"
cmake --build --preset "$preset" -- --quiet
echo "build: build/$preset is up to date ($((SECONDS - start)) s)"

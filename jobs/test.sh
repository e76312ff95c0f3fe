#!/usr/bin/env bash
# Installs packages, builds Shoal and runs every test, then the unit tests again under the address and undefined-behaviour
# sanitizers. With arguments, only the first, and they go to ctest: jobs/test.sh -L unit
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
run() {
  "$here/build.sh" "$1"
  ctest --test-dir "$here/../build/$1" --parallel "$(nproc)" --output-on-failure "${@:2}"
}

"$here/setup.sh"
if [ $# -gt 0 ]; then
  run release "$@"
else
  run release
  export ASAN_OPTIONS=detect_leaks=0 # libraries keep what they allocate until the end
  run asan -L unit
fi

#!/usr/bin/env bash
# Installs packages, builds Shoal and runs every test. Arguments go to ctest: jobs/test.sh -L unit
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/setup.sh"
"$here/build.sh" release
ctest --test-dir "$here/../build/release" --parallel "$(nproc)" --output-on-failure "$@"

#!/usr/bin/env bash
# Installs packages, builds Shoal and runs every test. Arguments go to ctest: jobs/test.sh -L unit
# SHOAL_PRESET=asan builds and tests with the address and undefined-behaviour sanitizers, tsan with the thread sanitizer.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
preset=${SHOAL_PRESET:-release}
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0} # libraries keep what they allocate until the end
# With less history it forgets whose work of libgomp a write was, and cannot tell that it is suppressed.
export TSAN_OPTIONS="${TSAN_OPTIONS:-suppressions=$here/../tests/tsan.supp history_size=7}"
"$here/setup.sh"
"$here/build.sh" "$preset"
ctest --test-dir "$here/../build/$preset" --parallel "$(nproc)" --output-on-failure "$@"

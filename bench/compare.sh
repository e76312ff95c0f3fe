#!/usr/bin/env bash
# Compares two revisions: builds both, runs a benchmark of each in turn, several times, and prints the ratio of the
# medians (below 1: the second is faster). A revision is anything that git knows; "." is the working tree.
#   bench/compare.sh REV_A REV_B [PROGRAM [Google Benchmark options]]
#   bench/compare.sh main . smc --benchmark_filter='Weights|Resample'
# ROUNDS=5 by default. Builds stay in build/compare/ for the next comparison.
set -euo pipefail
[ $# -ge 2 ] || {
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
root=$(cd "$(dirname "$0")/.." && pwd)
revisions=("$1" "$2")
program=bench_${3:-smc}
options=("${@:4}")
rounds=${ROUNDS:-5}
work=$root/build/compare
mkdir -p "$work"

# source_of REVISION: prints the folder of its files
source_of() {
  if [ "$1" = . ]; then
    echo "$root"
    return
  fi
  local commit tree
  commit=$(git -C "$root" rev-parse --verify --quiet "$1^{commit}") || {
    echo "compare: unknown revision '$1' (git does not know it) give a commit, a branch, or ." >&2
    exit 2
  }
  tree=$work/$commit
  if [ ! -d "$tree" ]; then
    mkdir -p "$tree.part"
    git -C "$root" archive "$commit" | tar -x -C "$tree.part"
    mv "$tree.part" "$tree"
  fi
  echo "$tree"
}

programs=()
for revision in "${revisions[@]}"; do
  tree=$(source_of "$revision")
  build=$tree/build/bench
  [ "$tree" != "$root" ] || build=$work/working-tree
  mkdir -p "$(dirname "$build")"
  echo "compare: building $program of $revision" >&2
  cmake -S "$tree" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSHOAL_BUILD_BENCH=ON -DSHOAL_BUILD_TESTS=OFF \
    ${CMAKE_CXX_COMPILER_LAUNCHER:+-DCMAKE_CXX_COMPILER_LAUNCHER="$CMAKE_CXX_COMPILER_LAUNCHER"} >"$build.log" 2>&1 &&
    cmake --build "$build" --target "$program" >>"$build.log" 2>&1 || {
    echo "compare: $revision does not build (see $build.log; does it have $program?)" >&2
    exit 1
  }
  programs+=("$build/bench/$program")
done

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
for ((round = 0; round < rounds; ++round)); do
  for side in 0 1; do # in turn, so that a change of the machine's speed meets both
    echo "compare: round $((round + 1))/$rounds, ${revisions[side]}" >&2
    "${programs[side]}" "${options[@]}" --benchmark_format=json >"$results/$side-$round.json" 2>"$results/errors" || {
      cat "$results/errors" >&2
      echo "compare: $program of ${revisions[side]} failed (see above) only Google Benchmarks can be compared" >&2
      exit 1
    }
  done
done
python3 "$root/bench/ratios.py" "$results" "${revisions[@]}"

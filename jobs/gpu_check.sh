#!/usr/bin/env bash
# Checks the GPU backend on a machine with an NVIDIA GPU: kernels, whole models, runs that must give equal answers,
# several ranks on one GPU over MPI and NCCL, compute-sanitizer; then measures it (bench_gpu) and prints the table.
#   jobs/gpu_check.sh                 on a machine where Shoal has been built (jobs/build.sh release)
#   jobs/gpu_check.sh --bundle DIR    packs everything that a machine without compilers and packages needs; copy DIR
#                                     there and run DIR/gpu_check.sh (it needs the NVIDIA driver and glibc 2.36)
# SHOAL_GPU_MODEL=DIR checks the runs on a checkpoint of yours too, SHOAL_GPU_BENCH=off leaves the table out,
# SHOAL_GPU_SCRATCH=DIR is where its models are written (8B: 15 GB). Ends with 0 if all is well, 77 if there is no GPU.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

fail() {
  echo "gpu_check: $1" >&2
  exit 2
}

# Libraries that a program loads, but for glibc's own.
libraries_of() {
  ldd "$@" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
    grep -Ev '/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|resolv|util|cuda))\.so' || true
}

pack() {
  local to=$1 build=$here/../build/release programs=() prefix=/usr/lib/x86_64-linux-gnu
  [ -e "$build/src/lm/cuda/libshoal_cuda.so" ] ||
    fail "no $build/src/lm/cuda/libshoal_cuda.so (not built, or CMake found no CUDA) run jobs/build.sh release first"
  mkdir -p "$to/bin" "$to/lib" "$to/share"
  programs=("$build/src/app/shoal" "$build/src/lm/cuda/libshoal_cuda.so" "$build/tests/lm/test_gpu"
    "$build/tests/lm/test_gpu_links")
  [ -e "$build/bench/bench_gpu" ] ||
    fail "no $build/bench/bench_gpu (not built) configure with -DSHOAL_BUILD_BENCH=ON and build first"
  programs+=("$build/bench/bench_gpu")
  cp -f "${programs[@]}" "$(readlink -f "$(command -v mpirun)")" "$(readlink -f "$(command -v orted)")" "$to/bin/"
  ln -sf orterun "$to/bin/mpirun"
  # Open MPI's and PMIx's own plugins; OPAL_PREFIX and PMIX_INSTALL_PREFIX let them be found there.
  local folder
  for folder in "$prefix/openmpi" "$prefix/pmix2"; do
    [ ! -d "$folder" ] || cp -rLf "$folder" "$to/lib/"
  done
  cp -rLf /usr/share/openmpi "$to/share/"
  [ ! -d /usr/share/pmix ] || cp -rLf /usr/share/pmix "$to/share/"
  local library
  for library in $(libraries_of "$to"/bin/* $(find "$to/lib" -name '*.so*')); do
    [ -e "$to/lib/${library##*/}" ] || cp -L "$library" "$to/lib/"
  done
  mkdir -p "$to/data" "$to/minnow"
  cp -rf "$here/../tests/lm/data/." "$to/data/"
  cp -rf "$here/minnow/model/." "$to/minnow/"
  # compute-sanitizer, where the toolkit here has it: programs and the libraries beside them.
  local sanitizer
  sanitizer=$(readlink -f "$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)")
  [ ! -x "$sanitizer" ] || cp -rLf "$(dirname "$sanitizer")" "$to/sanitizer"
  cp -f "$here/gpu_check.sh" "$here/../bench/gpu_transformers.py" "$to/"
  echo "gpu_check: packed into $to ($(du -sh "$to" | cut -f1)) copy it to the machine with the GPU and run $to/gpu_check.sh"
}

if [ "${1:-}" = "--bundle" ]; then
  [ $# -eq 2 ] || fail "--bundle needs a folder (where to pack) give --bundle DIR"
  pack "$2"
  exit
fi
[ $# -eq 0 ] || fail "unknown option '$1' (only --bundle DIR is known) see the head of this script"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -d "$here/bin" ]; then # a bundle
  export PATH="$here/bin:$PATH" LD_LIBRARY_PATH="$here/lib:${LD_LIBRARY_PATH:-}" SHOAL_TEST_DATA="$here/data"
  export SHOAL_MINNOW="$here/minnow" SHOAL_CUDA_PLUGIN="$here/bin/libshoal_cuda.so"
  export OPAL_PREFIX="$here" OPAL_LIBDIR="$here/lib/openmpi/lib" OPAL_PKGLIBDIR="$here/lib/openmpi/lib/openmpi3"
  export OPAL_DATADIR="$here/share" OPAL_PKGDATADIR="$here/share/openmpi" PMIX_INSTALL_PREFIX="$here/lib/pmix2"
  tests=$here/bin bench=$here/bin/bench_gpu transformers=$here/gpu_transformers.py
  [ ! -d "$here/sanitizer" ] || export PATH="$PATH:$here/sanitizer"
else
  build=$here/../build/release
  [ -x "$build/tests/lm/test_gpu" ] || fail "no $build/tests/lm/test_gpu (not built) run jobs/build.sh release first"
  export PATH="$build/src/app:$PATH"
  tests=$build/tests/lm bench=$build/bench/bench_gpu transformers=$here/../bench/gpu_transformers.py
fi
# Ranks of one machine that take it for several talk over its own loopback.
export NCCL_SOCKET_IFNAME=${NCCL_SOCKET_IFNAME:-lo} NCCL_IB_DISABLE=${NCCL_IB_DISABLE:-1}
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none OMP_WAIT_POLICY=passive
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

failures=0
# check NAME COMMAND...: its output appears if it fails
check() {
  local name=$1 start=$SECONDS
  shift
  if "$@" >"$work/log" 2>&1; then
    echo "ok      $name ($((SECONDS - start)) s)"
  else
    echo "FAILED  $name"
    sed 's/^/        /' "$work/log" | tail -n 40
    failures=$((failures + 1))
  fi
}

shoal info
# Which problem, if there is one, the first test tells.
if "$tests/test_gpu" --gtest_filter=None >"$work/log" 2>&1; then :; elif [ $? -eq 77 ]; then
  cat "$work/log"
  exit 77
fi

gpus=$(shoal info --json | grep -o '"compute_capability"' | wc -l)
check "kernels against their emulated bodies" "$tests/test_gpu" --gtest_filter='KernelsOnGpu.*'
check "logits of every family's fixture, the same bits in every batch" "$tests/test_gpu" --gtest_filter='-KernelsOnGpu.*'

# answers NAME RANKS OPTIONS...: the particles of a run. RANKS with an n before: over NCCL, whether or not they share a
# GPU: each takes itself for a host of its own.
answers() {
  local name=$1 ranks=${2#n} launch=()
  [ "$ranks" -eq 1 ] || launch=(mpirun -n "$ranks")
  # shellcheck disable=SC2016
  [ "$2" = "$ranks" ] || launch+=(bash -c 'NCCL_HOSTID=rank$OMPI_COMM_WORLD_RANK exec "$@"' nccl)
  shift 2
  rm -f "$work/run.log"
  "${launch[@]}" shoal generate --log-file "$work/run.log" --device cuda --prompt "Tell me about parallel processing." --particles 60 \
    --max-tokens 48 --regex '.*[.!?]' --style conversational --seed 7 --json "$@" 2>"$work/err" |
    grep -o '"particles":\[.*\],"posterior"' >"$work/$name" || { cat "$work/err"; return 1; }
}
# same NAME REFERENCE RANKS OPTIONS...
same() {
  local name=$1 reference=$2 ranks=$3
  shift 2
  answers "$name" "$@" && cmp "$work/$name" "$work/$reference" || return 1
  case $ranks in
    1) ;;
    n*) grep -q "exchange particles over NCCL" "$work/run.log" || { echo "not over NCCL" && cat "$work/run.log" && return 1; } ;;
    *) grep -q "exchange particles over" "$work/run.log" ;;
  esac
}
# moving RANKS OPTIONS...
moving() {
  local ranks=$1
  shift
  [ -e "$work/moving1" ] || answers moving1 1 "$@"
  same "moving$ranks" moving1 "n$ranks" "$@"
}
# runs MODEL
runs() {
  local model=$1
  check "a run on one rank ($model)" answers one 1 --model "$model"
  for ranks in 2 3 4; do
    check "the same answer on $ranks ranks, over MPI where they share a GPU ($model)" same "ranks$ranks" one "$ranks" --model "$model"
    check "the same answer on $ranks ranks over NCCL ($model)" same "nccl$ranks" one "n$ranks" --model "$model"
    check "the same with key/value blocks over NCCL, resampling always ($model)" \
      moving "$ranks" --model "$model" --ess-threshold 2 --migrate kv --spare 0
  done
  for workers in 1 3; do
    check "the same answer in $workers micro-batches ($model)" same "workers$workers" one 1 --model "$model" --workers "$workers"
  done
  check "the same answer again ($model)" same again one 1 --model "$model"
  check "a run without resampling ($model)" answers free 1 --model "$model" --ess-threshold 0 --batch-size 10
  check "the same tokens in token batches of 3 ($model)" same batches free 1 --model "$model" --ess-threshold 0 --batch-size 3
  check "top-k, top-p and min-p ($model)" answers cut 1 --model "$model" --top-k 40 --top-p 0.9 --min-p 0.02
  check "the same on 2 ranks ($model)" same cut2 cut 2 --model "$model" --top-k 40 --top-p 0.9 --min-p 0.02
  check "8 bits ($model)" answers int8 1 --model "$model" --dtype int8
  check "8 bits on 3 ranks ($model)" same int8on3 int8 3 --model "$model" --dtype int8
}
runs minnow
[ -z "${SHOAL_GPU_MODEL:-}" ] || { rm -f "$work/moving1" && runs "$SHOAL_GPU_MODEL"; }

check "NCCL between 2 ranks" mpirun -n 2 "$tests/test_gpu_links"
check "NCCL between 3 ranks" mpirun -n 3 "$tests/test_gpu_links"
[ "$gpus" -lt 2 ] || check "NCCL between this machine's $gpus GPUs" env -u NCCL_SOCKET_IFNAME mpirun -n "$gpus" "$tests/test_gpu_links"

if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    check "compute-sanitizer $tool on the kernels" compute-sanitizer --tool "$tool" --error-exitcode 9 \
      "$tests/test_gpu" --gtest_filter='KernelsOnGpu.*-*Products*'
  done
  check "compute-sanitizer memcheck on a whole model" compute-sanitizer --tool memcheck --error-exitcode 9 \
    "$tests/test_gpu" --gtest_filter='*CudaTree*qwen*:*CudaTree*/0'
else
  echo "skipped compute-sanitizer (not on the PATH) it comes with the CUDA toolkit"
fi

# The figures: decoding beside what this GPU can do, in bf16 and int8; whole answers; `transformers`, if it is there.
figures() {
  local models=0.5b,1.1b,8b scratch=${SHOAL_GPU_SCRATCH:-${TMPDIR:-/tmp}}
  if [ "$(df -Pk "$scratch" | awk 'NR == 2 {print int($4 / 1048576)}')" -lt 20 ]; then
    echo "8b is left out (less than 20 GiB are free in $scratch) give SHOAL_GPU_SCRATCH"
    models=0.5b,1.1b
  fi
  for dtype in bf16 int8; do
    echo
    echo "### $dtype"
    "$bench" --models "$models" --dtype "$dtype" --scratch "$scratch" || return 1
  done
  echo
  echo "### The guide's GPU rows: minnow, a constraint and a style"
  printf '%s\n' '[Configuration GPU]' 'device = cuda' 'particles = 100, 200' '[Task conversation]' \
    'prompt = Tell me about parallel processing.' 'regex = .*[.!?]' 'style = conversational' '[grid]' 'seed = 1..20' \
    >"$work/guide.cfg"
  shoal sweep --config "$work/guide.cfg" -o "$work/guide" -q || return 1
  if python3 -c 'import torch, transformers' 2>/dev/null; then
    echo
    echo "### transformers, the same shapes"
    python3 "$transformers" --models "$models"
  fi
}
if [ "${SHOAL_GPU_BENCH:-on}" = off ]; then
  echo "skipped the table (SHOAL_GPU_BENCH=off)"
elif [ ! -x "$bench" ]; then
  echo "skipped the table (no $bench) configure with -DSHOAL_BUILD_BENCH=ON and build"
else
  figures || failures=$((failures + 1))
fi

[ "$failures" -eq 0 ] || { echo "gpu_check: $failures checks failed" && exit 1; }
echo "gpu_check: all is well"

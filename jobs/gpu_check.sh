#!/usr/bin/env bash
# Checks the GPU backend on a machine with an NVIDIA GPU and measures it: kernels, whole models, runs that must give
# equal answers, several ranks on one GPU over MPI and NCCL, compute-sanitizer, tables. What tells most comes first, each
# check has a time limit, every result is printed as it comes, and a failure does not hide the others.
#   jobs/gpu_check.sh                 on a machine where Shoal has been built (jobs/build.sh release)
#   jobs/gpu_check.sh --bundle DIR    packs everything that a machine without compilers and packages needs; copy DIR
#                                     there and run DIR/gpu_check.sh (it needs the NVIDIA driver and glibc 2.36)
#   jobs/gpu_check.sh --bundle DIR --thin    the same without cuBLASLt and NCCL (800 MB), for a machine that has them:
#                                     in a CUDA toolkit, or beside its PyTorch
# SHOAL_GPU_SECONDS=S (540) ends it after S seconds: what there is no time for is left out by name.
# SHOAL_GPU_OUT=DIR (./gpu_check) gets checks.txt, figures.md and, whole, what the first failures printed. Other settings:
# SHOAL_GPU_MODEL=DIR checks the runs on a checkpoint of yours too, SHOAL_GPU_BENCH=off leaves the tables out,
# SHOAL_GPU_SCRATCH=DIR is where its models are written (8B: 15 GB), SHOAL_GPU_EARLY=off starts every kernel in its turn.
# Ends with 0 if all is well, 1 if a check failed, 77 if there is no GPU.
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
  local to=$1 thin=${2:-} build=$here/../build/release programs=() prefix=/usr/lib/x86_64-linux-gnu
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
    case $thin:${library##*/} in --thin:libcublasLt.so* | --thin:libnccl.so*) continue ;; esac
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
  [ $# -eq 2 ] || { [ $# -eq 3 ] && [ "$3" = "--thin" ]; } || fail "--bundle needs a folder (where to pack) give --bundle DIR [--thin]"
  pack "$2" "${3:-}"
  exit
fi
[ $# -eq 0 ] || fail "unknown option '$1' (only --bundle DIR [--thin] is known) see the head of this script"

# Where this machine has a library that is not in the bundle.
find_library() {
  local folder
  for folder in /usr/local/cuda/lib64 /usr/local/cuda/lib /usr/local/cuda/targets/x86_64-linux/lib \
    $(LD_LIBRARY_PATH=$own_libraries python3 -c 'import nvidia; print(*nvidia.__path__)' 2>/dev/null || true); do
    find -L "$folder" -name "$1" -print -quit 2>/dev/null || true # not there
  done | head -n 1
}

work=$(mktemp -d)
running=
trap 'rm -rf "$work"' EXIT
trap '[ -z "$running" ] || kill "$running"; exit 130' INT TERM
own_libraries=${LD_LIBRARY_PATH:-}
if [ -d "$here/bin" ]; then # a bundle
  export PATH="$here/bin:$PATH" LD_LIBRARY_PATH="$here/lib${own_libraries:+:$own_libraries}" SHOAL_TEST_DATA="$here/data"
  export SHOAL_MINNOW="$here/minnow" SHOAL_CUDA_PLUGIN="${SHOAL_CUDA_PLUGIN:-$here/bin/libshoal_cuda.so}"
  export OPAL_PREFIX="$here" OPAL_LIBDIR="$here/lib/openmpi/lib" OPAL_PKGLIBDIR="$here/lib/openmpi/lib/openmpi3"
  export OPAL_DATADIR="$here/share" OPAL_PKGDATADIR="$here/share/openmpi" PMIX_INSTALL_PREFIX="$here/lib/pmix2"
  tests=$here/bin bench=$here/bin/bench_gpu transformers=$here/gpu_transformers.py
  [ ! -d "$here/sanitizer" ] || export PATH="$PATH:$here/sanitizer"
  for library in $(ldd "$SHOAL_CUDA_PLUGIN" | awk '/not found/ {print $1}'); do
    found=$(find_library "$library")
    [ -n "$found" ] || fail "no $library (neither in the bundle nor on this machine) pack without --thin, or set LD_LIBRARY_PATH"
    LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$(dirname "$found")
  done
else
  build=$here/../build/release
  [ -x "$build/tests/lm/test_gpu" ] || fail "no $build/tests/lm/test_gpu (not built) run jobs/build.sh release first"
  export PATH="$build/src/app:$PATH"
  tests=$build/tests/lm bench=$build/bench/bench_gpu transformers=$here/../bench/gpu_transformers.py
fi
# Ranks of one machine that take it for several talk over its own loopback.
export NCCL_SOCKET_IFNAME=${NCCL_SOCKET_IFNAME:-lo} NCCL_IB_DISABLE=${NCCL_IB_DISABLE:-1}
export NCCL_CUMEM_HOST_ENABLE=${NCCL_CUMEM_HOST_ENABLE:-0} # virtual machines may lack what it asks of the host's memory
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none OMP_WAIT_POLICY=passive
# Within one machine shared memory is all that is needed; sandboxes refuse some of what else would be tried.
export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_plm=isolated # one machine: no ssh is needed
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 PMIX_MCA_pcompress_base_silence_warning=1

out=${SHOAL_GPU_OUT:-gpu_check}
mkdir -p "$out"
out=$(cd "$out" && pwd)
: >"$out/checks.txt"
: >"$out/figures.md"
say() { echo "$*" | tee -a "$out/checks.txt"; }
rm -f "$out"/failure*.txt
failed=() left_out=()
# failure NAME: keeps and shows what $work/log holds.
failure() {
  failed+=("$1")
  local kept=$out/failure${#failed[@]}.txt
  say "FAILED  $1"
  if [ ${#failed[@]} -le 5 ]; then cp "$work/log" "$kept" && say "        the end of $kept:"; fi
  sed 's/^/        /' "$work/log" | tail -n 40 | tee -a "$out/checks.txt"
}
# limited LIMIT COMMAND...: within LIMIT seconds, and within what is left of all; its status, 125 if that was too little.
limited() {
  local limit=$1 left=$((${SHOAL_GPU_SECONDS:-540} - SECONDS)) status=0
  shift
  [ "$left" -ge 5 ] || return 125
  timeout -k 5 "$((left < limit ? left : limit))" bash -o pipefail -c '"$@"' gpu_check "$@" &
  running=$!
  wait "$running" || status=$?
  running=
  case $status in 124 | 137) [ "$left" -ge "$limit" ] || status=125 ;; esac
  return "$status"
}
# check LIMIT NAME COMMAND...: its output appears if it fails. Succeeds always.
check() {
  local limit=$1 name=$2 start=$SECONDS status=0
  shift 2
  limited "$limit" "$@" >"$work/log" 2>&1 || status=$?
  case $status in
    0) say "ok      $name ($((SECONDS - start)) s)" ;;
    125) left_out+=("$name") ;;
    124 | 137) failure "$name (stopped after $((SECONDS - start)) s)" ;;
    *) failure "$name (status $status)" ;;
  esac
}
# figures LIMIT TITLE COMMAND...: its output is a table
figures() {
  local limit=$1 title=$2 status=0
  shift 2
  [ "${SHOAL_GPU_BENCH:-on}" != off ] || return 0
  printf '\n### %s\n\n' "$title" >"$work/table"
  limited "$limit" "$@" >>"$work/table" 2>"$work/log" || status=$?
  [ "$status" -ne 125 ] || { left_out+=("$title") && return 0; }
  tee -a "$out/figures.md" <"$work/table"
  [ "$status" -eq 0 ] || failure "$title (status $status)"
}

shoal info 2>&1 | tee -a "$out/checks.txt" || true
# Which problem, if there is one, the first test tells.
status=0
"$tests/test_gpu" --gtest_filter=None >"$work/log" 2>&1 || status=$?
[ "$status" -eq 0 ] || { cat "$work/log" && exit "$status"; }

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
    --max-tokens 48 --regex '.*[.!?]' --style conversational --seed 7 --json "$@" |
    grep -o '"particles":\[.*\],"posterior"' >"$work/$name"
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
  [ -s "$work/moving1" ] || answers moving1 1 "$@" || return 1
  same "moving$ranks" moving1 "n$ranks" "$@"
}
in_turn() { SHOAL_GPU_EARLY=off same "$@"; }
export work
export -f answers same moving in_turn

# on_ranks RANKS MODEL
on_ranks() {
  check 60 "the same answer on $1 ranks, over MPI where they share a GPU ($2)" same "ranks$1" one "$1" --model "$2"
  check 60 "the same answer on $1 ranks over NCCL ($2)" same "nccl$1" one "n$1" --model "$2"
  check 90 "the same with key/value blocks over NCCL on $1 ranks, resampling always ($2)" \
    moving "$1" --model "$2" --ess-threshold 2 --migrate kv --spare 0
}
first_runs() {
  check 60 "a run on one rank ($1)" answers one 1 --model "$1"
  for workers in 1 3; do
    check 60 "the same answer in $workers micro-batches ($1)" same "workers$workers" one 1 --model "$1" --workers "$workers"
  done
  check 60 "the same answer with every kernel in its turn ($1)" in_turn turns one 1 --model "$1"
  on_ranks 2 "$1"
  check 60 "8 bits ($1)" answers int8 1 --model "$1" --dtype int8
  check 60 "8 bits with every kernel in its turn ($1)" in_turn int8turns int8 1 --model "$1" --dtype int8
}
further_runs() {
  on_ranks 3 "$1"
  on_ranks 4 "$1"
  check 60 "the same answer again ($1)" same again one 1 --model "$1"
  check 60 "a run without resampling ($1)" answers free 1 --model "$1" --ess-threshold 0 --batch-size 10
  check 60 "the same tokens in token batches of 3 ($1)" same batches free 1 --model "$1" --ess-threshold 0 --batch-size 3
  check 60 "top-k, top-p and min-p ($1)" answers cut 1 --model "$1" --top-k 40 --top-p 0.9 --min-p 0.02
  check 60 "the same on 2 ranks ($1)" same cut2 cut 2 --model "$1" --top-k 40 --top-p 0.9 --min-p 0.02
  check 60 "8 bits on 3 ranks ($1)" same int8on3 int8 3 --model "$1" --dtype int8
}

# Models are written to memory where there is enough of it.
scratch=${SHOAL_GPU_SCRATCH:-}
free_gib() { df -Pk "$1" 2>/dev/null | awk 'NR == 2 {print int($4 / 1048576)}'; }
if [ -z "$scratch" ]; then
  scratch=${TMPDIR:-/tmp}
  [ "$(free_gib /dev/shm || true)" -lt 40 ] 2>/dev/null || scratch=/dev/shm
fi
# decoding LIMIT MODEL
decoding() {
  [ -x "$bench" ] || { say "skipped decoding of $2 (no $bench) configure with -DSHOAL_BUILD_BENCH=ON and build" && return; }
  if [ "$2" = 8b ] && [ "$(free_gib "$scratch")" -lt 20 ]; then
    say "skipped decoding of 8b (less than 20 GiB are free in $scratch) give SHOAL_GPU_SCRATCH"
    return
  fi
  figures "$1" "Decoding, $2" env -u OMP_WAIT_POLICY "$bench" --models "$2" --dtype bf16,int8 --scratch "$scratch"
}
# Which kernels take the time of a step: calls and microseconds of each, under a profiler.
kernel_times() {
  ncu --clock-control none --cache-control none --kernel-name-base function --metrics gpu__time_duration.sum --csv \
    --launch-skip 40000 --launch-count 520 \
    env -u OMP_WAIT_POLICY "$bench" --models 0.5b --particles 200 --tokens 100 --workers 1 --scratch "$scratch" |
    awk -F'","' '/gpu__time_duration/ {value = $NF; gsub(/[",]/, "", value)
                                       calls[$5]++; sum[$5] += value * ($(NF - 1) ~ /^n/ ? 1e-3 : 1)}
                 END {print "| kernel | calls | us each | us |\n|---|---|---|---|"
                      for (n in calls) printf "| %s | %d | %.2f | %.0f |\n", n, calls[n], sum[n] / calls[n], sum[n]}'
}
guide_rows() {
  printf '%s\n' '[Configuration GPU]' 'device = cuda' 'particles = 100, 200' '[Task conversation]' \
    'prompt = Tell me about parallel processing.' 'regex = .*[.!?]' 'style = conversational' '[grid]' 'seed = 1..20' \
    >"$work/guide.cfg"
  env -u OMP_WAIT_POLICY shoal sweep --config "$work/guide.cfg" -o "$work/guide" -q
}
export bench scratch
export -f kernel_times guide_rows
# sanitized LIMIT TOOL NAME FILTER
sanitized() {
  local options=(--tool "$2" --error-exitcode 9)
  [ "$2" != memcheck ] || options+=(--report-api-errors no) # cuBLASLt and CUDA try calls that may fail
  check "$1" "compute-sanitizer $2 on $3" compute-sanitizer "${options[@]}" "$tests/test_gpu" --gtest_filter="$4"
}
sanitizer=$(command -v compute-sanitizer || true)
[ -n "$sanitizer" ] || say "skipped compute-sanitizer (not on the PATH) it comes with the CUDA toolkit"

check 120 "kernels against their emulated bodies" "$tests/test_gpu" --gtest_filter='KernelsOnGpu.*'
logits=("$tests/test_gpu" --gtest_filter='-KernelsOnGpu.*')
check 120 "logits of every family's fixture, the same bits in every batch" "${logits[@]}"
if [ ${#failed[@]} -gt 0 ] && [ "${SHOAL_GPU_EARLY:-}" != off ]; then # is it because kernels start early?
  export SHOAL_GPU_EARLY=off
  before=${#failed[@]}
  check 120 "the same with every kernel in its turn" "${logits[@]}"
  if [ ${#failed[@]} -eq "$before" ]; then say "        going on with SHOAL_GPU_EARLY=off"; else unset SHOAL_GPU_EARLY; fi
fi
first_runs minnow
decoding 90 0.5b
[ ! -x "$bench" ] || figures 60 "Decoding, 0.5b, every kernel in its turn" \
  env -u OMP_WAIT_POLICY SHOAL_GPU_EARLY=off "$bench" --models 0.5b --particles 200 --scratch "$scratch"
[ -z "$sanitizer" ] || sanitized 120 memcheck "the kernels" 'KernelsOnGpu.*-*Products*'
decoding 200 8b
check 60 "NCCL between 2 ranks" mpirun -n 2 "$tests/test_gpu_links"
check 60 "NCCL between 3 ranks" mpirun -n 3 "$tests/test_gpu_links"
gpus=$(shoal info --json | grep -o '"compute_capability"' | wc -l || true)
[ "$gpus" -lt 2 ] || check 90 "NCCL between this machine's $gpus GPUs" env -u NCCL_SOCKET_IFNAME mpirun -n "$gpus" "$tests/test_gpu_links"
[ -z "$sanitizer" ] || sanitized 90 racecheck "the kernels" 'KernelsOnGpu.*-*Products*'
! command -v ncu >/dev/null || figures 60 "Kernels of some steps, 0.5B, 200 particles" kernel_times
further_runs minnow
decoding 90 1.1b
[ -z "$sanitizer" ] || sanitized 180 memcheck "a whole model" '*CudaTree*/0'
figures 300 "The guide's GPU rows: minnow, a constraint and a style" guide_rows
if LD_LIBRARY_PATH=$own_libraries python3 -c 'import torch, transformers' 2>/dev/null; then
  figures 240 "transformers, the same shapes" env LD_LIBRARY_PATH="$own_libraries" python3 "$transformers" --models 0.5b,1.1b,8b
fi
[ -z "${SHOAL_GPU_MODEL:-}" ] || { rm -f "$work/moving1" && first_runs "$SHOAL_GPU_MODEL" && further_runs "$SHOAL_GPU_MODEL"; }

# The result, once more in few lines.
say ""
[ ${#left_out[@]} -eq 0 ] || say "gpu_check: no time for ${#left_out[@]}:$(printf '\n  %s' "${left_out[@]}")"
if [ ${#failed[@]} -gt 0 ]; then
  say "gpu_check: ${#failed[@]} failed, all else is well:$(printf '\n  %s' "${failed[@]}")"
  exit 1
fi
say "gpu_check: all is well; $out has checks.txt and figures.md"

#!/usr/bin/env bash
# Submits the scripts of slurm/ to a real Slurm and compares their answers with those of one process, bit for bit.
#   slurm_test.sh SHOAL CASE      SHOAL: the program; CASE: a function below
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
scripts=$here/../../slurm
source "$here/cluster.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive
isolate "$0" "$@"
PATH=$(dirname "$1"):$PATH

small=(--prompt "Tell me about cats." --particles 24 --max-tokens 24 --batch-size 6 --json --quiet)
long=(--prompt "Tell me about cats." --particles 600 --max-tokens 120 --batch-size 2 --ess-threshold 0.9
  --style conversational --json --quiet)

direct() { shoal generate --workers 1 "$@"; }
submit() { sbatch --parsable --cpus-per-task=1 "$@"; } # a second --cpus-per-task counts
same() { python3 "$here/same_answer.py" "$1" "$2" || fail "the bits differ"; }

# launched LAUNCHER RANKS SCRIPT SBATCH_OPTIONS...
launched() {
  local launcher=$1 ranks=$2 script=$3 job
  shift 3
  job=$(SHOAL_LAUNCHER=$launcher submit "$@" "$scripts/$script" "${small[@]}")
  await COMPLETED "$job"
  grep -q "\"ranks\":$ranks," "shoal-$job.out" || fail "not $ranks ranks: $(cut -c 1-300 "shoal-$job.out")"
  same direct.json "shoal-$job.out"
  [ -s "shoal-$job.h5" ] || fail "no trace"
  echo "$script with $launcher: same bits on $ranks ranks"
}

one_node() {
  direct "${small[@]}" >direct.json
  launched srun 3 one_node.sbatch --ntasks-per-node=3
  launched mpirun 2 one_node.sbatch --ntasks-per-node=2
}

many_nodes() {
  direct "${small[@]}" >direct.json
  launched srun 4 many_nodes.sbatch --nodes=2 --ntasks-per-node=2
  launched mpirun 2 many_nodes.sbatch --nodes=2 --ntasks-per-node=1 --cpus-per-task=2
}

# Each rank sees all GPUs of its node.
gpus() {
  direct "${small[@]}" >direct.json
  mkdir bin
  cat >bin/shoal <<END
#!/bin/sh
echo "\$SLURMD_NODENAME \$CUDA_VISIBLE_DEVICES" >>'$PWD/seen'
exec '$(command -v shoal)' "\$@"
END
  chmod +x bin/shoal
  local launcher
  for launcher in srun mpirun; do
    PATH=$PWD/bin:$PATH launched $launcher 4 gpus.sbatch --nodes=2 --ntasks-per-node=2 --gres=gpu:2
    [ "$(sort seen | cut -d ' ' -f 2 | tr '\n' ' ')" = "0,1 0,1 0,1 0,1 " ] || fail "wrong GPUs: $(sort seen)"
    rm seen
  done
}

array() {
  local job n seed
  job=$(PARTICLES="8 24" SEEDS=2 submit --array=0-4 "$scripts/array.sbatch" "${small[@]:0:2}" --max-tokens 24)
  until_true 60 job_ended "$job" || fail "the array does not end"
  for n in 8 24; do
    for seed in 0 1; do
      direct "${small[@]:0:2}" --max-tokens 24 --particles "$n" --seed "$seed" --json --quiet >direct.json
      same direct.json "shoal-$job/particles-$n-seed-$seed.json"
    done
  done
  grep -q "outside the grid" "shoal-${job}_4.err" || fail "task 4 of a grid of 4 gave no error"
  echo "array.sbatch: same bits for 4 jobs"
}

# A share of the cells in each task of an array, then the table; both launchers, and the bits of one process.
sweep() {
  local launcher job table
  direct "${small[@]}" >direct.json
  printf '%s\n' "prompt = Tell me about cats." "max-tokens = 24" "batch-size = 6" "particles = 24" \
    "[grid]" "ranks = 1, 2" "seed = 0..1" >grid.cfg
  for launcher in srun mpirun; do
    job=$(SHOAL_LAUNCHER=$launcher submit --ntasks=2 --array=1-2 "$scripts/sweep.sbatch" grid.cfg -o "with-$launcher")
    until_true 120 job_ended "$job" || fail "the array does not end"
    [ "$(find "with-$launcher.cells" -name '*.json' | wc -l)" = 4 ] || fail "not 4 cells: $(ls "with-$launcher.cells")"
    table=$(SHOAL_LAUNCHER=$launcher submit --ntasks=2 "$scripts/sweep.sbatch" grid.cfg -o "with-$launcher")
    await COMPLETED "$table"
    grep -q "^| 2 | 2 | " "with-$launcher.md" || fail "no table: $(cat "with-$launcher.md")"
    python3 "$here/sweep_log_z.py" direct.json "with-$launcher.cells" || fail "the bits differ"
  done
  echo "sweep.sbatch with srun and with mpirun: shares merged, same bits"
}

has_checkpoint() { [ -s "shoal-$1.ckpt.h5" ]; }

# start_long JOB_VARIABLE SBATCH_OPTIONS...: a preemptible job that has written its first checkpoint
start_long() {
  local -n started=$1
  shift
  [[ $(shoal generate --help) == *--checkpoint* ]] || skip "this build has no --checkpoint"
  started=$(CHECKPOINT_INTERVAL=0 submit "$@" "$scripts/preemptible.sbatch" "${long[@]}")
  until_true 60 has_checkpoint "$started" || fail "job $started writes no checkpoint: $(cat ./*.err)"
}

# requeued_once JOB SIGNAL: ran twice, the second time from the checkpoint, and ended in the same bits. SIGNAL ended the
# first run; "any" if Slurm may have killed it first.
requeued_once() {
  [ -e direct.json ] || direct "${long[@]}" >direct.json
  await COMPLETED "$1"
  [[ $(scontrol show job -o "$1") == *" Restarts=1 "* ]] || fail "job $1 was not requeued"
  [ "$2" = any ] || grep -q "stopped by signal $2" "shoal-$1.err" || fail "job $1 was not stopped by signal $2"
  grep -q "goes on from" "shoal-$1.err" || fail "job $1 did not resume"
  same direct.json "shoal-$1.out"
}

# The warning before the time limit.
warned() {
  local with_srun with_mpirun
  SHOAL_LAUNCHER=srun start_long with_srun --ntasks-per-node=2
  scancel --batch --signal=USR2 "$with_srun"
  SHOAL_LAUNCHER=mpirun start_long with_mpirun --ntasks-per-node=2
  scancel --batch --signal=USR2 "$with_mpirun"
  requeued_once "$with_srun" 12
  requeued_once "$with_mpirun" 12
  echo "preemptible.sbatch with srun and with mpirun: warned, requeued, same bits"
}

# A job of a higher partition takes the nodes; Slurm sends SIGTERM to the ranks.
preempted() {
  local job other
  start_long job --nodes=2 --ntasks-per-node=2
  other=$(sbatch --parsable --partition=high --nodes=2 --ntasks-per-node=4 --output=/dev/null --wrap "sleep 1")
  await COMPLETED "$other"
  requeued_once "$job" 15
  echo "preemptible.sbatch: pre-empted, requeued, same bits"
}

# By the administrator or after the loss of a node: without a warning. And a job that its user cancels stays cancelled.
requeued() {
  local job cancelled
  start_long job --ntasks-per-node=3
  scontrol requeue "$job"
  start_long cancelled --ntasks-per-node=2
  scancel "$cancelled"
  requeued_once "$job" any
  echo "preemptible.sbatch: requeued, same bits"
  await CANCELLED "$cancelled"
  echo "preemptible.sbatch: cancelled for good"
}

start_cluster
"$2"

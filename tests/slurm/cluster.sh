# shellcheck shell=bash
# Source me: a Slurm cluster of two nodes on this machine, private to the test: own folder, own munge key, loopback.
# No service of the system is touched. `start_cluster` or exit 77 (skipped).

skip() {
  echo "SKIPPED: $*"
  exit 77
}

fail() {
  echo "FAILED: $*"
  tail -n 30 "$cluster"/work/*.err "$cluster"/log/* 2>/dev/null || true
  exit 1
}

# until_true SECONDS COMMAND...: polls; false if the command has not succeeded by then.
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

# Runs this test again with its own network and process numbers, if we may: nothing outside is reachable, and whatever
# it started ends with it, even if it is killed.
isolate() {
  [ -z "${SHOAL_ISOLATED:-}" ] || return 0
  # A name and an address that resolve without asking anybody: 192.0.2.1 is reserved for documentation.
  local ours='hostname localhost && ip link set lo up && ip addr add 192.0.2.1/32 dev lo &&
    mount -t tmpfs none /dev/shm'
  local private=(unshare --net --uts --pid --fork --mount-proc --kill-child)
  if "${private[@]}" bash -c "$ours" 2>/dev/null; then
    SHOAL_ISOLATED=yes exec "${private[@]}" bash -c "$ours"' && exec "$@"' bash "$@"
  fi
}

node() {
  echo "NodeName=$1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$2 CPUs=4 CoresPerSocket=4 RealMemory=1000 Gres=gpu:2"
}

write_configuration() {
  local base=$((20000 + $$ % 10000 * 3))
  cat >"$cluster/slurm.conf" <<END
ClusterName=shoal
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$base
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthInfo=socket=$cluster/munge/socket,cred_expire=5
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool.%n
TmpFS=$cluster/tmp.%n
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
MailProg=/bin/true
GresTypes=gpu
$(node n1 $((base + 1)))
$(node n2 $((base + 2)))
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime=30 MaxTime=INFINITE
PartitionName=high Nodes=ALL PriorityTier=2 PreemptMode=OFF MaxTime=INFINITE
END
  # Files that stand for GPUs: Slurm counts them and numbers them in CUDA_VISIBLE_DEVICES.
  echo "NodeName=n[1-2] Name=gpu File=/dev/zero,/dev/null" >"$cluster/gres.conf"
}

stop_cluster() {
  local pid
  for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${daemons[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$cluster"
}

nodes_idle() { [ "$(timeout 2 sinfo -h -p low -t idle -o %D 2>/dev/null)" = 2 ]; }

start_cluster() {
  local program
  for program in munged slurmctld slurmd srun sbatch mpirun python3; do
    command -v "$program" >/dev/null || skip "no $program (packages slurm-wlm, munge) run jobs/setup.sh"
  done
  cluster=$(mktemp -d "${TMPDIR:-/tmp}/shoal-slurm-XXXXXX")
  daemons=()
  trap stop_cluster EXIT
  chmod 755 "$cluster"
  host=$(hostname -s)
  mkdir -p "$cluster"/{munge,state,log,work,mpi,spool.n1,spool.n2,tmp.n1,tmp.n2}
  write_configuration
  unset "${!SLURM_@}" "${!SBATCH_@}"
  export SLURM_CONF=$cluster/slurm.conf
  # Open MPI: between the nodes over the loopback, and temporary files of its own.
  export OMPI_MCA_btl_tcp_if_include=lo OMPI_MCA_oob_tcp_if_include=lo OMPI_MCA_orte_tmpdir_base=$cluster/mpi

  (umask 077 && head -c 128 /dev/urandom >"$cluster/munge/key")
  munged --foreground --num-threads=1 --key-file="$cluster/munge/key" --socket="$cluster/munge/socket" \
    --pid-file="$cluster/munge/pid" --log-file="$cluster/munge/log" --seed-file="$cluster/munge/seed" \
    &>"$cluster/log/munged" &
  daemons+=($!)
  until_true 10 test -S "$cluster/munge/socket" || skip "munged does not start: $(tail -n 1 "$cluster/log/munged")"
  # Open MPI's ranks of a node meet in /dev/shm: each node has its own, or they do without.
  local own_shm=()
  if [ -n "${SHOAL_ISOLATED:-}" ]; then
    own_shm=(unshare --mount bash -c 'mount -t tmpfs none /dev/shm && exec "$@"' bash)
  else
    export OMPI_MCA_btl=tcp,self
  fi
  slurmctld -D &>"$cluster/log/slurmctld" &
  daemons+=($!)
  local name
  for name in n1 n2; do
    "${own_shm[@]}" slurmd -D -N $name &>"$cluster/log/slurmd-$name" &
    daemons+=($!)
  done
  until_true 20 nodes_idle || {
    tail -n 5 "$cluster"/log/*
    skip "Slurm does not start here (see above)"
  }
  cd "$cluster/work" || exit 1
}

# job_is STATE JOB
job_is() { [[ $(scontrol show job -o "$2" 2>/dev/null) == *" JobState=$1 "* ]]; }
job_ended() { ! squeue -h -j "$1" -t PENDING,RUNNING,COMPLETING,SUSPENDED -o %i 2>/dev/null | grep -q .; }

# await STATE JOB: waits for the end of the job and wants that state.
await() {
  until_true 120 job_ended "$2" || fail "job $2 does not end: $(scontrol show job -o "$2")"
  job_is "$1" "$2" || fail "job $2 is not $1: $(scontrol show job -o "$2")"
}

#!/usr/bin/env bash
# Three hosts on this machine: network namespaces with one address each, joined by a bridge. Open MPI starts a rank or
# two on each and sends over TCP; the answer has to be that of one process, bit for bit.
#   hosts_test.sh SHOAL
# Everything happens in namespaces made here; they end with this script, even if it is killed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
hosts=3
python=/usr/bin/python3 # Debian's h5py belongs to it
[ -x $python ] || python=python3

skip() {
  echo "SKIPPED: $*"
  exit 77
}

fail() {
  echo "FAILED: $*"
  tail -n 30 "$work"/*.err 2>/dev/null || true
  exit 1
}

private=(unshare --net --mount --pid --fork --mount-proc --kill-child)
if [ -z "${SHOAL_ISOLATED:-}" ]; then
  for program in unshare nsenter ip mpirun; do
    command -v $program >/dev/null || skip "no $program (packages util-linux, iproute2, openmpi-bin) run jobs/setup.sh"
  done
  "$python" -c 'import h5py' 2>/dev/null || skip "no h5py (package python3-h5py) run jobs/setup.sh"
  "${private[@]}" ip link add bridge type bridge 2>/dev/null ||
    skip "no network namespaces with a bridge here (needs root and a kernel that has both) run it on a virtual machine"
  SHOAL_ISOLATED=yes exec "${private[@]}" "$0" "$@"
fi

source "$here/../../jobs/mpi_environment.sh"
PATH=$(dirname "$1"):$PATH
work=$(mktemp -d "${TMPDIR:-/tmp}/shoal-hosts-XXXXXX")
trap 'rm -rf "$work"' EXIT

# make_host I: a process that holds the namespaces of host h<I>, address 10.0.0.<I>, and a cable to the bridge.
make_host() {
  local name=h$1
  unshare --net --uts --mount bash -c "hostname $name && mount -t tmpfs none /dev/shm &&
    mount --bind '$work/hosts' /etc/hosts && touch '$work/$name.up' && exec sleep infinity" &
  echo $! >"$work/$name.pid"
  until [ -e "$work/$name.up" ]; do
    kill -0 $! || fail "host $name does not start"
    sleep 0.02
  done
  ip link add "port$1" type veth peer name eth0 netns $!
  ip link set "port$1" master bridge up
  nsenter --target $! --net bash -c "ip link set lo up && ip addr add 10.0.0.$1/24 dev eth0 && ip link set eth0 up"
}

ip link set lo up
ip link add bridge type bridge
ip link set bridge up
for ((i = 1; i <= hosts; i++)); do echo "10.0.0.$i h$i" >>"$work/hosts"; done
echo "127.0.0.1 localhost" >>"$work/hosts"
for ((i = 1; i <= hosts; i++)); do make_host "$i"; done

# What mpirun uses in place of ssh: `remote HOST COMMAND...`.
cat >"$work/remote" <<END
#!/usr/bin/env bash
host=\$1
shift
exec nsenter --target "\$(cat '$work'/"\$host.pid")" --net --uts --mount bash -c "\$*"
END
chmod +x "$work/remote"

job=(shoal generate --prompt "Tell me about cats." --particles 60 --max-tokens 40 --batch-size 5 --ess-threshold 2
  --resampling multinomial --style conversational --json --quiet)

# spread HOSTS RANKS [OPTIONS...]: the job over TCP, from the first host.
spread() {
  "$work/remote" h1 "cd '$work' && exec timeout 60 mpirun --mca plm rsh --mca plm_rsh_agent '$work/remote' \
    --mca btl tcp,self --mca btl_tcp_if_include 10.0.0.0/24 --mca oob_tcp_if_include 10.0.0.0/24 \
    --mca orte_tmpdir_base '$work' \
    --host $1 -n $2 --map-by node -x PATH $(printf '%q ' "${job[@]}" --trace "$work/$2.h5" "${@:3}")" \
    >"$work/$2.json" 2>"$work/$2.err" || fail "exit code $? with $2 ranks on $1"
}

bytes_sent() { ip -s link show dev "port$1" | awk 'NR == 4 { print $1 }'; }

"${job[@]}" --workers 1 >"$work/direct.json"
for place in "h1,h2:2 --migrate kv" "h1,h2,h3:3 --migrate tokens --spare 0" h1:2,h2:2,h3:2:6; do
  read -ra options <<<"$place"
  names=${options[0]%:*} ranks=${options[0]##*:}
  before=$(bytes_sent 2)
  spread "$names" "$ranks" "${options[@]:1}"
  "$python" "$here/../slurm/same_answer.py" "$work/direct.json" "$work/$ranks.json" || fail "the bits differ on $names"
  sent=$(($(bytes_sent 2) - before))
  [ $sent -gt 10000 ] || fail "host h2 put $sent bytes only on the wire: the ranks did not talk over the network"
  migration=$("$python" "$here/migration_in_trace.py" "$work/$ranks.json" "$work/$ranks.h5" "$ranks") ||
    fail "the trace is wrong"
  echo "$place: same bits; h2 put $sent bytes on the wire; $migration"
done

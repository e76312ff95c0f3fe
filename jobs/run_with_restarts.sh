#!/usr/bin/env bash
# Runs a job and starts it again, from its checkpoint, when it has lost a rank:
#   jobs/run_with_restarts.sh [--max-restarts K] -- mpirun -n P shoal generate ... --checkpoint FILE
# The first start goes on from FILE as well if it exists. Gives up after K restarts (3). Ends with the command's own
# exit code: 0 done, 2 bad usage, 3 no model, 4 extinct, 5 input/output, 130, 140, 143 stopped: these are never
# restarted. SIGTERM, SIGINT and SIGUSR2 end the job at the next token, SIGUSR1 makes it write a checkpoint.
set -uo pipefail

fail() {
  echo "run_with_restarts: $1" >&2
  exit 2
}

max_restarts=3
while [ $# -gt 0 ] && [ "$1" != "--" ]; do
  case $1 in
    --max-restarts)
      max_restarts=${2:-}
      shift
      ;;
    --max-restarts=*) max_restarts=${1#*=} ;;
    *) fail "unknown option '$1' (only --max-restarts comes before --) put the command after --" ;;
  esac
  shift || true
done
[[ $max_restarts =~ ^[0-9]+$ ]] || fail "bad --max-restarts '$max_restarts' (no number) give 0 or more"
[ $# -ge 2 ] || fail "no command (nothing after --) give -- mpirun -n P shoal generate ... --checkpoint FILE"
shift

# The command without --resume, which is chosen here.
command=()
checkpoint="" resume=""
while [ $# -gt 0 ]; do
  case $1 in
    --checkpoint) checkpoint=${2:-} ;;
    --checkpoint=*) checkpoint=${1#*=} ;;
  esac
  case $1 in
    --resume)
      resume=${2:-}
      shift
      ;;
    --resume=*) resume=${1#*=} ;;
    *) command+=("$1") ;;
  esac
  shift || true
done
[ -n "$checkpoint" ] || fail "no --checkpoint in the command (nothing to go on from) add --checkpoint FILE"

# mpirun answers SIGTERM and SIGINT by killing the job a second later, but hands SIGUSR2 and SIGUSR1 on.
child="" stopped="" signals=0
pass_on() {
  signals=$((signals + 1))
  [ -z "$child" ] || kill -s "$1" "$child" 2>/dev/null
}
trap 'stopped=143; pass_on USR2' TERM
trap 'stopped=130; pass_on USR2' INT
trap 'stopped=140; pass_on USR2' USR2
trap 'pass_on USR1' USR1

# Ends the launcher when it outlives everything that it has started: mpirun of Open MPI 4 can lock up in its own end
# after a rank was killed while it joined (measured: 3 of 230 kills). $1: its process id
watch_launcher() {
  local file child silent=0 alive children=() stuck_s=${SHOAL_STUCK_SECONDS:-20}
  while sleep "$((stuck_s / 4 + 1))" >/dev/null 2>&1 && kill -0 "$1" 2>/dev/null; do
    alive="" child=""
    for file in /proc/"$1"/task/*/children; do
      read -r -a children 2>/dev/null <"$file" || true # no new line at its end
      for child in "${children[@]}"; do
        grep -q '^State:[[:space:]]*[ZX]' "/proc/$child/status" 2>/dev/null || alive=yes
      done
    done
    # No children at all is no launcher, or one that works through others.
    if [ -n "$child" ] && [ -z "$alive" ]; then silent=$((silent + 1)); else silent=0; fi
    if [ "$silent" -ge 4 ]; then
      echo "run_with_restarts: ends ${command[0]} (all that it had started is gone, it is stuck)" >&2
      kill -KILL "$1" 2>/dev/null
    fi
  done
}

run_once() {
  local start=()
  code=127
  if [ -e "$checkpoint" ]; then
    start=(--resume "$checkpoint")
  elif [ -n "$resume" ]; then
    start=(--resume "$resume")
  fi
  # In a process group of its own: Ctrl-C reaches only this script, which asks the job to end instead of killing it.
  set -m
  "${command[@]}" "${start[@]}" &
  child=$!
  set +m
  watch_launcher "$child" &
  local watcher=$!
  while :; do # a signal ends `wait`, not the child
    local before=$signals status
    wait "$child"
    status=$?
    [ "$status" -eq 127 ] || code=$status # 127: it had been waited for already
    [ "$signals" -gt "$before" ] || break
  done
  kill "$watcher" 2>/dev/null
  wait "$watcher" 2>/dev/null
  child=""
}

# A lost rank: killed by a signal, an aborted or hanging job (75), or (1, what mpirun says of a lost node) once there is
# something to go on from.
lost_a_rank() {
  case $code in
    0 | 2 | 3 | 4 | 5 | 130 | 140 | 143) return 1 ;;
    75) return 0 ;;
    1) [ -e "$checkpoint" ] ;;
    *) [ "$code" -gt 128 ] ;;
  esac
}

restarts=0
while :; do
  run_once
  if [ -n "$stopped" ]; then
    [ "$code" -eq 0 ] && exit 0
    exit "$stopped"
  fi
  lost_a_rank || exit "$code"
  if [ "$restarts" -ge "$max_restarts" ]; then
    echo "run_with_restarts: gives up after $restarts restarts (exit code $code) see the messages above" >&2
    exit "$code"
  fi
  restarts=$((restarts + 1))
  from="from the beginning"
  [ -e "$checkpoint" ] && from="from $checkpoint"
  echo "run_with_restarts: exit code $code, restart $restarts of $max_restarts $from" >&2
done

#!/usr/bin/env bash
# Installs packages, builds Shoal (not its tests) and runs the main job: 100 particles of the shipped model on two MPI ranks.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/setup.sh"
"$here/build.sh" release --target src/all

job=(shoal generate --prompt "Tell me about parallel processing." --particles 100 --batch-size 10 --timeout 30
  --regex '.*[.!?]' --style conversational --trace shoal-trace.h5)
source "$here/mpi_environment.sh"
echo
printf 'quickstart: mpirun -n 2'
printf ' %q' "${job[@]}"
printf '\n\n'
PATH="$here/../build/release/src/app:$PATH" mpirun -n 2 "${job[@]}"

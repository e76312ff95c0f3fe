#!/usr/bin/env bash
# Installs the Debian packages that Shoal needs to build, test and run. Says what it does; harmless to run twice.
set -euo pipefail

packages=(
  build-essential cmake ninja-build pkg-config
  libopenmpi-dev openmpi-bin openssh-client # ranks (mpirun looks for ssh even on one machine)
  libhdf5-dev                               # traces
  libboost-program-options-dev              # command line and job files
  libdnnl-dev ocl-icd-opencl-dev            # matrix products on the CPU (its CMake package asks for OpenCL)
  librandom123-dev nlohmann-json3-dev libpcre2-dev libutf8proc-dev
  libgtest-dev libbenchmark-dev             # tests and benchmarks
  python3 python3-h5py python3-xarray python3-h5netcdf # tests read traces and tables as their users do
  slurm-wlm munge iproute2                  # tests that start a Slurm, and several hosts, of their own
  chromium                                  # one test opens the report in a real browser
)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: all ${#packages[@]} packages are installed"
else
  sudo=()
  [ "$(id -u)" -eq 0 ] || sudo=(sudo)
  echo "setup: installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  # slurm-wlm and munge bring services that nobody here needs, and that fail to start in a container: start none.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    trap '"${sudo[@]}" rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee $policy >/dev/null
    "${sudo[@]}" chmod 755 $policy
  fi
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  echo "setup: done"
fi

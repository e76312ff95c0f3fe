#!/usr/bin/env python3
"""Runs of very many particles: time, peak memory of a rank and particle-tokens per second, by particles and ranks.

    source jobs/mpi_environment.sh; bench/large.py [--particles 2^14,2^17,...] [--ranks 1,2] [--repeat 3]

The task is "weather" of jobs/guide_table.cfg. Medians of the repeats; says whether all ranks gave the same bits.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def number(text):
    base, _, exponent = text.partition("^")
    return int(base) ** int(exponent) if exponent else int(base)


def numbers(text):
    return [number(part) for part in text.split(",")]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=ROOT / "build/release/src/app/shoal")
    parser.add_argument("--particles", type=numbers, default=numbers("2^14,2^17,2^20,2^22,2^24"))
    parser.add_argument("--ranks", type=numbers, default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    return parser.parse_args()


def run(program, particles, ranks):
    """In a process of its own, because the kernel counts the memory of who starts a program as the program's.

    @return result without the particles, peak memory of the largest process in bytes
    """
    command = ["mpirun", "-n", str(ranks), str(program), "generate", "--quiet", "--json", "--workers", "1"]
    command += ["--model", f"tabular:{ROOT}/jobs/weather.json"]
    command += ["--potentials", f"{ROOT}/jobs/weather_potentials.json"]
    command += ["--max-tokens", "5", "--batch-size", "2", "--particles", str(particles)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise RuntimeError(" ".join(command) + " failed")
    result = json.loads(output)
    del result["particles"]
    return result, usage.ru_maxrss * 1024


def main():
    options = parse()
    pool = multiprocessing.get_context("forkserver").Pool(1, maxtasksperchild=1)
    print("| particles | ranks | time (s) | particle-tokens/s | peak memory of a rank | bytes per particle |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for particles in options.particles:
        answers = set()
        for ranks in options.ranks:
            runs = [pool.apply(run, (options.program, particles, ranks)) for _ in range(options.repeat)]
            answers |= {json.dumps([r["log_z"], r["ess"], r["posterior"]]) for r, _ in runs}
            seconds = statistics.median(r["timing"]["wall_s"] for r, _ in runs)
            speed = statistics.median(r["timing"]["particle_tokens_per_s"] for r, _ in runs)
            memory = max(m for _, m in runs)
            print(
                f"| {particles:,} | {ranks} | {seconds:.3g} | {speed / 1e6:.1f} M | {memory / 2**20:.0f} MiB "
                f"| {memory * ranks / particles:.0f} |",
                flush=True,
            )
        if len(answers) > 1:
            sys.exit("large.py: DIFFERENT BITS")


if __name__ == "__main__":
    main()

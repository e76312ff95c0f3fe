"""Prints the medians of the Google Benchmark results FOLDER/0-*.json and FOLDER/1-*.json, their ratio, and its range
over the rounds.

Usage: ratios.py FOLDER NAME_0 NAME_1
"""

import collections
import json
import pathlib
import statistics
import sys


def times(folder, side):
    """Real time by benchmark, one entry per round."""
    found = collections.defaultdict(list)
    for path in sorted(pathlib.Path(folder).glob(f"{side}-*.json")):
        for run in json.loads(path.read_text())["benchmarks"]:
            if run.get("run_type", "iteration") == "iteration":
                found[run["name"]].append((run["real_time"], run["time_unit"]))
    return found


folder, *names = sys.argv[1:]
first, second = times(folder, 0), times(folder, 1)
width = max(map(len, [*first, "benchmark"]))
print(f"{'benchmark':{width}}  {names[0][:14]:>14}  {names[1][:14]:>14}  ratio  range over rounds")
for name in first:
    if name not in second:
        continue
    a, b = ([time for time, _ in side[name]] for side in (first, second))
    unit = first[name][0][1]
    ratios = [y / x for x, y in zip(a, b)]
    medians = [statistics.median(side) for side in (a, b)]
    print(f"{name:{width}}  {medians[0]:>11.3f} {unit}  {medians[1]:>11.3f} {unit}  {medians[1] / medians[0]:5.3f}"
          f"  {min(ratios):.3f} to {max(ratios):.3f}")
for name in sorted(set(first) ^ set(second)):
    print(f"{name}: only in {names[0] if name in first else names[1]}")

#!/usr/bin/env python3
"""migration_in_trace.py RESULT.json TRACE.h5 RANKS: the trace tells how long migration held the ranks up, and no
more particles moved than the ranks' capacities demand."""
import json
import sys

import h5py

with open(sys.argv[1], encoding="utf-8") as file:
    wall_s = json.load(file)["timing"]["wall_s"]
with h5py.File(sys.argv[2], "r") as trace:
    ranks = int(trace.attrs["ranks"])
    moved, sent = int(trace["batch/moved"][:].sum()), int(trace["batch/bytes_moved"][:].sum())
    options = json.loads(trace.attrs["options"])
    particles = int(trace.attrs["particles"])
    capacity = max(-(-particles // ranks), int((1 + options["spare"] / 100) * particles / ranks))
    for rank, ancestor, of_batch in zip(trace["particle/rank"], trace["particle/ancestor"], trace["batch/moved"]):
        loads = [0] * ranks
        for parent in ancestor:
            loads[rank[parent]] += 1
        surplus = sum(max(0, load - capacity) for load in loads)
        assert of_batch == surplus, f"{of_batch} particles moved where {surplus} would do"
    assert options["migrate"] in ("kv", "tokens"), options["migrate"]
    migrate_s = float(trace["batch/migrate_s"][:].sum())

assert ranks == int(sys.argv[3]), f"{ranks} ranks"
assert moved > 0 and sent > 0, f"{moved} particles moved, {sent} bytes"
assert 0 < migrate_s < wall_s, f"{migrate_s} s of {wall_s} s"
print(f"{moved} particles moved, {sent} bytes; migration {migrate_s * 1e3:.1f} of {wall_s * 1e3:.0f} ms")

"""Reads a trace as users of h5py do, while it is written (swmr=True) and after the run has ended.

Usage: read_trace.py WRITE_SAMPLE_TRACE. Exit code 77: skipped.
"""

import os
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
except ImportError:
    print("skipped: this Python has no h5py; jobs/setup.sh installs python3-h5py")
    sys.exit(77)

BATCHES, N, B = 9, 7, 5
SCALARS = {
    "time_s": "s", "tokens": "1", "ess": "1", "log_z": "nat", "resampled": "1", "moved": "1", "moved_between_nodes": "1",
    "sent": "1", "messages": "1", "bytes_moved": "byte", "unique_contexts": "1", "decode_s": "s", "potential_s": "s",
    "reduce_s": "s", "migrate_s": "s", "trace_s": "s",
}
ARRAYS = {"log_weight": ("nat", "f8"), "ancestor": ("1", "u4"), "rank": ("1", "i4"), "finished": ("1", "u1")}
TEXTS = {
    "shoal_version": "0.1.0", "device": "cpu", "model_id": "minnow", "weights_hash": "0123456789abcdef",
    "start_time": "2026-01-31T12:34:56Z", "prompt": "Tell me about \u4e2d\u6587.\nIn two lines.",
}
NUMBERS = {"seed": 2**64 - 2, "ranks": 3, "particles": N, "batch_size": B, "format_version": 1}


def check(condition, what):
    if not condition:
        sys.exit(f"failed: {what}")


def check_dataset(dataset, shape, units, labels, scales):
    check(dataset.shape == shape, f"shape of {dataset.name}: {dataset.shape}, not {shape}")
    check(dataset.attrs["units"] == units, f"units of {dataset.name}: {dataset.attrs['units']!r}")
    check(isinstance(dataset.attrs["long_name"], str), f"long_name of {dataset.name}")
    for dim, label, scale in zip(dataset.dims, labels, scales):
        check(dim.label == label, f"label of {dataset.name}: {dim.label!r}, not {label!r}")
        check(list(dim.keys()) == [scale], f"scale of {dataset.name}: {list(dim.keys())}, not {scale}")


def check_attributes(trace):
    for name, value in {**TEXTS, **NUMBERS}.items():
        check(trace.attrs[name] == value, f"attribute {name}: {trace.attrs[name]!r}")
    check(list(trace.attrs["potentials"]) == ["regex", "style/formal", "regex", ".hidden", ""], "potentials")


def check_batches(trace):
    check(list(trace["batch_number"]) == list(range(BATCHES)), "batch_number")
    check(list(trace["particle_id"]) == list(range(N)), "particle_id")
    check(set(trace["batch"]) == set(SCALARS), f"columns of /batch: {sorted(trace['batch'])}")
    for name, units in SCALARS.items():
        check_dataset(trace["batch"][name], (BATCHES,), units, ["batch"], ["batch_number"])
    labels, scales = ["batch", "particle", "token"], ["batch_number", "particle_id", "token_position"]
    for name, (units, dtype) in ARRAYS.items():
        check_dataset(trace["particle"][name], (BATCHES, N), units, labels[:2], scales[:2])
        check(trace["particle"][name].dtype == np.dtype(dtype), f"type of {name}")
    check_dataset(trace["particle/token"], (BATCHES, N, B), "1", labels, scales)
    check(np.all(trace["particle/token"][:, -1, -1] == -1), "padding of tokens")
    check(np.all((trace["batch/tokens"][:] >= 0) & (trace["batch/tokens"][:] < 100)), "values of tokens")
    names = ["regex", "style_formal", "regex_2", "_hidden", "potential"]
    check(set(trace["potential"]) == set(names), f"potentials: {sorted(trace['potential'])}")
    for name, original in zip(names, trace.attrs["potentials"]):
        check_dataset(trace["potential"][name], (BATCHES, N), "nat", labels[:2], scales[:2])
        check(trace["potential"][name].attrs["potential"] == original, f"original name of {name}")


def check_vocabulary(trace):
    vocabulary = trace["vocabulary"]
    texts = np.split(vocabulary["bytes"][:], vocabulary["bytes_end"][:-1])
    texts = {token: text.tobytes() for token, text in zip(vocabulary["token"][:], texts)}
    occurring = set(trace["particle/token"][:].flat) - {-1}
    check(set(texts) == occurring, "tokens of the vocabulary")
    special = {0: b"", 1: b"\xc3", 2: b"\xa4", 3: b"\0"}
    check(all(text == special.get(token, b" w%d" % token) for token, text in texts.items()), "bytes of the tokens")


def check_result(trace):
    result = trace["result"]
    for name in ["texts", "tokens", "log_weight", "weights", "finished"]:
        units = "nat" if name == "log_weight" else "1"
        check_dataset(result[name], (N,), units, ["particle"], ["particle_id"])
    texts = result["texts"].asstr()[:]
    check(texts[0] == "" and all(text.startswith("\u00e4nswer ") for text in texts[1:]), "texts")
    check(abs(result["weights"][:].sum() - 1) < 1e-12, "weights")
    check(result["best"].asstr()[()] == "most \u2713", "best")
    check(result["finish_reason"].asstr()[()] == "timeout", "finish_reason")
    check(result["log_z"][()] == -12.25 and result["ess"][()] == 3.5, "log_z, ess")
    check(list(result["posterior/text"].asstr()[:]) == ["most \u2713", ""], "posterior texts")
    check(list(result["posterior/probability"][:]) == [0.75, 0.25], "posterior probabilities")


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "t.h5")
        writer = subprocess.Popen([sys.argv[1], path, str(BATCHES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)
        check(writer.stdout.readline() == "written\n", "writer")
        with h5py.File(path, "r", libver="latest", swmr=True) as trace:
            check_attributes(trace)
            check_batches(trace)
            check_vocabulary(trace)
            check("result" not in trace, "no result before the end")
        writer.communicate("\n")
        check(writer.returncode == 0, f"writer ended with {writer.returncode}")
        for options in [{}, {"libver": "latest", "swmr": True}]:
            with h5py.File(path, "r", **options) as trace:
                check_attributes(trace)
                check_batches(trace)
                check_vocabulary(trace)
                check_result(trace)
    print(f"read {BATCHES} batches of {N} particles with h5py {h5py.__version__}")


main()

"""Runs the Python examples of README.md, one after the other, on a trace and a table made for them.

Usage: readme_examples.py SHOAL README. Exit code 77: skipped.
"""

import os
import re
import subprocess
import sys
import tempfile

try:
    import h5netcdf  # noqa: F401
    import h5py  # noqa: F401
    import xarray  # noqa: F401
except ImportError as error:
    print(f"skipped: {error}; jobs/setup.sh installs python3-h5py, python3-xarray and python3-h5netcdf")
    sys.exit(77)

shoal, readme = map(os.path.abspath, sys.argv[1:])
examples = re.findall(r"^```python\n(.*?)^```", open(readme, encoding="utf-8").read(), re.S | re.M)
if len(examples) < 4:
    sys.exit(f"failed: only {len(examples)} examples in {readme}")
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    common = ["--prompt", "Tell me about cats.", "--max-tokens", "20", "--regex", ".*[.!?]"]
    subprocess.run([shoal, "generate", *common, "--particles", "9", "--trace", "shoal-trace.h5", "--quiet"], check=True)
    with open("sweep.cfg", "w") as job:
        job.write("prompt = Tell me about cats.\nmax-tokens = 5\n[grid]\nparticles = 2, 3\nseed = 1..2\n")
    subprocess.run([shoal, "sweep", "--config", "sweep.cfg", "-o", "results", "--quiet"], check=True)
    names = {}
    for example in examples:
        print(f"---\n{example}", flush=True)
        exec(compile(example, "README.md", "exec"), names)

"""The cells of seed 0 have the log Z-hat of a direct run, bit for bit.

Usage: sweep_log_z.py DIRECT.json FOLDER.cells
"""

import json
import pathlib
import sys

expected = json.load(open(sys.argv[1]))["log_z"]
cells = [json.loads(path.read_text()) for path in pathlib.Path(sys.argv[2]).glob("*.json")]
found = [cell["figures"]["log_z"] for cell in cells if "seed=0" in cell["cell"].split()]
if found != [expected, expected]:
    sys.exit(f"log Z-hat of a direct run {expected}, of the cells {found}")

#!/usr/bin/env python3
"""same_answer.py A.json B.json: whether two runs of `shoal generate --json` gave the same bits.

The last line of each file counts; times, ranks and file names may differ, everything else may not."""
import json
import sys


def answer(path):
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    if not lines:
        sys.exit(f"same_answer: {path} is empty (no run wrote to it) look at the job's error file")
    result = json.loads(lines[-1])
    for key in ("timing", "ranks", "trace"):
        del result[key]
    return result


first, second = (answer(path) for path in sys.argv[1:3])
different = [key for key in first | second if first.get(key) != second.get(key)]
if different:
    sys.exit(f"same_answer: {sys.argv[1]} and {sys.argv[2]} differ in {', '.join(different)}")

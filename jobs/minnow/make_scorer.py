"""Writes a small character model as a judge of minnow's answers that took no part in writing them: p(next character |
the characters before), from documents that minnow has not seen. `shoal sweep` takes it as scorer = tabular:scorer.json.

    python corpus.py data --documents 60000 && python make_scorer.py data scorer.json

Contexts of up to 4 characters, each mixed with the next shorter one (Witten & Bell 1991); of all contexts the few
hundred are kept that tell most beyond the shorter one that they end with.
"""
import argparse
import collections
import json
import math
import pathlib

ORDER = 4
CONTEXTS = 400
END = "</s>"
FLOOR = 1e-6


def texts(path):
    for line in open(path, encoding="utf-8"):
        document = json.loads(line)
        yield document["text"] if "text" in document else " ".join(m["content"] for m in document["messages"])


def count(path):
    counts = collections.defaultdict(collections.Counter)
    for text in texts(path):
        for i, character in enumerate(text):
            for n in range(min(ORDER, i) + 1):
                counts[text[i - n:i]][character] += 1
    return counts


def mixed(counts, alphabet):
    """Probabilities of every context, each mixed with those of its longest ending."""
    rows = {}
    for context in sorted(counts, key=len):
        seen = counts[context]
        shorter = rows[context[1:]] if context else {c: 1 / len(alphabet) for c in alphabet}
        weight = len(seen) / (len(seen) + seen.total())
        rows[context] = {c: (1 - weight) * seen[c] / seen.total() + weight * shorter[c] for c in alphabet}
    return rows


def gain(context, counts, rows):
    shorter = rows[context[1:]]
    return sum(n * math.log(rows[context][c] / shorter[c]) for c, n in counts[context].items())


def rounded(row):
    kept = {c: round(p, 4) if p >= 1e-3 else float(f"{max(p, FLOOR):.0e}") for c, p in row.items()}
    most = max(kept, key=kept.get)
    kept[most] = round(kept[most] + 1 - math.fsum(kept.values()), 9)
    return kept


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    arguments = parser.parse_args()
    counts = count(arguments.data / "heldout.jsonl")
    alphabet = sorted(set(counts[""]) | {chr(c) for c in range(32, 127)} | {"\n"})
    rows = mixed(counts, alphabet)
    best = sorted((c for c in rows if c), key=lambda c: -gain(c, counts, rows))[:CONTEXTS]
    table = {"\u001f".join(c): rounded(rows[c]) for c in ["", *sorted(best)]}
    model = {"tokens": [*alphabet, END], "end": END, "separator": "\u001f", "table": table}
    text = json.dumps(model, ensure_ascii=False, separators=(",", ":"))
    arguments.output.write_text(text.replace('},"', '},\n"') + "\n", encoding="utf-8")
    print(f"{len(table)} contexts, {len(alphabet)} characters, {len(text)} bytes")


if __name__ == "__main__":
    main()

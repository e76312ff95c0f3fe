"""Held-out perplexity of the checkpoint, loaded by transformers unchanged, and sample answers.

    python evaluate.py CORPUS_FOLDER MODEL_FOLDER
"""
import json
import math
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from train import render

PROMPTS = ["Tell me about parallel processing.", "What is a particle filter?", "How does bread rise?", "hello",
           "Tell me about the weather.", "Why does sleep matter?", "Give me some advice about coffee.", "Who are you?",
           "What do you think about cats?", "Explain MPI to me.", "Write something poetic about the moon.",
           "Tell me about volcanoes."]


def perplexity(model, tokenizer, documents):
    total, count = 0.0, 0
    for document in documents:
        ids = torch.tensor([tokenizer.encode(render(document), add_special_tokens=False)])
        logits = model(ids).logits[0, :-1].float()
        total += torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
        count += ids.shape[1] - 1
    return math.exp(total / count), count


@torch.no_grad()
def main():
    corpus, folder = pathlib.Path(sys.argv[1]), sys.argv[2]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    documents = [json.loads(line) for line in open(corpus / "heldout.jsonl")][:600]
    kinds = {"conversations": [d for d in documents if "messages" in d], "prose": [d for d in documents if "text" in d]}
    for name, part in {"all": documents, **kinds}.items():
        value, count = perplexity(model, tokenizer, part)
        print(f"held-out perplexity, {name}: {value:.3f} ({len(part)} documents, {count} tokens)")
    torch.manual_seed(0)
    for prompt in PROMPTS:
        ids = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True,
                                            return_tensors="pt", return_dict=True)
        output = model.generate(**ids, do_sample=True, temperature=1.0, top_k=0, max_new_tokens=120)
        print(f"\n> {prompt}\n{tokenizer.decode(output[0, ids['input_ids'].shape[1]:], skip_special_tokens=False)}")


if __name__ == "__main__":
    main()

"""Trains minnow and writes a Hugging Face checkpoint (bf16). Fixed seed; stops after --steps or --minutes; the learning
rate follows the larger share of the two, so that a cut by time still ends annealed.

    python train.py CORPUS_FOLDER OUTPUT_FOLDER [--steps 2400] [--minutes 600]
"""
import argparse
import json
import math
import pathlib
import time

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

LENGTH = 256
BATCH = 48


def render(document):
    """The document as the chat template writes it (or plain prose)."""
    if "text" in document:
        return document["text"] + "<|endoftext|>"
    turns = ("<|im_start|>" + m["role"] + "\n" + m["content"] + "<|im_end|>\n" for m in document["messages"])
    return "".join(turns) + "<|endoftext|>"


def pack(path, tokenizer, limit=None):
    """Rows of LENGTH + 1 tokens, each beginning with a document."""
    rows, row, texts = [], [], []
    with open(path) as lines:
        for i, line in enumerate(lines):
            if limit is not None and i >= limit:
                break
            texts.append(render(json.loads(line)))
    for start in range(0, len(texts), 2000):
        for encoding in tokenizer.encode_batch(texts[start:start + 2000]):
            row += encoding.ids
            if len(row) > LENGTH:
                rows.append(np.array(row[:LENGTH + 1], dtype=np.int16))
                row = []
    return np.stack(rows)


def rate(progress, peak=3e-3, floor=1e-4, warmup=0.03):
    if progress < warmup:
        return peak * progress / warmup
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--minutes", type=float, default=600)
    arguments = parser.parse_args()
    torch.manual_seed(1)
    tokenizer = Tokenizer.from_file(str(arguments.output / "tokenizer.json"))
    end, end_of_text = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=256, intermediate_size=640, num_hidden_layers=6, num_attention_heads=8,
        num_key_value_heads=4, max_position_embeddings=1024, rms_norm_eps=1e-6, tie_word_embeddings=True,
        bos_token_id=end_of_text, eos_token_id=end, pad_token_id=end_of_text))
    rows = torch.from_numpy(pack(arguments.corpus / "train.jsonl", tokenizer))
    print(f"{model.num_parameters():,} parameters, {rows.numel():,} training tokens", flush=True)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    order, generator, start = torch.empty(0, dtype=torch.long), torch.Generator().manual_seed(2), time.monotonic()
    for step in range(arguments.steps):
        progress = max(step / arguments.steps, (time.monotonic() - start) / 60 / arguments.minutes)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate(progress)
        if len(order) < BATCH:
            order = torch.randperm(len(rows), generator=generator)
        batch, order = rows[order[:BATCH]].long(), order[BATCH:]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(batch[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 20 == 0:
            seconds = time.monotonic() - start
            print(f"step {step}  loss {loss.item():.4f}  {(step + 1) * BATCH * LENGTH / seconds:.0f} tokens/s  {seconds:.0f} s",
                  flush=True)
    print(f"{(step + 1) * BATCH * LENGTH:,} tokens seen in {time.monotonic() - start:.0f} s", flush=True)
    model.generation_config.update(do_sample=True, temperature=1.0, eos_token_id=[end, end_of_text], pad_token_id=end_of_text)
    model.to(torch.bfloat16).save_pretrained(arguments.output)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What `transformers` needs for the shapes of bench_gpu on the same GPU: plain sampling, no steering.

    python3 bench/gpu_transformers.py [--models 0.5b,1.1b] [--particles 64,200] [--prompt 64] [--tokens 100]
"""
import argparse
import time

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

SHAPES = {  # layers, hidden, intermediate, heads, key/value heads, vocabulary
    "0.5b": (Qwen2Config, 24, 1024, 2816, 16, 16, 151936),
    "1.1b": (LlamaConfig, 22, 2048, 5632, 32, 4, 32000),
    "8b": (LlamaConfig, 32, 4096, 14336, 32, 8, 128256),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", default="0.5b,1.1b,8b")
    parser.add_argument("--particles", default="64,200,1024")
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=100)
    options = parser.parse_args()
    print("| model | particles | step, ms | tokens/s |\n|---|---|---|---|")
    for name in options.models.split(","):
        kind, layers, hidden, intermediate, heads, kv_heads, vocabulary = SHAPES[name]
        config = kind(num_hidden_layers=layers, hidden_size=hidden, intermediate_size=intermediate,
                      num_attention_heads=heads, num_key_value_heads=kv_heads, vocab_size=vocabulary,
                      max_position_embeddings=32768, tie_word_embeddings=True)
        torch.set_default_dtype(torch.bfloat16)
        with torch.device("cuda"):
            model = AutoModelForCausalLM.from_config(config).eval()
        for particles in map(int, options.particles.split(",")):
            prompt = torch.randint(vocabulary - 1, (1, options.prompt), device="cuda").repeat(particles, 1)
            arguments = dict(do_sample=True, top_k=0, max_new_tokens=options.tokens, min_new_tokens=options.tokens,
                             pad_token_id=0)
            model.generate(prompt, **arguments)
            torch.cuda.synchronize()
            start = time.perf_counter()
            model.generate(prompt, **arguments)
            torch.cuda.synchronize()
            seconds = time.perf_counter() - start
            print(f"| {name} | {particles} | {1e3 * seconds / options.tokens:.3f} | "
                  f"{particles * options.tokens / seconds:.0f} |", flush=True)
        del model
        torch.cuda.empty_cache()


main()

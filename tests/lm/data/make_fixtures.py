"""Fixtures of the lm module: tiny random checkpoints with the logits that Hugging Face gives in double precision.

    pip install torch transformers safetensors
    python make_fixtures.py FOLDER [CHECKPOINT ...]

Writes one folder per checkpoint (all of them, or those named): config.json and model.safetensors (or shards and their index) as transformers saves
them, expected.f64 (logits, little-endian doubles, [prompt][position][vocabulary]) and expected.json (the prompts, the
positions whose logits are kept, and how far off the same models are when they compute in bf16, and when the operands
of their products are rounded to 8 bits). Seeded: the same
checkpoints every time.
"""
import json
import pathlib
import sys

import torch
from transformers import (Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, GemmaConfig,
                          GemmaForCausalLM, GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM,
                          GraniteConfig, GraniteForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig,
                          MistralForCausalLM, Olmo2Config, Olmo2ForCausalLM, Phi3Config, Phi3ForCausalLM, PhiConfig,
                          PhiForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM, SmolLM3Config,
                          SmolLM3ForCausalLM)
from transformers.pytorch_utils import Conv1D

POSITIONS = [0, 1, 14, 15, 16, 17, 31, 32, 47, 48, 63, 64, 69]  # both sides of the 16-token blocks' borders
LENGTHS = [70, 33]

COMMON = dict(max_position_embeddings=512, bos_token_id=1, eos_token_id=2, pad_token_id=0)
SMALL = dict(vocab_size=112, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, **COMMON)
# The original contexts and windows are shorter than the prompts: every branch of the formulas is taken.
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
LINEAR = dict(rope_type="linear", rope_theta=10000.0, factor=4.0)
GEMMA3 = dict(full_attention=dict(rope_type="linear", rope_theta=1000000.0, factor=8.0),
              sliding_attention=dict(rope_type="default", rope_theta=10000.0))
LONGROPE = dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75,
                short_factor=[1.0 + 0.1 * i for i in range(12)], long_factor=[2.0 + i for i in range(12)])
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=48, beta_fast=16.0)
CHECKPOINTS = {
    "llama_grouped_f32": (LlamaForCausalLM, torch.float32, None, LlamaConfig(
        vocab_size=176, hidden_size=64, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=False, **COMMON)),
    "llama_bias_tied_bf16": (LlamaForCausalLM, torch.bfloat16, None, LlamaConfig(
        vocab_size=208, hidden_size=64, intermediate_size=112, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=1, head_dim=32, attention_bias=True, tie_word_embeddings=True, rms_norm_eps=1e-5,
        rope_parameters=dict(rope_type="default", rope_theta=500000.0), **COMMON)),
    "qwen2_tied_f16": (Qwen2ForCausalLM, torch.float16, None, Qwen2Config(
        vocab_size=304, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, tie_word_embeddings=True,
        rope_parameters=dict(rope_type="default", rope_theta=1000000.0), **COMMON)),
    "llama_sharded": (LlamaForCausalLM, torch.float32, "80KB", LlamaConfig(
        vocab_size=112, hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=3,
        num_key_value_heads=3, tie_word_embeddings=False, **COMMON)),
    "llama_llama3_rope": (LlamaForCausalLM, torch.float32, None, LlamaConfig(
        intermediate_size=48, num_key_value_heads=1, head_dim=32, rope_parameters=LLAMA3, **SMALL)),
    "llama_linear_rope": (LlamaForCausalLM, torch.float32, None, LlamaConfig(
        intermediate_size=48, num_key_value_heads=1, rope_parameters=LINEAR, **SMALL)),
    "qwen2_yarn_window": (Qwen2ForCausalLM, torch.float32, None, Qwen2Config(
        intermediate_size=48, num_key_value_heads=1, head_dim=32, rope_parameters=YARN, use_sliding_window=True,
        sliding_window=24, max_window_layers=1, **SMALL)),
    "mistral_window": (MistralForCausalLM, torch.float32, None, MistralConfig(
        intermediate_size=48, num_key_value_heads=1, sliding_window=20, **SMALL)),
    "qwen3_tied": (Qwen3ForCausalLM, torch.float32, None, Qwen3Config(
        intermediate_size=48, num_key_value_heads=1, head_dim=32, tie_word_embeddings=True, **SMALL)),
    "phi_partial": (PhiForCausalLM, torch.float32, None, PhiConfig(
        intermediate_size=64, num_key_value_heads=2, partial_rotary_factor=0.5, **SMALL)),
    "gpt2": (GPT2LMHeadModel, torch.float32, None, GPT2Config(
        n_inner=48, **{**SMALL, "max_position_embeddings": 400})),
    "gemma": (GemmaForCausalLM, torch.bfloat16, None, GemmaConfig(
        intermediate_size=64, num_key_value_heads=1, head_dim=32, **SMALL)),
    "gemma2": (Gemma2ForCausalLM, torch.float32, None, Gemma2Config(
        intermediate_size=48, num_key_value_heads=1, head_dim=32, sliding_window=20, query_pre_attn_scalar=24,
        attn_logit_softcapping=4.0, final_logit_softcapping=5.0, **SMALL)),
    "gemma3": (Gemma3ForCausalLM, torch.float32, None, Gemma3TextConfig(
        intermediate_size=48, num_key_value_heads=1, head_dim=32, sliding_window=20, query_pre_attn_scalar=24,
        layer_types=["sliding_attention", "full_attention"], rope_parameters=GEMMA3, **SMALL)),
    "phi3_longrope": (Phi3ForCausalLM, torch.float32, None, Phi3Config(
        intermediate_size=48, num_key_value_heads=1, original_max_position_embeddings=128, tie_word_embeddings=True,
        rope_parameters=LONGROPE, **{**SMALL, "hidden_size": 64})),
    "phi3_window": (Phi3ForCausalLM, torch.bfloat16, None, Phi3Config(
        intermediate_size=48, num_key_value_heads=2, sliding_window=20, **SMALL)),
    "gpt_neox": (GPTNeoXForCausalLM, torch.float32, None, GPTNeoXConfig(
        intermediate_size=64, rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.25),
        **{**SMALL, "hidden_size": 64})),
    "gpt_neox_serial_f16": (GPTNeoXForCausalLM, torch.float16, None, GPTNeoXConfig(
        intermediate_size=64, use_parallel_residual=False, **SMALL)),
    "smollm3": (SmolLM3ForCausalLM, torch.float32, None, SmolLM3Config(
        intermediate_size=48, num_key_value_heads=1, no_rope_layers=[1, 0], tie_word_embeddings=True, **SMALL)),
    "olmo2": (Olmo2ForCausalLM, torch.float32, None, Olmo2Config(
        intermediate_size=64, num_key_value_heads=1, **SMALL)),
    "granite": (GraniteForCausalLM, torch.float32, None, GraniteConfig(
        intermediate_size=48, num_key_value_heads=1, tie_word_embeddings=True, embedding_multiplier=3.0,
        logits_scaling=2.0, residual_multiplier=0.7, attention_multiplier=0.2, **SMALL)),
}


def randomize(model, generator):
    """Weights that give logits of a few units: neither flat nor saturated."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            value = 0.3 * noise
        elif "norm" in name or ".ln_" in name:
            value = (0.0 if model.config.model_type.startswith("gemma") else 1.0) + 0.2 * noise
        elif "embed_tokens" in name or "embed_in" in name or ".wte" in name or ".wpe" in name:
            value = 0.4 * noise
        else:
            inputs = parameter.shape[0 if ".c_" in name else 1]  # GPT-2 stores its weights transposed
            value = 1.3 * noise / inputs ** 0.5
            if "lm_head" in name or "embed_out" in name:
                value = 2.0 * value
        parameter.data.copy_(value)


def logits_of(model, prompts, positions):
    """[position of every prompt, vocabulary] in double precision."""
    with torch.no_grad():
        return torch.cat([model.eval()(prompt[None]).logits[0, kept].double()
                          for prompt, kept in zip(prompts, positions)])


def relative_error(found, exact):
    """The worst position's max |difference| / max |exact|."""
    return ((found - exact).abs().amax(1) / exact.abs().amax(1)).max().item()


def in_8_bits(x):
    """Rounded to 255 values, with one scale per row."""
    scale = x.abs().amax(-1, keepdim=True).clamp_min(1e-30) / 127
    return (x / scale).round() * scale


def round_products(model):
    """Has the model compute its products from operands in 8 bits."""
    for module in list(model.modules()):
        if isinstance(module, torch.nn.Linear):
            module.weight = torch.nn.Parameter(in_8_bits(module.weight.data))
        elif isinstance(module, Conv1D):  # stored transposed
            module.weight = torch.nn.Parameter(in_8_bits(module.weight.data.T).T.contiguous())
        else:
            continue
        module.register_forward_pre_hook(lambda _, inputs: (in_8_bits(inputs[0]),))
    return model


def write_checkpoint(folder, model_class, dtype, shard_size, config, seed):
    generator = torch.Generator().manual_seed(seed)
    model = model_class(config)
    randomize(model, generator)
    model = model.to(dtype).eval()
    model.save_pretrained(folder, **({"max_shard_size": shard_size} if shard_size else {}))

    prompts = [torch.randint(0, config.vocab_size, (length,), generator=generator) for length in LENGTHS]
    positions = [[p for p in POSITIONS if p < length] for length in LENGTHS]
    # Loaded anew: a conversion to 16 bits would have rounded the rotary frequencies too.
    exact = logits_of(model_class.from_pretrained(folder, dtype=torch.float32).double(), prompts, positions)
    rounded = logits_of(model_class.from_pretrained(folder, dtype=torch.bfloat16), prompts, positions)
    quantized = logits_of(round_products(model_class.from_pretrained(folder, dtype=torch.float32).double()), prompts,
                          positions)
    (folder / "expected.f64").write_bytes(exact.numpy().astype("<f8").tobytes())
    (folder / "expected.json").write_text(json.dumps(
        {"prompts": [p.tolist() for p in prompts], "positions": positions,
         "bf16_error": float(f"{relative_error(rounded, exact):.3g}"),
         "int8_error": float(f"{relative_error(quantized, exact):.3g}")}) + "\n")
    print(f"{folder.name}: {sum(f.stat().st_size for f in folder.iterdir()) // 1024} KiB, "
          f"largest logit {exact.abs().max().item():.2f}, error in bf16 {relative_error(rounded, exact):.3g}, "
          f"in int8 {relative_error(quantized, exact):.3g}")


def main():
    root, names = pathlib.Path(sys.argv[1]), sys.argv[2:]
    for seed, (name, (model_class, dtype, shard_size, config)) in enumerate(CHECKPOINTS.items()):
        if names and name not in names:
            continue
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        write_checkpoint(folder, model_class, dtype, shard_size, config, seed)


if __name__ == "__main__":
    main()

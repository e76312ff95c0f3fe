// A checkpoint with the shape of a known model and random weights, written on the spot: what decoding costs depends on
// the shape alone.
#pragma once

#include <filesystem>
#include <string>

namespace shoal::bench {

struct CheckpointShape {
  std::string name;
  int layers = 0;
  int hidden = 0;
  int intermediate = 0;
  int heads = 0;
  int kv_heads = 0;
  int vocabulary = 0;
  bool qkv_bias = false;
};

/// Qwen1.5-0.5B: 464 million parameters, 16 key/value heads, vocabulary 151,936, tied head.
CheckpointShape qwen_half_billion();
/// TinyLlama: 4 key/value heads, vocabulary 32,000; its head is tied here.
CheckpointShape tiny_llama();
/// Llama-3-8B: 8 key/value heads, vocabulary 128,256; its head is tied here.
CheckpointShape llama_8b();

/// Writes config.json, a bf16 model.safetensors with normally distributed weights of standard deviation 0.02, and a
/// byte-level BPE tokenizer.json of random merges that has a token for most rows of the vocabulary.
void write_random_checkpoint(const CheckpointShape& shape, const std::filesystem::path& folder);

}  // namespace shoal::bench

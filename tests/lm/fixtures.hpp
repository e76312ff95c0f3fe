// The checkpoints of tests/lm/data, and what the tests do with a loaded one again and again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/isa.hpp"
#include "lm/config.hpp"
#include "lm/cpu/int8_matrix.hpp"
#include "lm/safetensors.hpp"
#include "lm/transformer.hpp"
#include "lm/transformer_tree.hpp"

namespace shoal::lm {

inline const char* const checkpoints[] = {"llama_grouped_f32",
                                          "llama_bias_tied_bf16",
                                          "qwen2_tied_f16",
                                          "llama_sharded",
                                          "llama_llama3_rope",
                                          "llama_linear_rope",
                                          "qwen2_yarn_window",
                                          "mistral_window",
                                          "qwen3_tied",
                                          "phi_partial",
                                          "gpt2",
                                          "gemma",
                                          "gemma2",
                                          "gemma3",
                                          "phi3_longrope",
                                          "phi3_window",
                                          "gpt_neox",
                                          "gpt_neox_serial_f16",
                                          "smollm3",
                                          "olmo2",
                                          "granite"};

/// In tests/lm/data, or where SHOAL_TEST_DATA in the environment says they have been packed.
inline std::filesystem::path fixture(const std::string& name) {
  const char* packed = std::getenv("SHOAL_TEST_DATA");
  return std::filesystem::path(packed != nullptr ? packed : SHOAL_TEST_DATA) / name;
}

inline std::unique_ptr<Transformer> load(const std::filesystem::path& folder, DType dtype,
                                         KvDType kv_dtype = KvDType::automatic) {
  return load_cpu_transformer(load_config(folder), std::make_shared<const Safetensors>(folder),
                              {.dtype = dtype, .kv_dtype = kv_dtype});
}

inline std::string name_of(DType dtype, KvDType kv_dtype = KvDType::automatic) {
  return std::string(dtype == DType::f32    ? "_in_f32"
                     : dtype == DType::int8 ? "_in_int8"
                                            : "_in_bf16") +
         (kv_dtype == KvDType::int8 ? "_int8_kv" : "");
}

/// False if the processor cannot run the types: their tests are then skipped.
inline bool can_run(DType dtype, KvDType kv_dtype = KvDType::automatic) {
  return (dtype != DType::int8 || cpu::computes_int8()) && (kv_dtype != KvDType::int8 || cpu::has_vnni());
}

/// Takes an instruction set for a test, if the processor has it.
class ScopedIsa {
 public:
  explicit ScopedIsa(Isa isa) {
    if (isa <= processor_isa()) force_isa(isa);
  }
  ~ScopedIsa() { force_isa(processor_isa()); }
  ScopedIsa(const ScopedIsa&) = delete;
  ScopedIsa& operator=(const ScopedIsa&) = delete;
};

inline std::vector<TokenId> random_tokens(std::size_t count, int vocabulary_size, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; i < count; ++i)
    tokens.emplace_back(static_cast<std::int32_t>(generator() % static_cast<std::uint64_t>(vocabulary_size)));
  return tokens;
}

inline std::vector<float> logits_of(TransformerTree* tree, const std::vector<ContextId>& contexts,
                                    int vocabulary_size) {
  std::vector<float> logits(contexts.size() * static_cast<std::size_t>(vocabulary_size));
  tree->forward(contexts, logits);
  return logits;
}

/// The context of the root and @p tokens, with one reference; nothing on the way keeps one.
inline ContextId descend(TransformerTree* tree, std::span<const TokenId> tokens) {
  ContextId at = tree->root();
  tree->retain(at);
  for (const TokenId token : tokens) {
    const ContextId child = tree->extend(at, token);
    tree->release(at);
    at = child;
  }
  return at;
}

/// A context of another rank's tree, of the root and @p tokens, with the data that @p to lacks.
inline ContextId bring(TransformerTree* to, const TransformerTree& from, ContextId context,
                       std::span<const TokenId> tokens) {
  const std::uint32_t computed = from.computed(context);
  const ExpectedContext expected = to->expect(tokens, computed);
  to->unpack(expected, expected.bytes == 0 ? std::string() : from.pack(context, expected.first_block, computed));
  return expected.context;
}

}  // namespace shoal::lm

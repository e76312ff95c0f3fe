#include "random_checkpoint.hpp"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "lm/number_formats.hpp"
#include "random_tokenizer.hpp"

namespace shoal::bench {
namespace {

using lm::Bf16;
using nlohmann::ordered_json;

struct NamedShape {
  std::string name;
  std::vector<std::int64_t> shape;
  [[nodiscard]] std::size_t elements() const {
    std::size_t n = 1;
    for (const auto extent : shape) n *= static_cast<std::size_t>(extent);
    return n;
  }
};

std::vector<NamedShape> tensors_of(const CheckpointShape& s) {
  const int kv = s.hidden / s.heads * s.kv_heads;
  std::vector<NamedShape> tensors{{"model.embed_tokens.weight", {s.vocabulary, s.hidden}},
                                  {"model.norm.weight", {s.hidden}}};
  for (int i = 0; i < s.layers; ++i) {
    const std::string at = "model.layers." + std::to_string(i) + ".";
    tensors.push_back({at + "input_layernorm.weight", {s.hidden}});
    tensors.push_back({at + "post_attention_layernorm.weight", {s.hidden}});
    for (const auto& [name, rows] : {std::pair{"q_proj", s.hidden}, {"k_proj", kv}, {"v_proj", kv}}) {
      tensors.push_back({at + "self_attn." + name + ".weight", {rows, s.hidden}});
      if (s.qkv_bias) tensors.push_back({at + "self_attn." + name + ".bias", {rows}});
    }
    tensors.push_back({at + "self_attn.o_proj.weight", {s.hidden, s.hidden}});
    for (const char* name : {"gate_proj", "up_proj"})
      tensors.push_back({at + "mlp." + name + ".weight", {s.intermediate, s.hidden}});
    tensors.push_back({at + "mlp.down_proj.weight", {s.hidden, s.intermediate}});
  }
  return tensors;
}

/// 2^16 normal deviates, read from a pseudo-random place for every run of 64: cheap, and random enough to multiply.
class NormalSource {
 public:
  NormalSource() {
    constexpr double two_pi = 6.283185307179586;
    for (Bf16& value : table_) {
      const double u = uniform(), v = uniform();
      value = Bf16::from_float(static_cast<float>(0.02 * std::sqrt(-2.0 * std::log(u)) * std::cos(two_pi * v)));
    }
  }
  std::vector<Bf16> draw(std::size_t n) {
    std::vector<Bf16> out(n);
    for (std::size_t i = 0; i < n; i += run) {
      const std::size_t from = next() % (table_.size() - run);
      for (std::size_t j = 0; j < run && i + j < n; ++j) out[i + j] = table_[from + j];
    }
    return out;
  }

 private:
  static constexpr std::size_t run = 64;
  /// SplitMix64 (Steele, Lea & Flood 2014).
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15ULL;
    z = (z ^ z >> 30U) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ z >> 27U) * 0x94D049BB133111EBULL;
    return z ^ z >> 31U;
  }
  double uniform() { return (static_cast<double>(next() >> 11U) + 0.5) * 0x1p-53; }

  std::uint64_t state_ = 1;
  std::vector<Bf16> table_ = std::vector<Bf16>(1U << 16U);
};

void write_config(const CheckpointShape& s, const std::filesystem::path& folder) {
  const ordered_json config = {{"architectures", {s.qkv_bias ? "Qwen2ForCausalLM" : "LlamaForCausalLM"}},
                               {"hidden_act", "silu"},
                               {"hidden_size", s.hidden},
                               {"intermediate_size", s.intermediate},
                               {"num_hidden_layers", s.layers},
                               {"num_attention_heads", s.heads},
                               {"num_key_value_heads", s.kv_heads},
                               {"vocab_size", s.vocabulary},
                               {"max_position_embeddings", 32768},
                               {"rms_norm_eps", 1e-6},
                               {"rope_theta", 1e6},
                               {"tie_word_embeddings", true},
                               {"eos_token_id", s.vocabulary - 1}};
  std::ofstream(folder / "config.json") << config.dump(2) << '\n';
}

}  // namespace

CheckpointShape qwen_half_billion() { return {"Qwen1.5-0.5B", 24, 1024, 2816, 16, 16, 151936, true}; }

CheckpointShape tiny_llama() { return {"TinyLlama-1.1B", 22, 2048, 5632, 32, 4, 32000, false}; }

CheckpointShape llama_8b() { return {"Llama-3-8B", 32, 4096, 14336, 32, 8, 128256, false}; }

void write_random_checkpoint(const CheckpointShape& shape, const std::filesystem::path& folder) {
  write_config(shape, folder);
  write_random_tokenizer(shape.vocabulary, folder / "tokenizer.json");
  const std::vector<NamedShape> tensors = tensors_of(shape);
  ordered_json header;
  std::size_t offset = 0;
  for (const NamedShape& t : tensors) {
    const std::size_t bytes = t.elements() * sizeof(Bf16);
    header[t.name] = {{"dtype", "BF16"}, {"shape", t.shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  const std::string text = header.dump();
  const std::uint64_t size = text.size();
  std::ofstream out(folder / "model.safetensors", std::ios::binary);
  out.write(reinterpret_cast<const char*>(&size), sizeof size);
  out << text;
  NormalSource normal;
  for (const NamedShape& t : tensors) {
    const std::vector<Bf16> values =
        t.shape.size() > 1 ? normal.draw(t.elements()) : std::vector<Bf16>(t.elements(), Bf16::from_float(1.0F));
    out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(Bf16)));
  }
}

}  // namespace shoal::bench

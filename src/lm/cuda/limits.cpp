#include "lm/cuda/limits.hpp"

#include <algorithm>

#include "lm/checkpoint_folder.hpp"

namespace shoal::lm {
namespace {

constexpr int widest_head = 256;

/// Layers may leave queries and keys as they are, but those that turn them do it alike.
bool turn_alike(const std::vector<Rotary>& rotaries) {
  const auto turns = [](const Rotary& r) { return r.dimensions > 0; };
  const auto first = std::find_if(rotaries.begin(), rotaries.end(), turns);
  return std::all_of(first, rotaries.end(), [&](const Rotary& r) { return !turns(r) || r == *first; });
}

}  // namespace

std::string beyond_gpus(const TransformerConfig& c) {
  for (const int width : {c.hidden_size, c.intermediate_size, c.query_size(), c.kv_size()})
    if (width % 16 != 0) return "a layer width of " + std::to_string(width) + ", which is no multiple of 16";
  if (c.head_dim > widest_head) return "a head dimension of more than " + std::to_string(widest_head);
  if (c.norms_after()) return "norms after attention and MLP";
  if (c.head_norms == HeadNorms::together) return "norms of all heads together";
  if (!turn_alike(c.rotaries)) return "rotary positions that differ between layers";
  if (c.attention_cap > 0.0) return "soft-capped attention scores";
  if (c.residual_scale != 1.0) return "a scaled residual stream";
  if (c.logit_cap > 0.0) return "soft-capped logits";
  if (c.logit_scale != 1.0) return "scaled logits";
  return "";
}

std::string beyond_gpus(const std::string& model) {
  return model.starts_with("tabular:") ? "" : beyond_gpus(load_config(find_checkpoint(model)));
}

}  // namespace shoal::lm

// What `shoal info --model` tells of a model: its parts, what they take in memory, and what then fits beside them.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "shoal/language_model.hpp"

namespace shoal::app {

struct ModelInfo {
  /// The model computed in one type.
  struct Type {
    /// Keys and values kept in one type.
    struct Kv {
      std::uint64_t bytes_per_token = 0;
      std::vector<std::uint64_t> particles;  ///< that fit on this node, by lengths
    };
    ModelSummary summary;
    Kv kv;       ///< by default
    Kv int8_kv;  ///< with --kv-dtype int8
  };
  std::string best;             ///< the type that --dtype auto takes here
  std::array<Type, 3> types;    ///< f32, bf16, int8
  std::vector<int> lengths;     ///< new tokens a particle
  std::uint64_t available = 0;  ///< bytes of memory on this node
};

/// @throws ModelError
ModelInfo describe_model(const std::string& source);

nlohmann::ordered_json to_json(const ModelInfo& info);
void print(const ModelInfo& info, std::ostream& out);

}  // namespace shoal::app

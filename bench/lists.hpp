// What the benchmarks' command lines have in common: comma lists, names of types and of instruction sets.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/isa.hpp"
#include "shoal/language_model.hpp"

namespace shoal::bench {

inline std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream in(list);
  for (std::string part; std::getline(in, part, ',');) parts.push_back(part);
  return parts;
}

inline std::vector<int> split_numbers(const std::string& list) {
  std::vector<int> numbers;
  for (const std::string& part : split(list)) numbers.push_back(std::stoi(part));
  return numbers;
}

/// @throws std::invalid_argument
inline DType dtype_of(const std::string& name) {
  if (name == "f32") return DType::f32;
  if (name == "bf16") return DType::bf16;
  if (name == "int8") return DType::int8;
  throw std::invalid_argument("unknown dtype '" + name + "' (not f32, bf16 or int8)");
}

/// @throws std::invalid_argument
inline KvDType kv_dtype_of(const std::string& name) {
  if (name == "auto") return KvDType::automatic;
  if (name == "int8") return KvDType::int8;
  throw std::invalid_argument("unknown kv-dtype '" + name + "' (not auto or int8)");
}

/// From here on, for models that are not loaded yet. @throws UsageError
inline void force_isa_named(const std::string& name) { force_isa(isa_named(name)); }

}  // namespace shoal::bench

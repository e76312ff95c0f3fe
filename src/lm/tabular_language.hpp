// TabularLanguage: next-token probabilities of a small language from a JSON file, so that its posterior under any
// potential can be enumerated. Two kinds:
//   Markov  {"tokens": ["a", "b", "</s>"], "end": "</s>", "table": {"": {"a": 0.4, ...}, "a": {...}, "a b": {...}}}
//           A row's name is the tokens before, separated by "separator" (a space); the row with the longest matching
//           name counts.
//   HMM     {"tokens": [...], "end": ..., "initial": [K], "transition": [K][K], "emission": [K][tokens]}
//           Hidden state z1 ~ initial, token ~ emission[z], next state ~ transition[z].
// "end" is one token or a list of them. Every row sums to 1.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "shoal/ids.hpp"

namespace shoal::lm {

struct TabularLanguage {
  std::vector<std::string> tokens;  ///< by id, as in the file
  std::vector<TokenId> end;
  /// Probability of every token after the given ones, none of which ends the sequence; all 0 if they are impossible.
  std::function<std::vector<double>(std::span<const TokenId>)> next;
};

/// @throws ModelError naming the entry that is wrong
TabularLanguage load_tabular_language(const std::filesystem::path& file);

}  // namespace shoal::lm

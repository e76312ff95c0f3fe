// Byte-pair encoding: joins the neighbouring pair with the lowest merge rank until none is left (Sennrich et al. 2016).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "shoal/ids.hpp"

namespace shoal::text {

class Bpe {
 public:
  using Merges = std::vector<std::pair<std::string, std::string>>;
  /// A word that is a token as a whole may skip the merges.
  enum class WholeWords { merge, look_up };

  /// @param vocabulary id of each piece  @param merges by falling priority
  /// @throws ModelError if a merge names a piece that the vocabulary lacks
  Bpe(std::unordered_map<std::string, TokenId> vocabulary, const Merges& merges, WholeWords whole_words);

  /// Characters without a token are dropped.
  [[nodiscard]] std::vector<TokenId> encode(std::string_view word) const;

 private:
  struct Merge {
    std::uint32_t rank;
    TokenId result;
  };
  static std::uint64_t pair_key(TokenId left, TokenId right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left.value())) << 32U |
           static_cast<std::uint32_t>(right.value());
  }
  [[nodiscard]] TokenId id_of_part(const std::string& part) const;

  std::unordered_map<std::string, TokenId> vocabulary_;
  std::unordered_map<std::uint64_t, Merge> merges_;  ///< by pair_key
  WholeWords whole_words_;
};

}  // namespace shoal::text

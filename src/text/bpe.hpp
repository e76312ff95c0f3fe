// Byte-pair encoding: joins the neighbouring pair with the lowest merge rank until none is left (Sennrich et al. 2016).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "shoal/ids.hpp"

namespace shoal::text {

/// Looks strings up without copying them.
struct StringHash : std::hash<std::string_view> {
  using is_transparent = void;
};
using PieceIds = std::unordered_map<std::string, TokenId, StringHash, std::equal_to<>>;

using Merges = std::vector<std::pair<std::string, std::string>>;  ///< by falling priority

struct BpeParts {
  PieceIds vocabulary;
  Merges merges;
  bool ignore_merges = false;          ///< a word that is a token as a whole stays one
  bool byte_fallback = false;          ///< a character without a token becomes the tokens <0x00> .. <0xFF> of its bytes
  bool fuse_unknown = false;           ///< neighbouring unknown characters become one unknown token
  std::optional<std::string> unknown;  ///< stands for a character without a token; none = it is dropped
};

class Bpe {
 public:
  /// @throws ModelError if a merge or the unknown token names a piece that the vocabulary lacks
  explicit Bpe(BpeParts parts);

  /// Appends the tokens of @p word. Takes O(n log n): SentencePiece-style models give whole texts as one word.
  void encode(std::string_view word, std::vector<TokenId>* ids) const;
  [[nodiscard]] const PieceIds& vocabulary() const { return vocabulary_; }

 private:
  struct Merge {
    TokenId left;
    TokenId right;
    TokenId result;
  };
  class Merger;

  void find_joints();
  [[nodiscard]] TokenId id_of_part(const std::string& part) const;
  [[nodiscard]] std::optional<std::uint32_t> rank_of(TokenId left, TokenId right) const;
  [[nodiscard]] std::vector<TokenId> initial_tokens(std::string_view word) const;
  bool append_bytes(std::string_view character, std::vector<TokenId>* ids) const;

  PieceIds vocabulary_;
  std::vector<Merge> merges_;                                ///< by rank
  std::unordered_map<std::uint64_t, std::uint32_t> ranks_;   ///< by pair_key
  std::optional<std::unordered_set<std::uint64_t>> joints_;  ///< initial tokens that may be joined; none = any
  std::vector<TokenId> byte_tokens_;  ///< by byte, -1 where there is none; empty without byte fallback
  std::optional<TokenId> unknown_;
  bool fuse_unknown_;
  bool ignore_merges_;
};

}  // namespace shoal::text

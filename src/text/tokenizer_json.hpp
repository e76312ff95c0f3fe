// TokenizerJson: a tokenizer.json whose two long tables, the vocabulary and the merges, are read straight into the form
// that is needed: as JSON values they would take several times as long (150,000 of each are common).
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "text/bpe.hpp"

namespace shoal::text {

struct TokenizerJson {
  nlohmann::json rest;                 ///< the file without the tables
  std::optional<PieceIds> vocabulary;  ///< model.vocab, if it is an object
  std::optional<Merges> merges;        ///< model.merges, if it is an array
};

/// @throws nlohmann::json::exception if it is not JSON; ModelError for what cannot be in a table, or for brackets
/// nested
///         too deeply
TokenizerJson read_tokenizer_json(std::string_view text);

TokenId token_id_of(const nlohmann::json& id, const std::string& piece);

}  // namespace shoal::text

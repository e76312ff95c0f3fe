// The text that `score` and `tokenize` work on.
#pragma once

#include <string>
#include <vector>

#include "shoal/ids.hpp"

namespace shoal::app {

/// Exactly one of @p text and @p file must be given (not empty).
/// @throws UsageError
std::string input_text(const std::string& text, const std::string& file, bool text_given);

/// "1,2,3" as token ids in [0, vocabulary_size).
/// @throws UsageError naming the bad entry
std::vector<TokenId> parse_ids(const std::string& list, int vocabulary_size, const std::string& option);

std::string read_text_file(const std::string& path, const std::string& option);

}  // namespace shoal::app

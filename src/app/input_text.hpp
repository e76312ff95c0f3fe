// The text that `score` and `tokenize` work on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/command_line.hpp"
#include "shoal/ids.hpp"

namespace shoal::app {

/// --text or --file.
struct TextInput {
  std::optional<std::string> text;
  std::string file;

  [[nodiscard]] bool given() const { return text || !file.empty(); }
  /// @throws UsageError unless exactly one is given, and readable
  [[nodiscard]] std::string read() const;
};
void add_text_options(OptionSet* set, TextInput* target);

/// "1,2,3" as token ids in [0, vocabulary_size).
/// @throws UsageError naming the bad entry
std::vector<TokenId> parse_ids(const std::string& list, int vocabulary_size, const std::string& option);

std::string read_text_file(const std::string& path, const std::string& option);

}  // namespace shoal::app

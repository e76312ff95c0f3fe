// A job of many quick batches, for tests that interrupt it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/program.hpp"

namespace shoal::test {

/// Its files and its arguments.
class LongJob {
 public:
  /// Rarely ends a text before @p max_tokens.
  explicit LongJob(int max_tokens = 2500) : LongJob(max_tokens, "0.001", "0.399", "0.799") {}
  /// For jobs that only an interruption ends.
  static LongJob endless() { return LongJob(1'000'000, "0", "0.4", "0.8"); }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_.path(name); }
  [[nodiscard]] const TemporaryFolder& folder() const { return folder_; }
  [[nodiscard]] std::vector<std::string> arguments(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"generate",
                                       "--model",
                                       "tabular:" + language_,
                                       "--prompt",
                                       "ab",
                                       "--particles",
                                       "24",
                                       "--batch-size",
                                       "6",
                                       "--max-tokens",
                                       std::to_string(max_tokens_),
                                       "--style",
                                       style_,
                                       "--json",
                                       "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

 private:
  /// @param end probability of the end of a text, @p c1 and @p c2 what it leaves to a letter
  LongJob(int max_tokens, const std::string& end, const std::string& c1, const std::string& c2)
      : max_tokens_(max_tokens),
        language_(folder_.write("language.json", R"({"tokens": ["a", "b", "c", "</s>"], "end": "</s>",
            "table": {"": {"a": 0.3, "b": 0.3, "c": )" +
                                                     c1 + R"(, "</s>": )" + end + R"(},
                      "a": {"a": 0.2, "b": 0.5, "c": 0.3},
                      "b a": {"a": 0.1, "b": 0.1, "c": )" +
                                                     c2 + R"(, "</s>": )" + end + "}}}")) {}

  int max_tokens_;
  TemporaryFolder folder_;
  std::string language_;
  std::string style_ = folder_.write("style.json", R"({"name": "s", "patterns": [
      {"pattern": "ab", "log_weight": 0.3, "max_count": 60000},
      {"pattern": "cc", "log_weight": -0.4, "max_count": 60000}]})");
};

/// What must not depend on ranks, interruptions and time.
inline nlohmann::json comparable(const std::string& output) {
  nlohmann::json j = nlohmann::json::parse(output);
  for (const char* key : {"timing", "ranks", "trace"}) j.erase(key);
  return j;
}

}  // namespace shoal::test

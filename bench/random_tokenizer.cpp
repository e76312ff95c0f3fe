#include "random_tokenizer.hpp"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <unordered_set>
#include <vector>

#include "text/byte_level.hpp"

namespace shoal::bench {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t longest = 14;
constexpr const char* qwen2_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Pieces {
  std::vector<std::string> tokens;  ///< by id
  std::vector<std::string> merges;
};

/// Joins of random letters and earlier joins.
Pieces random_pieces(int count) {
  Pieces pieces;
  for (int byte = 0; byte < 256; ++byte)
    pieces.tokens.push_back(text::to_byte_level(std::string(1, static_cast<char>(byte))));
  std::vector<std::string> parts{pieces.tokens[' ']};
  for (char c = 'a'; c <= 'z'; ++c) parts.emplace_back(1, c);
  std::unordered_set<std::string> known(pieces.tokens.begin(), pieces.tokens.end());
  std::mt19937_64 random(1);
  while (pieces.tokens.size() < static_cast<std::size_t>(count)) {
    const std::string& left = parts[random() % parts.size()];
    const std::string& right = parts[random() % std::min<std::size_t>(parts.size(), 2000)];
    std::string joined = left + right;
    if (joined.size() > longest || !known.insert(joined).second) continue;
    pieces.merges.push_back(left + " " + right);
    pieces.tokens.push_back(joined);
    parts.push_back(std::move(joined));
  }
  return pieces;
}

}  // namespace

void write_random_tokenizer(int tokens, const std::filesystem::path& file) {
  const ordered_json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
  const ordered_json split = {
      {"type", "Split"}, {"pattern", {{"Regex", qwen2_pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  const Pieces pieces = random_pieces(tokens);
  std::string vocabulary;
  for (std::size_t id = 0; id < pieces.tokens.size(); ++id)
    vocabulary += (id > 0 ? ",\n" : "") + ordered_json(pieces.tokens[id]).dump() + ": " + std::to_string(id);
  std::ofstream(file) << R"({"version": "1.0", "added_tokens": [], "normalizer": {"type": "NFC"},)"
                      << R"( "pre_tokenizer": {"type": "Sequence", "pretokenizers": [)" << split << ", " << byte_level
                      << R"(]}, "post_processor": )" << byte_level << R"(, "decoder": )" << byte_level
                      << R"(, "model": {"type": "BPE", "vocab": {)" << vocabulary << R"(}, "merges": )"
                      << ordered_json(pieces.merges).dump(0) << "}}\n";
}

}  // namespace shoal::bench

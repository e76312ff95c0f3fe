// Reads tokenizer.json, refusing by name what it does not know.
#include <fstream>
#include <nlohmann/json.hpp>

#include "shoal/error.hpp"
#include "text/tokenizer.hpp"

namespace shoal::text {
namespace {

using nlohmann::json;

/// Splits words the way GPT-2 does (ByteLevel with use_regex).
const char* const gpt2_pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// Thrown inside the reader; the caller adds the file's name.
struct Problem {
  std::string text;
};

Problem unsupported(const std::string& component, const std::string& type) {
  return {component + " '" + type + "' is not supported"};
}

std::string type_of(const json& part) { return part.value("type", std::string("null")); }

/// A list of parts: a Sequence's members, the part itself, or nothing.
std::vector<json> flattened(const json& part, const char* members) {
  if (part.is_null()) return {};
  if (type_of(part) != "Sequence") return {part};
  std::vector<json> all;
  for (const json& member : part.at(members)) {
    const auto inner = flattened(member, members);
    all.insert(all.end(), inner.begin(), inner.end());
  }
  return all;
}

NormalForm normalizer_of(const json& part) {
  const std::string type = type_of(part);
  if (type == "NFC") return NormalForm::nfc;
  if (type == "NFD") return NormalForm::nfd;
  if (type == "NFKC") return NormalForm::nfkc;
  if (type == "NFKD") return NormalForm::nfkd;
  throw unsupported("normalizer", type);
}

MatchRule match_rule_of(const json& part) {
  const std::string behavior = part.at("behavior");
  if (part.value("invert", false)) throw unsupported("inverted split with behavior", behavior);
  if (behavior == "Isolated") return MatchRule::isolated;
  if (behavior == "Removed") return MatchRule::removed;
  throw unsupported("split behavior", behavior);
}

std::string pattern_of(const json& pattern) {
  if (pattern.contains("Regex")) return pattern.at("Regex");
  return quoted_pattern(pattern.at("String").get<std::string>());
}

PreTokenizerStep pre_tokenizer_of(const json& part) {
  const std::string type = type_of(part);
  PreTokenizerStep step;
  if (type == "ByteLevel") {
    if (part.value("add_prefix_space", true)) step.prefix_space = PrefixSpace::add;
    if (part.value("use_regex", true)) step.splitter.emplace(gpt2_pattern, MatchRule::isolated);
    step.byte_level = true;
  } else if (type == "Split") {
    step.splitter.emplace(pattern_of(part.at("pattern")), match_rule_of(part));
  } else if (type == "Digits") {
    step.splitter.emplace(part.value("individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)", MatchRule::isolated);
  } else {
    throw unsupported("pre-tokenizer", type);
  }
  return step;
}

std::pair<std::string, std::string> merge_of(const json& merge) {
  if (merge.is_array()) return {merge.at(0), merge.at(1)};
  const std::string text = merge;
  const auto space = text.find(' ');
  if (space == std::string::npos) throw Problem{"merge '" + text + "' is not a pair"};
  return {text.substr(0, space), text.substr(space + 1)};
}

void read_model(const json& model, TokenizerParts* parts) {
  if (const std::string type = model.value("type", std::string("BPE")); type != "BPE") throw unsupported("model", type);
  for (const char* key : {"unk_token", "continuing_subword_prefix", "end_of_word_suffix", "dropout"}) {
    if (model.contains(key) && !model.at(key).is_null() && model.at(key) != "") throw unsupported("BPE option", key);
  }
  if (model.value("byte_fallback", false)) throw unsupported("BPE option", "byte_fallback");
  for (const auto& [piece, id] : model.at("vocab").items()) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() > 10'000'000)
      throw Problem{"the id of piece '" + piece + "' is not a token id"};
    parts->vocabulary.emplace(piece, TokenId{id.get<std::int32_t>()});
  }
  for (const json& merge : model.at("merges")) parts->merges.push_back(merge_of(merge));
  if (model.value("ignore_merges", false)) parts->whole_words = Bpe::WholeWords::look_up;
}

AddedToken added_token_of(const json& token) {
  const auto id = token.at("id").get<std::int32_t>();
  if (id < 0 || id > 10'000'000) throw Problem{"an added token has the id " + std::to_string(id)};
  return {TokenId{id},
          token.at("content"),
          token.value("single_word", false),
          token.value("lstrip", false),
          token.value("rstrip", false),
          token.value("normalized", false),
          token.value("special", false)};
}

/// TemplateProcessing's "single" template: special tokens before and after the text.
void read_template(const json& part, TokenizerParts* parts) {
  std::vector<TokenId>* side = &parts->before;
  for (const json& item : part.at("single")) {
    if (item.contains("Sequence")) {
      side = &parts->after;
      continue;
    }
    const std::string name = item.at("SpecialToken").at("id");
    for (const json& id : part.at("special_tokens").at(name).at("ids"))
      side->push_back(TokenId{id.get<std::int32_t>()});
  }
}

void read_post_processor(const json& part, TokenizerParts* parts) {
  for (const json& step : flattened(part, "processors")) {
    const std::string type = type_of(step);
    if (type == "TemplateProcessing")
      read_template(step, parts);
    else if (type != "ByteLevel")
      throw unsupported("post-processor", type);
  }
}

TokenizerParts read_parts(const json& file) {
  TokenizerParts parts;
  for (const json& part : flattened(file.value("normalizer", json()), "normalizers"))
    parts.normalizers.push_back(normalizer_of(part));
  for (const json& part : flattened(file.value("pre_tokenizer", json()), "pretokenizers"))
    parts.pre_tokenizers.push_back(pre_tokenizer_of(part));
  for (const json& part : flattened(file.value("decoder", json()), "decoders")) {
    if (type_of(part) != "ByteLevel") throw unsupported("decoder", type_of(part));
  }
  read_model(file.at("model"), &parts);
  const bool byte_level = std::any_of(parts.pre_tokenizers.begin(), parts.pre_tokenizers.end(),
                                      [](const PreTokenizerStep& step) { return step.byte_level; });
  if (!byte_level) throw Problem{"only byte-level BPE is supported"};
  for (const json& token : file.value("added_tokens", json::array())) parts.added.push_back(added_token_of(token));
  read_post_processor(file.value("post_processor", json()), &parts);
  return parts;
}

}  // namespace

Tokenizer Tokenizer::load(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const auto refuse = [&](const std::string& why) {
    return ModelError("cannot load tokenizer " + path.string() + " (" + why +
                      ") use a checkpoint with a byte-level BPE tokenizer.json");
  };
  if (!in) throw refuse("the file is missing or cannot be read");
  try {
    return Tokenizer(read_parts(json::parse(in)));
  } catch (const json::exception& error) {
    throw refuse(error.what());
  } catch (const Problem& problem) {
    throw refuse(problem.text);
  }
}

}  // namespace shoal::text

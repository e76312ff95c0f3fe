// Reads tokenizer.json, refusing by name what it does not know. Problems are thrown as bare ModelErrors here;
// Tokenizer::parse adds the file's name.
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "shoal/error.hpp"
#include "text/tokenizer.hpp"
#include "text/tokenizer_json.hpp"

namespace shoal::text {
namespace {

using nlohmann::json;

/// Splits words the way GPT-2 does (ByteLevel with use_regex).
const char* const gpt2_pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

ModelError unsupported(const std::string& component, const std::string& type) {
  return ModelError(component + " '" + type + "' is not supported");
}

/// A member of @p object; null if there is none.
const json& member(const json& object, const char* name) {
  static const json none;
  const auto found = object.find(name);
  return found == object.end() ? none : *found;
}

std::string type_of(const json& part) { return part.value("type", std::string("null")); }

/// Calls @p read with each step of a part: a Sequence's members, the part itself, or nothing.
template <class Read>
void for_each_step(const json& part, const char* members, const Read& read) {
  if (part.is_null()) return;
  if (type_of(part) != "Sequence") return read(part);
  for (const json& inner : part.at(members)) for_each_step(inner, members, read);
}

std::size_t count_of(const json& part, const char* name) {
  const json& count = part.at(name);
  if (!count.is_number_unsigned()) throw ModelError(type_of(part) + ": '" + name + "' is not a count");
  return count.get<std::size_t>();
}

Pattern pattern_of(const json& pattern) {
  if (pattern.contains("Regex")) return Pattern::regex(pattern.at("Regex").get<std::string>());
  return Pattern::literal(pattern.at("String").get<std::string>());
}

Replace replace_of(const json& part) { return {pattern_of(part.at("pattern")), part.at("content")}; }

/// A part's only character.
std::string character_of(const json& part, const char* name) {
  const std::string text = part.at(name);
  if (text.empty() || first_character(text).size() != text.size())
    throw ModelError(type_of(part) + ": '" + name + "' is not one character");
  return text;
}

Normalizer normalizer_of(const json& part) {
  const std::string type = type_of(part);
  if (type == "NFC") return NormalForm::nfc;
  if (type == "NFD") return NormalForm::nfd;
  if (type == "NFKC") return NormalForm::nfkc;
  if (type == "NFKD") return NormalForm::nfkd;
  if (type == "Lowercase") return Lowercase{};
  if (type == "Strip") return StripSpace{part.at("strip_left"), part.at("strip_right")};
  if (type == "Prepend") return Prepend{part.at("prepend")};
  if (type == "Replace") return replace_of(part);
  throw unsupported("normalizer", type);
}

SplitRule split_rule_of(const std::string& behavior) {
  if (behavior == "Isolated") return SplitRule::isolated;
  if (behavior == "Removed") return SplitRule::removed;
  if (behavior == "MergedWithPrevious") return SplitRule::merged_with_previous;
  if (behavior == "MergedWithNext") return SplitRule::merged_with_next;
  if (behavior == "Contiguous") return SplitRule::contiguous;
  throw unsupported("split behavior", behavior);
}

Metaspace::Prepend prepend_of(const json& part) {
  // Files from before prepend_scheme say add_prefix_space.
  const std::string scheme = part.value("prepend_scheme", part.value("add_prefix_space", true) ? "always" : "never");
  if (scheme == "always") return Metaspace::Prepend::always;
  if (scheme == "first") return Metaspace::Prepend::first;
  if (scheme == "never") return Metaspace::Prepend::never;
  throw unsupported("prepend_scheme", scheme);
}

Metaspace metaspace_of(const json& part) {
  const std::string replacement = character_of(part, "replacement");
  Metaspace step{replacement, prepend_of(part), std::nullopt};
  if (part.value("split", true)) step.word_beginnings = Pattern::literal(replacement);
  return step;
}

ByteLevel byte_level_of(const json& part) {
  ByteLevel step;
  step.add_prefix_space = part.value("add_prefix_space", true);
  if (part.value("use_regex", true)) step.words = Pattern::regex(gpt2_pattern);
  return step;
}

PreTokenizer pre_tokenizer_of(const json& part) {
  const std::string type = type_of(part);
  if (type == "ByteLevel") return byte_level_of(part);
  if (type == "Metaspace") return metaspace_of(part);
  if (type == "Split")
    return Split{pattern_of(part.at("pattern")), split_rule_of(part.at("behavior")),
                 part.value("invert", false) ? SplitAt::gaps : SplitAt::matches};
  if (type == "Digits")
    return Split{Pattern::regex(R"(\p{N})"),
                 part.value("individual_digits", false) ? SplitRule::isolated : SplitRule::contiguous,
                 SplitAt::matches};
  throw unsupported("pre-tokenizer", type);
}

DecoderStep decoder_step_of(const json& part) {
  const std::string type = type_of(part);
  if (type == "ByteLevel") return FromByteLevel{};
  if (type == "ByteFallback") return FromByteTokens{};
  if (type == "Fuse") return Fuse{};
  if (type == "Replace") return replace_of(part);
  if (type == "Strip")
    return StripCharacter{character_of(part, "content"), count_of(part, "start"), count_of(part, "stop")};
  if (type == "Metaspace")
    return FromMetaspace{character_of(part, "replacement"), prepend_of(part) != Metaspace::Prepend::never};
  throw unsupported("decoder", type);
}

std::vector<DecoderStep> decoder_of(const json& part) {
  if (part.is_null()) throw unsupported("decoder", "null");
  std::vector<DecoderStep> steps;
  for_each_step(part, "decoders", [&](const json& step) { steps.push_back(decoder_step_of(step)); });
  return steps;
}

BpeParts bpe_of(const json& model, TokenizerJson* file) {
  if (const std::string type = model.value("type", std::string("BPE")); type != "BPE") throw unsupported("model", type);
  for (const char* option : {"continuing_subword_prefix", "end_of_word_suffix", "dropout"})
    if (const json& value = member(model, option); !value.is_null() && value != "" && value != 0.0)
      throw unsupported("BPE option", option);
  BpeParts parts;
  if (!file->vocabulary || !file->merges) throw ModelError("the model has no table of its vocabulary or merges");
  parts.vocabulary = std::move(*file->vocabulary);
  parts.merges = std::move(*file->merges);
  parts.ignore_merges = model.value("ignore_merges", false);
  parts.byte_fallback = model.value("byte_fallback", false);
  parts.fuse_unknown = model.value("fuse_unk", false);
  if (const json& unknown = member(model, "unk_token"); !unknown.is_null() && unknown != "")
    parts.unknown = unknown.get<std::string>();
  return parts;
}

AddedToken added_token_of(const json& token) {
  const std::string content = token.at("content");
  return {token_id_of(token.at("id"), content), content,
          token.value("single_word", false),    token.value("lstrip", false),
          token.value("rstrip", false),         token.value("normalized", false),
          token.value("special", false)};
}

/// TemplateProcessing's "single" template: special tokens before and after the text.
void read_template(const json& part, TokenizerParts* parts) {
  int texts = 0;
  for (const json& item : part.at("single")) {
    if (item.contains("Sequence")) {
      ++texts;
      continue;
    }
    const std::string name = item.at("SpecialToken").at("id");
    for (const json& id : part.at("special_tokens").at(name).at("ids"))
      (texts == 0 ? parts->before : parts->after).push_back(token_id_of(id, name));
  }
  if (texts != 1) throw ModelError("TemplateProcessing does not hold the text once");
}

/// RobertaProcessing and BertProcessing: "cls" before and "sep" after the text, each [piece, id].
void read_ends(const json& part, TokenizerParts* parts) {
  parts->before.push_back(token_id_of(part.at("cls").at(1), "cls"));
  parts->after.push_back(token_id_of(part.at("sep").at(1), "sep"));
}

void read_post_processor(const json& part, TokenizerParts* parts) {
  int with_tokens = 0;
  for_each_step(part, "processors", [&](const json& step) {
    const std::string type = type_of(step);
    if (type == "ByteLevel") return;  // concerns offsets only
    if (++with_tokens > 1) throw unsupported("second post-processor", type);
    if (type == "TemplateProcessing") return read_template(step, parts);
    if (type == "RobertaProcessing" || type == "BertProcessing") return read_ends(step, parts);
    throw unsupported("post-processor", type);
  });
}

TokenizerParts parts_of(TokenizerJson read) {
  const json& file = read.rest;
  TokenizerParts parts;
  for_each_step(member(file, "normalizer"), "normalizers",
                [&](const json& step) { parts.normalizers.push_back(normalizer_of(step)); });
  for_each_step(member(file, "pre_tokenizer"), "pretokenizers",
                [&](const json& step) { parts.pre_tokenizers.push_back(pre_tokenizer_of(step)); });
  parts.decoder = decoder_of(member(file, "decoder"));
  parts.bpe = bpe_of(file.at("model"), &read);
  if (const json& added = member(file, "added_tokens"); !added.is_null())
    for (const json& token : added) parts.added.push_back(added_token_of(token));
  read_post_processor(member(file, "post_processor"), &parts);
  return parts;
}

/// @param why may quote the file: it becomes one line that can be read
ModelError refusal(const std::string& name, std::string why) {
  std::replace_if(
      why.begin(), why.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
  constexpr std::size_t most = 300;
  if (why.size() > most) why = why.substr(0, most) + "...";
  return ModelError("cannot load tokenizer " + name + " (" + why +
                    ") use a checkpoint with a BPE tokenizer.json, as Gemma, GPT-2, Llama, Mistral, Phi and Qwen have");
}

}  // namespace

Tokenizer Tokenizer::parse(std::string_view json_text, const std::string& name) {
  try {
    return Tokenizer(parts_of(read_tokenizer_json(json_text)));
  } catch (const json::exception& error) {
    throw refusal(name, error.what());
  } catch (const ModelError& error) {
    throw refusal(name, error.what());
  }
}

Tokenizer Tokenizer::load(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in)
    throw ModelError("cannot load tokenizer " + file.string() +
                     " (the file is missing or cannot be read) let transformers write it: "
                     "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)");
  std::ostringstream text;
  text << in.rdbuf();
  return parse(text.view(), file.string());
}

}  // namespace shoal::text

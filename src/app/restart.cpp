#include "app/restart.hpp"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/input_text.hpp"
#include "base/build_info.hpp"

namespace shoal::app {
namespace {

using Json = nlohmann::json;

/// Of the options in to_json, those that change the result and speak for themselves.
constexpr const char* plain_options[] = {
    "particles", "batch_size", "max_tokens", "seed",  "temperature", "top_k",      "top_p",         "min_p",
    "stop",      "proposal",   "resampling", "regex", "style",       "early_stop", "ess_threshold", "potentials"};

std::string option_name(std::string key) {
  std::replace(key.begin(), key.end(), '_', '-');
  return "--" + key;
}

std::string value_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value == Json::array() ? "" : value.dump();
}

/// A file's name says nothing of its content.
std::string file_content(const std::string& file) {
  if (file.empty() || !std::filesystem::is_regular_file(file)) return "";
  return trace::fingerprint({{"", read_text_file(file, "style")}});
}

std::string prompt_text(std::span<const TokenId> prompt) {
  std::string ids;
  for (const TokenId id : prompt) ids += std::to_string(id.value()) + ",";
  return std::to_string(prompt.size()) + " tokens with hash " + trace::fingerprint({{"prompt", ids}});
}

}  // namespace

trace::RunIdentity identity_of(const GenerateOptions& options) {
  const Json json = Json::parse(to_json(options));
  trace::RunIdentity identity;
  identity.emplace_back("the version of shoal", build_info().version);
  for (const char* key : plain_options) identity.emplace_back(option_name(key), value_text(json.at(key)));
  for (const std::string& style : options.style) identity.emplace_back("the content of " + style, file_content(style));
  identity.emplace_back("the content of --potentials", file_content(options.potentials_file));
  return identity;
}

trace::RunIdentity identity_of(const LanguageModel& model, std::span<const TokenId> prompt) {
  const ModelSummary& summary = model.summary();
  return {{"the content of --model", summary.hash},
          {"--dtype", summary.dtype},
          {"--kv-dtype", summary.kv_dtype},
          {"--device", summary.device},
          {"--isa", summary.isa},
          {"the prompt", prompt_text(prompt)}};
}

}  // namespace shoal::app

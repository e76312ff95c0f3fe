#include "app/generate_job.hpp"

#include <ctime>

#include "shoal/error.hpp"

namespace shoal::app {
namespace {

std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && word.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789-_=+./:,@%") == std::string::npos;
  if (plain) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

OptionSet generate_option_set(GenerateOptions* target) {
  OptionSet set;
  add_generation_options(&set, target, OutputOptions::full);
  return set;
}

GenerateJob parse_generate_job(const std::vector<std::string>& arguments) {
  GenerateJob job;
  job.parsed = parse(arguments, generate_option_set(&job.options), "generate");
  if (job.parsed == Parsed::help_wanted) return job;
  if (job.options.prompt.empty() && job.options.prompt_file.empty() && !job.options.model.starts_with("tabular:"))
    throw UsageError("no prompt (neither --prompt nor --prompt-file is given) give --prompt TEXT");
  validate(&job.options);
  job.potentials = make_potentials(job.options);
  return job;
}

std::vector<TokenId> encode_prompt(const LanguageModel& model, const GenerateOptions& options) {
  if (options.raw_prompt || !model.has_chat_template()) {
    if (!options.system.empty())
      throw UsageError(
          "--system cannot be used (the prompt is given to the model as it is) put the text into --prompt");
    return model.encode(options.prompt, SpecialTokens::yes);
  }
  std::vector<ChatMessage> messages;
  if (!options.system.empty()) messages.push_back({"system", options.system});
  messages.push_back({"user", options.prompt});
  return model.encode(model.render_chat(messages), SpecialTokens::no);
}

std::string shell_line(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + quoted(word);
  return line;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

}  // namespace shoal::app

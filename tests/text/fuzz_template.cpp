// Fuzz target: chat templates. The input is a template, then maybe a zero byte and the content of a message.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "shoal/error.hpp"
#include "text/chat_template.hpp"
#include "text/unicode.hpp"

namespace {

using Json = nlohmann::ordered_json;
using shoal::text::ChatTemplate;

Json conversation(const std::string& content) {
  const Json parameters = {{"type", "object"}, {"properties", {{"place", {{"type", {"string", "null"}}}}}}};
  const Json call = {{"id", "abcdefghi"}, {"function", {{"name", "f"}, {"arguments", {{"place", "Rom"}}}}}};
  return {{"messages",
           {{{"role", "system"}, {"content", " S\n"}},
            {{"role", "user"}, {"content", content}},
            {{"role", "assistant"}, {"content", ""}, {"tool_calls", {call}}},
            {{"role", "tool"}, {"content", 1.5}}}},
          {"add_generation_prompt", true},
          {"bos_token", "<s>"},
          {"eos_token", "</s>"},
          {"tools", {{{"type", "function"}, {"function", {{"name", "f"}, {"parameters", parameters}}}}}}};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const std::size_t zero = std::min(input.find('\0'), size);
  const std::string content = input.substr(std::min(zero + 1, size));
  try {
    const std::string text = ChatTemplate(input.substr(0, zero)).render(conversation(content));
    if (!shoal::text::first_invalid_utf8(content) && shoal::text::first_invalid_utf8(text)) std::abort();
  } catch (const shoal::ModelError&) {
  } catch (const shoal::UsageError&) {
  }
  return 0;
}

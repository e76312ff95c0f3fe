// ChatTemplate: renders a conversation the way a checkpoint's own Jinja template does under transformers.
#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace shoal::text {

class ChatTemplate {
 public:
  /// @throws ModelError naming the line and what is not supported
  explicit ChatTemplate(std::string_view source);

  /// @param variables an object: messages, add_generation_prompt, bos_token, ...; tools and documents are none unless
  ///                  given, as under transformers
  /// @param now what a template that writes the date takes for it, in local time
  /// @throws UsageError with the template's own words if it raises an exception (e.g. a role that it does not know);
  ///         ModelError for what the template needs and we do not support
  [[nodiscard]] std::string render(const nlohmann::ordered_json& variables,
                                   std::chrono::system_clock::time_point now = std::chrono::system_clock::now()) const;

 private:
  struct Program;
  std::shared_ptr<const Program> program_;
};

}  // namespace shoal::text

// ChatTemplate: renders a conversation the way a checkpoint's own Jinja template does under transformers.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace shoal::text {

class ChatTemplate {
 public:
  /// @throws ModelError naming the line and what is not supported
  explicit ChatTemplate(std::string_view source);

  /// @param variables an object: messages, add_generation_prompt, bos_token, ...
  /// @throws UsageError with the template's own words if it raises an exception (e.g. a role that it does not know);
  ///         ModelError for what the template needs and we do not support
  [[nodiscard]] std::string render(const nlohmann::ordered_json& variables) const;

 private:
  struct Program;
  std::shared_ptr<const Program> program_;
};

}  // namespace shoal::text

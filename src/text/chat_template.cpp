#include "text/chat_template.hpp"

#include <nlohmann/json.hpp>

#include "shoal/error.hpp"
#include "text/template_renderer.hpp"
#include "text/template_syntax.hpp"
#include "text/unicode.hpp"

namespace shoal::text {
namespace {

ModelError unsupported(const TemplateError& error) {
  return ModelError("cannot use the chat template (" + std::string(error.what()) +
                    ") give the prompt as it is with --raw-prompt");
}

}  // namespace

struct ChatTemplate::Program {
  std::vector<Statement> statements;
};

ChatTemplate::ChatTemplate(std::string_view source) {
  try {
    if (first_invalid_utf8(source)) throw TemplateError("it is not UTF-8");
    program_ = std::make_shared<const Program>(Program{parse_template(source)});
  } catch (const TemplateError& error) {
    throw unsupported(error);
  }
}

std::string ChatTemplate::render(const nlohmann::ordered_json& variables,
                                 std::chrono::system_clock::time_point now) const {
  nlohmann::ordered_json all = {{"tools", nullptr}, {"documents", nullptr}};
  all.update(variables);
  try {
    return render_template(program_->statements, TemplateValue::from_json(all), now);
  } catch (const TemplateRaised& raised) {
    throw UsageError("the chat template refuses the conversation (" + raised.message + ") change the messages");
  } catch (const TemplateError& error) {
    throw unsupported(error);
  }
}

}  // namespace shoal::text

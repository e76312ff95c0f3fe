// Runs a parsed chat template.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "text/template_syntax.hpp"
#include "text/template_value.hpp"

namespace shoal::text {

/// The template called raise_exception(message).
struct TemplateRaised {
  std::string message;
};

/// @param variables a dict  @param now what strftime_now tells
/// @throws TemplateRaised; TemplateError with the line, also when the template works for too long or writes too much
std::string render_template(const std::vector<Statement>& program, const TemplateValue& variables,
                            std::chrono::system_clock::time_point now);

}  // namespace shoal::text

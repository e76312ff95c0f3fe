// What chat templates can do with values: operators, filters, tests and methods, as Jinja and Python define them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "text/template_syntax.hpp"

namespace shoal::text {

inline TemplateValue undefined() { return TemplateValue(TemplateValue::value_t::discarded); }

bool is_true(const TemplateValue& value);
/// As Python's str().
std::string to_text(const TemplateValue& value);

/// All throw TemplateError where Jinja would raise, or for a name that is not known.
TemplateValue binary_operation(const std::string& name, const TemplateValue& left, const TemplateValue& right);
TemplateValue item_of(const TemplateValue& value, const TemplateValue& key);
TemplateValue slice_of(const TemplateValue& value, std::span<const TemplateValue> bounds);
TemplateValue apply_filter(const std::string& name, const TemplateValue& value,
                           std::span<const TemplateValue> arguments);
bool apply_test(const std::string& name, const TemplateValue& value, std::span<const TemplateValue> arguments);
TemplateValue call_method(const TemplateValue& object, const std::string& name,
                          std::span<const TemplateValue> arguments);

}  // namespace shoal::text

// What chat templates can do with values: operators, members, filters, tests and methods, as Jinja and Python define
// them.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/template_value.hpp"

namespace shoal::text {

/// Arguments of a call, by position and by name.
struct TemplateArguments {
  TemplateValues positional;
  TemplateValue::Entries named;

  /// @throws TemplateError if there are more than these parameters, or others
  void expect(std::initializer_list<std::string_view> parameters) const;
  /// The argument for a parameter; null if it was not given.
  [[nodiscard]] const TemplateValue* find(std::size_t position, std::string_view name) const;
  [[nodiscard]] TemplateValue get(std::size_t position, std::string_view name, TemplateValue otherwise) const;
  /// @throws TemplateError if it was not given
  [[nodiscard]] const TemplateValue& need(std::size_t position, std::string_view name) const;
};

// All throw TemplateError where Jinja would raise, or for a name that is not supported.

TemplateValue binary_operation(std::string_view sign, const TemplateValue& left, const TemplateValue& right);
TemplateValue unary_operation(std::string_view sign, const TemplateValue& value);
bool compare(std::string_view sign, const TemplateValue& left, const TemplateValue& right);

/// value.name
TemplateValue attribute_of(const TemplateValue& value, const std::string& name);
/// value[key]
TemplateValue item_of(const TemplateValue& value, const TemplateValue& key);
/// value[bounds[0]:bounds[1]:bounds[2]], none for a missing bound
TemplateValue slice_of(const TemplateValue& value, const TemplateValues& bounds);

TemplateValue apply_filter(const std::string& name, const TemplateValue& value, const TemplateArguments& arguments);
bool apply_test(const std::string& name, const TemplateValue& value, const TemplateArguments& arguments);
TemplateValue call_method(const TemplateValue& object, const std::string& name, const TemplateArguments& arguments);

// Shared by filters and methods.
std::string replaced(std::string_view text, std::string_view from, std::string_view to, std::int64_t most);
std::string joined(const TemplateValues& items, std::string_view separator);

}  // namespace shoal::text

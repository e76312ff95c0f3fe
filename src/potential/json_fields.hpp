// One JSON object of a user's file: typed access to its members, with errors that name the member.
#pragma once

#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace shoal {

/// @param file_kind how errors call the text, such as "potentials file"
/// @throws UsageError with line and column where the text is not JSON
nlohmann::json parse_json(const std::string& text, const std::string& file_kind);

/// Refers to the value it was made from.
class JsonFields {
 public:
  /// @param where how errors call the object, such as "potentials[2]"
  /// @throws UsageError if @p value is not an object
  JsonFields(const nlohmann::json& value, std::string where);
  /// @throws UsageError also if @p value has a member that is not @p known
  JsonFields(const nlohmann::json& value, std::string where, std::initializer_list<const char*> known);

  [[nodiscard]] bool has(const std::string& key) const;
  [[nodiscard]] const std::string& where() const { return where_; }

  /// Each throws UsageError where the member is missing or of another type.
  [[nodiscard]] const nlohmann::json& value(const std::string& key) const;
  [[nodiscard]] std::string text(const std::string& key) const;
  [[nodiscard]] int integer(const std::string& key) const;
  [[nodiscard]] double number(const std::string& key) const;
  /// A number of 0 or more, or "inf".
  [[nodiscard]] double number_or_inf(const std::string& key) const;
  [[nodiscard]] const nlohmann::json& array(const std::string& key) const;
  [[nodiscard]] std::vector<std::string> texts(const std::string& key) const;

  [[noreturn]] void refuse(const std::string& key, const std::string& why, const std::string& advice) const;

 private:
  [[noreturn]] void refuse_type(const std::string& key, const nlohmann::json& found, const std::string& wanted) const;

  const nlohmann::json* object_;
  std::string where_;
};

}  // namespace shoal

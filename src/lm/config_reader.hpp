// ConfigReader: the entries of a config.json, with errors that name the file and the entry.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace shoal::lm {

class ConfigReader {
 public:
  /// @throws ModelError, as all others do
  explicit ConfigReader(const std::filesystem::path& file);

  [[nodiscard]] bool has(const std::string& key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  [[nodiscard]] bool is_null(const std::string& key) const { return json_.contains(key) && json_.at(key).is_null(); }
  [[nodiscard]] const nlohmann::json& at(const std::string& key) const { return json_.at(key); }

  template <class T>
  [[nodiscard]] T get(const std::string& key, T fallback) const {
    return has(key) ? convert<T>(key) : fallback;
  }
  [[nodiscard]] int positive(const std::string& key) const;
  [[nodiscard]] int positive(const std::string& key, int fallback) const { return has(key) ? positive(key) : fallback; }

  [[noreturn]] void fail(const std::string& why) const;
  [[noreturn]] void wrong_type(const std::string& key) const;
  /// @p what says what is there, @p instead what could be.
  [[noreturn]] void unsupported(const std::string& what, const std::string& instead) const;

 private:
  template <class T>
  [[nodiscard]] T convert(const std::string& key) const {
    try {
      return json_.at(key).get<T>();
    } catch (const nlohmann::json::exception&) {
      wrong_type(key);
    }
  }
  std::filesystem::path file_;
  nlohmann::json json_;
};

}  // namespace shoal::lm

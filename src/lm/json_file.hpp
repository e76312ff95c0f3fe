// Reading the JSON files of a checkpoint.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace shoal::lm {

/// @throws ModelError if it cannot be read
std::string read_text_file(const std::filesystem::path& path);
/// @throws ModelError naming the file if it cannot be read or is not JSON
nlohmann::json read_json_file(const std::filesystem::path& path);
/// A file's text as a line of an error can show it: quoted, control characters escaped, cut where it is long.
std::string shown(std::string_view text);

}  // namespace shoal::lm

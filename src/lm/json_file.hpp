// Reading the JSON files of a checkpoint.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace shoal::lm {

/// @throws ModelError if it cannot be read
std::string read_text_file(const std::filesystem::path& path);
/// @throws ModelError naming the file if it cannot be read or is not JSON
nlohmann::json read_json_file(const std::filesystem::path& path);

}  // namespace shoal::lm

#include "lm/json_file.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "shoal/error.hpp"

namespace shoal::lm {

std::string read_text_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf()))
    throw ModelError("cannot read " + path.string() + " (" + (errno != 0 ? std::strerror(errno) : "empty file") +
                     ") check the checkpoint folder");
  return text.str();
}

nlohmann::json read_json_file(const std::filesystem::path& path) {
  try {
    return nlohmann::json::parse(read_text_file(path));
  } catch (const nlohmann::json::parse_error& error) {
    throw ModelError("cannot read " + path.string() + " (not JSON, at byte " + std::to_string(error.byte) +
                     ") download the checkpoint again");
  }
}

}  // namespace shoal::lm

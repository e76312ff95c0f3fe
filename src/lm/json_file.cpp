#include "lm/json_file.hpp"

#include "lm/mapped_file.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {

std::string read_text_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

nlohmann::json read_json_file(const std::filesystem::path& path) {
  const std::string text = read_text_file(path);
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    throw ModelError("cannot read " + path.string() + " (" +
                     (text.empty() ? "it is empty" : "not JSON, at byte " + std::to_string(error.byte)) +
                     ") download the checkpoint again");
  } catch (const nlohmann::json::exception&) {  // a number beyond the range of a double
    throw ModelError("cannot read " + path.string() + " (not JSON) download the checkpoint again");
  }
}

std::string shown(std::string_view text) {
  constexpr std::size_t most = 80;
  const std::string cut(text.substr(0, most));
  const std::string escaped = nlohmann::json(cut).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  return "'" + escaped.substr(1, escaped.size() - 2) + (text.size() > most ? "..." : "") + "'";
}

}  // namespace shoal::lm

#include "lm/config_reader.hpp"

#include "lm/json_file.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {

ConfigReader::ConfigReader(const std::filesystem::path& file) : file_(file), json_(read_json_file(file)) {
  if (!json_.is_object()) fail("not a JSON object");
}

int ConfigReader::positive(const std::string& key) const {
  if (!has(key)) fail("no entry '" + key + "'");
  const nlohmann::json& entry = at(key);
  if (!entry.is_number_integer()) wrong_type(key);
  if (entry > 100'000'000 || entry < 1) fail("entry '" + key + "' is " + entry.dump());
  return entry.get<int>();
}

void ConfigReader::fail(const std::string& why) const {
  throw ModelError("cannot use " + file_.string() + " (" + why + ") use the config.json that came with the weights");
}

void ConfigReader::wrong_type(const std::string& key) const { fail("entry '" + key + "' has the wrong type"); }

void ConfigReader::unsupported(const std::string& what, const std::string& instead) const {
  throw ModelError(what + " is not supported (in " + file_.string() + ") use " + instead);
}

}  // namespace shoal::lm

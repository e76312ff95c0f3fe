#include "trace/trace_info.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

namespace shoal::trace {
namespace {

using Json = nlohmann::json;

/// Walks the fields once for writing and once for reading.
template <class Info, class Visit>
void for_each_field(Info& info, const Visit& visit) {
  visit("shoal_version", info.shoal_version);
  visit("build", info.build);
  visit("command_line", info.command_line);
  visit("options", info.options_json);
  visit("model_id", info.model_id);
  visit("weights_hash", info.weights_hash);
  visit("device", info.device);
  visit("start_time", info.start_time);
  visit("prompt", info.prompt);
  visit("seed", info.seed);
  visit("ranks", info.ranks);
  visit("particles", info.particles);
  visit("batch_size", info.batch_size);
  visit("potentials", info.potentials);
}

std::string usable_name(std::string name) {
  std::replace(name.begin(), name.end(), '/', '_');
  std::replace(name.begin(), name.end(), '\0', '_');
  if (name.empty()) return "potential";
  if (name.front() == '.') name.front() = '_';
  return name;
}

}  // namespace

std::string to_json(const TraceInfo& info) {
  Json json = Json::object();
  for_each_field(info, [&](const char* name, const auto& value) { json[name] = value; });
  json["isa"] = info.isa;
  json["fingerprint"] = info.fingerprint;
  json["lists_particles"] = info.lists_particles;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

TraceInfo info_from_json(std::string_view text) {
  const Json json = Json::parse(text);
  TraceInfo info;
  for_each_field(info, [&](const char* name, auto& value) { json.at(name).get_to(value); });
  info.isa = json.value("isa", "");  // absent in traces of earlier programs, as the next
  info.fingerprint = json.value("fingerprint", "");
  info.lists_particles = json.value("lists_particles", true);
  if (info.particles < 1 || info.batch_size < 1) throw std::invalid_argument("no particles");
  return info;
}

std::vector<std::string> dataset_names(const std::vector<std::string>& potentials) {
  std::set<std::string> taken;
  std::vector<std::string> names;
  for (const std::string& potential : potentials) {
    const std::string wanted = usable_name(potential);
    std::string name = wanted;
    for (int copy = 2; !taken.insert(name).second; ++copy) name = wanted + "_" + std::to_string(copy);
    names.push_back(name);
  }
  return names;
}

}  // namespace shoal::trace

#include "trace/checkpoint_layout.hpp"

#include <nlohmann/json.hpp>
#include <span>

#include "trace/content_hash.hpp"

namespace shoal::trace {

using Json = nlohmann::json;

std::uint64_t content_hash(const Checkpoint& checkpoint, const std::string& description) {
  ContentHash hash;
  hash.add(std::string_view(description));
  hash.add_all(std::span(checkpoint.prompt));
  const TraceMark mark = checkpoint.trace.value_or(TraceMark{});
  hash.add(std::uint64_t{checkpoint.trace ? 1U : 0U});
  hash.add(mark.batches);
  hash.add(mark.hash);
  hash.add(std::string_view(to_bytes(checkpoint.state)));
  return hash.value();
}

std::string describe_run(const Checkpoint& checkpoint) {
  return Json{{"info", Json::parse(to_json(checkpoint.info))}, {"identity", checkpoint.identity}}.dump(
      -1, ' ', false, Json::error_handler_t::replace);
}

void read_description(const std::string& text, Checkpoint* checkpoint) {
  const Json json = Json::parse(text);
  checkpoint->info = info_from_json(json.at("info").dump());
  json.at("identity").get_to(checkpoint->identity);
}

}  // namespace shoal::trace

#include "trace/run_identity.hpp"

#include <algorithm>
#include <cstdio>

#include "shoal/error.hpp"
#include "trace/content_hash.hpp"

namespace shoal::trace {
namespace {

constexpr std::size_t longest_shown = 60;

/// On one line, of bearable length.
std::string shown(std::string value) {
  std::replace_if(
      value.begin(), value.end(), [](unsigned char c) { return c < ' '; }, ' ');
  if (value.empty()) return "not given";
  return value.size() <= longest_shown ? "'" + value + "'" : "'" + value.substr(0, longest_shown) + "...'";
}

}  // namespace

std::string fingerprint(const RunIdentity& identity) {
  ContentHash hash;
  for (const auto& [name, value] : identity) {
    hash.add(std::string_view(name));
    hash.add(std::string_view(value));
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash.value()));
  return text;
}

void require_same_run(const RunIdentity& ours, const RunIdentity& theirs, const std::string& path) {
  for (const auto& entry : ours) {
    const auto same_name = std::find_if(theirs.begin(), theirs.end(),
                                        [&](const auto& candidate) { return candidate.first == entry.first; });
    if (same_name != theirs.end() && same_name->second == entry.second) continue;
    const std::string there = same_name == theirs.end() ? "not given" : shown(same_name->second);
    throw UsageError("cannot resume from '" + path + "' (" + entry.first + " is " + shown(entry.second) +
                     ", in the checkpoint it is " + there + ") give what the run that wrote it was given");
  }
}

}  // namespace shoal::trace

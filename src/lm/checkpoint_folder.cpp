#include "lm/checkpoint_folder.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <vector>

#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

namespace fs = std::filesystem;

std::optional<fs::path> environment_path(const char* variable) {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return fs::path(value);
}

/// `name` or `organisation/name`.
bool is_hub_id(const std::string& source) {
  const auto is_part_of_name = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
  const bool well_formed = std::all_of(
      source.begin(), source.end(), [&](char c) { return c == '/' || is_part_of_name(static_cast<unsigned char>(c)); });
  return well_formed && !source.empty() && std::count(source.begin(), source.end(), '/') <= 1 &&
         source.front() != '/' && source.front() != '.' && source.back() != '/';
}

fs::path hub_cache() {
  if (const auto cache = environment_path("HF_HUB_CACHE")) return *cache;
  if (const auto home = environment_path("HF_HOME")) return *home / "hub";
  if (const auto cache = environment_path("XDG_CACHE_HOME")) return *cache / "huggingface" / "hub";
  return environment_path("HOME").value_or("/") / ".cache" / "huggingface" / "hub";
}

fs::path hub_folder(const std::string& id) {
  std::string name = "models--" + id;
  if (const auto slash = name.find('/'); slash != std::string::npos) name.replace(slash, 1, "--");
  return hub_cache() / name;
}

/// The snapshot of the main branch, if its configuration is there.
std::optional<fs::path> main_snapshot(const fs::path& model) {
  std::string revision;
  std::ifstream(model / "refs" / "main") >> revision;
  if (revision.empty()) return std::nullopt;
  fs::path snapshot = model / "snapshots" / revision;
  std::error_code ignored;
  if (!fs::exists(snapshot / "config.json", ignored)) return std::nullopt;
  return snapshot;
}

fs::path find_in_hub_cache(const std::string& id) {
  if (const auto snapshot = main_snapshot(hub_folder(id))) return *snapshot;
  throw ModelError("cannot load model '" + id + "' (it is neither a folder nor in the hub cache " +
                   hub_cache().string() + ") fetch it with: hf download " + id);
}

fs::path find_shipped() {
  std::vector<fs::path> candidates;
  if (const auto given = environment_path("SHOAL_MINNOW")) {
    candidates.push_back(*given);
  } else {
    std::error_code ignored;
    const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
    candidates = {program.parent_path().parent_path() / SHOAL_MINNOW_BESIDE_PROGRAM, SHOAL_MINNOW_INSTALLED,
                  SHOAL_MINNOW_SOURCE};
  }
  for (const fs::path& candidate : candidates) {
    std::error_code ignored;
    if (fs::exists(candidate / "config.json", ignored)) return candidate;
  }
  throw ModelError("cannot find the shipped model minnow (looked in " + candidates.front().string() +
                   ") set SHOAL_MINNOW to its folder");
}

}  // namespace

std::filesystem::path find_checkpoint(const std::string& source) {
  std::error_code ignored;
  if (source == "minnow") return find_shipped();
  if (fs::is_directory(source, ignored)) return source;
  if (fs::exists(source, ignored))
    throw ModelError("cannot load model '" + source + "' (it is a file) give the checkpoint's folder");
  if (is_hub_id(source)) return find_in_hub_cache(source);
  throw ModelError("cannot load model '" + source +
                   "' (there is no such folder) give a checkpoint folder, a hub id, minnow or tabular:FILE");
}

}  // namespace shoal::lm

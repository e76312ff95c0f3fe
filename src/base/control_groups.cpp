#include "base/control_groups.hpp"

#include <fstream>
#include <sstream>

namespace shoal {
namespace {

namespace fs = std::filesystem;

bool lists(const std::string& controllers, const std::string& wanted) {
  std::istringstream list(controllers);
  for (std::string name; std::getline(list, name, ',');) {
    if (name == wanted) return true;
  }
  return false;
}

void add_path(const fs::path& mount, const fs::path& group, std::vector<fs::path>* folders) {
  fs::path at = mount;
  folders->push_back(at);
  for (const fs::path& part : group.relative_path()) folders->push_back(at /= part);
}

}  // namespace

std::vector<fs::path> control_groups(const std::string& controller, const fs::path& root) {
  const fs::path mounts = root / "sys/fs/cgroup";
  std::vector<fs::path> folders;
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // number:controllers:path
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path group = line.substr(second + 1);
    if (controllers.empty()) {  // version 2
      add_path(mounts, group, &folders);
      add_path(mounts / "unified", group, &folders);
    } else if (lists(controllers, controller)) {
      add_path(mounts / controllers, group, &folders);
      add_path(mounts / controller, group, &folders);
    }
  }
  return folders;
}

}  // namespace shoal

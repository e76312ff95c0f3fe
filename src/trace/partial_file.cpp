#include "trace/partial_file.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "trace/trace_file.hpp"

namespace shoal::trace {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

void check_folder(const std::string& path, const Refusal& refuse) {
  const fs::path folder = folder_of(path);
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) refuse("no such folder", "create " + folder.string() + " first");
  if (!fs::is_directory(folder, ignored)) refuse(folder.string() + " is no folder", "choose another name");
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    refuse(folder.string() + ": " + std::strerror(errno), "choose a folder that you may write to");
}

void check_system(bool worked) {
  if (!worked) throw hdf5::Failure(std::strerror(errno));
}

void sync(const std::string& path) {
  const FileDescriptor file(path);
  check_system(file.get() >= 0 && fsync(file.get()) == 0);
}

void rename_file(const std::string& from, const std::string& to) {
  check_system(std::rename(from.c_str(), to.c_str()) == 0);
}

/// @p path under a second name as well, or, on file systems without hard links, only there.
void keep(const std::string& path, const std::string& previous) {
  const std::string link_name = previous + ".partial";
  unlink(link_name.c_str());
  if (link(path.c_str(), link_name.c_str()) == 0) return rename_file(link_name, previous);
  if (errno != ENOENT) rename_file(path, previous);
}

}  // namespace

void check_target(const std::string& path, const std::string& kind,
                  const std::function<bool(const std::string& path)>& is_kind, const Refusal& refuse) {
  if (path.empty()) refuse("the name is empty", "give the name of a file");
  check_folder(path, refuse);
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) return;
  if (fs::is_directory(status)) refuse("it is a folder", "give the name of a file");
  if (error) refuse(error.message(), "choose another name");
  if (!fs::is_regular_file(status)) refuse("it is no regular file", "choose another name");
  if (access(path.c_str(), W_OK) != 0) refuse(std::strerror(errno), "choose another name");
  if (fs::file_size(path, error) == 0) return;
  if (is_in_use(path)) refuse("another program is using it", "close that or choose another name");
  if (!is_kind(path)) refuse("it exists and is no " + kind, "remove it or choose another name");
}

std::string link_target(const std::string& path) {
  std::error_code error;
  if (!fs::is_symlink(path, error)) return path;
  const fs::path target = fs::canonical(path, error);
  return error ? path : target.string();
}

PartialFile::~PartialFile() {
  if (!placed_) unlink(path_.c_str());
}

void PartialFile::sync_to_disk() const { sync(path_); }

void PartialFile::place() {
  rename_file(path_, final_path_);
  placed_ = true;
}

void PartialFile::place_keeping(const std::string& previous) {
  sync_to_disk();
  keep(final_path_, previous);
  place();
  sync(folder_of(final_path_).string());
}

}  // namespace shoal::trace

// Files that are there whole or not at all, and what a user may have put in their way. Internal to src/trace.
#pragma once

#include <functional>
#include <string>

namespace shoal::trace {

/// How to tell the user what cannot be written, and why: refuse(why, what to do). Throws.
using Refusal = std::function<void(const std::string& why, const std::string& what_to_do)>;

/// Checks that @p path may be written: in a folder that exists, and new, empty, or an earlier file of the same kind.
/// @param kind what the file is, e.g. "Shoal trace"
/// @param is_kind whether a non-empty file is one
void check_target(const std::string& path, const std::string& kind,
                  const std::function<bool(const std::string& path)>& is_kind, const Refusal& refuse);

/// The file itself, if @p path is a link to it: renaming must not replace the link.
std::string link_target(const std::string& path);

/// A file under construction; removed unless it was put in place.
class PartialFile {
 public:
  explicit PartialFile(const std::string& final_path) : path_(final_path + ".partial"), final_path_(final_path) {}
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  /// @throws hdf5::Failure
  void sync_to_disk() const;
  /// Puts it in place of what was there. @throws hdf5::Failure
  void place();
  /// The same, durably, what was there kept under @p previous; at every moment there is a whole file at the place.
  /// @throws hdf5::Failure
  void place_keeping(const std::string& previous);

 private:
  std::string path_;
  std::string final_path_;
  bool placed_ = false;
};

}  // namespace shoal::trace

// An HDF5 file whose failed writes HDF5 does not see. HDF5 1.10 keeps its caches in a state that crashes at the end of
// the process once a write has failed (full disk), so its POSIX driver is wrapped: the first failure is remembered,
// nothing is written after it, and HDF5 is told that all is well. Internal to src/trace.
#pragma once

#include <string>

#include "trace/hdf5_handle.hpp"

namespace shoal::trace::hdf5 {

class WritableFile {
 public:
  WritableFile() = default;
  /// A new file, in the format that SWMR needs; replaces @p path.
  static WritableFile create(const std::string& path);
  /// @p flags as for H5Fopen
  static WritableFile open(const std::string& path, unsigned flags);

  [[nodiscard]] hid_t get() const { return file_.get(); }
  /// @throws Failure if a write has failed since the file was opened
  void check_writes() const;
  /// @throws Failure if a write has failed since the file was opened
  void close();

 private:
  explicit WritableFile(File file);

  File file_;
  int descriptor_ = -1;
};

}  // namespace shoal::trace::hdf5

// Opening trace files and telling whose they are. Internal to src/trace.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "trace/hdf5_handle.hpp"

namespace shoal::trace {

class FileDescriptor {
 public:
  explicit FileDescriptor(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

/// HDF5's own switch, for file systems whose locks do not work.
bool locking_wanted();

/// Whether a run on this machine holds the lock of @p path; false where the file system has no locks.
bool is_in_use(const std::string& path);

/// Opens for reading; a file that a run still writes, or whose writer was killed, as a SWMR reader.
/// @throws hdf5::Failure
hdf5::File open_for_reading(const std::string& path);

/// The scalar string of fixed length in attribute @p name of @p object. @throws hdf5::Failure
std::string read_text_attribute(hid_t object, const char* name);

/// Whether @p path opens as an HDF5 file that says it is of @p format, of any version.
bool has_format(const std::string& path, std::string_view format);

}  // namespace shoal::trace

#include "trace/trace_file.hpp"

#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace shoal::trace {
namespace {

/// HDF5 waits 2^k ns before attempt k on metadata that it finds torn: 24 make it 0.03 s in all, before a file is
/// called damaged. (Its default of 100 never ends.)
constexpr unsigned torn_read_attempts = 24;
constexpr std::size_t longest_text = std::size_t{1} << 30;

}  // namespace

bool locking_wanted() {
  const char* value = std::getenv("HDF5_USE_FILE_LOCKING");
  return value == nullptr || (std::strcmp(value, "FALSE") != 0 && std::strcmp(value, "0") != 0);
}

bool is_in_use(const std::string& path) {
  if (!locking_wanted()) return false;
  const FileDescriptor file(path);
  return file.get() >= 0 && flock(file.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

hdf5::File open_for_reading(const std::string& path) {
  // A plain open also checks that the file is as long as it says, but is refused while a writer's mark is set.
  const hid_t plain = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (plain >= 0) return hdf5::File(plain);
  const std::string reason = hdf5::last_reason();
  const hdf5::Properties access(H5Pcreate(H5P_FILE_ACCESS));
  hdf5::check(H5Pset_metadata_read_attempts(access.get(), torn_read_attempts));
  const hid_t shared = H5Fopen(path.c_str(), H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, access.get());
  if (shared < 0) throw hdf5::Failure(reason);
  return hdf5::File(shared);
}

std::string read_text_attribute(hid_t object, const char* name) {
  const hdf5::Attribute attribute(H5Aopen(object, name, H5P_DEFAULT));
  const hdf5::Datatype type(H5Aget_type(attribute.get()));
  const hdf5::Dataspace space(H5Aget_space(attribute.get()));
  const std::size_t size = H5Tget_size(type.get());
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 || size > longest_text ||
      H5Sget_simple_extent_npoints(space.get()) != 1)
    throw hdf5::Failure(std::string("attribute '") + name + "' is not a text");
  std::string text(size, '\0');
  hdf5::check(H5Aread(attribute.get(), type.get(), text.data()));
  text.resize(std::min(text.find('\0'), text.size()));
  return text;
}

bool has_format(const std::string& path, std::string_view format) {
  hdf5::Quiet quiet;
  try {
    const hdf5::File file = open_for_reading(path);
    return read_text_attribute(file.get(), "format") == format;
  } catch (const hdf5::Failure&) {
    quiet.stay();
    return false;
  }
}

}  // namespace shoal::trace

#include "trace/writable_file.hpp"

#include <map>

namespace shoal::trace::hdf5 {
namespace {

/// HDF5's POSIX driver and what went wrong, by file descriptor. HDF5 hands its callbacks nothing but its own file.
struct Driver {
  H5FD_class_t posix{};
  hid_t id = -1;
  std::map<int, std::string> failures;
};

Driver& driver();

int descriptor_of(H5FD_t* file) {
  void* handle = nullptr;
  const herr_t status = driver().posix.get_handle(file, H5P_DEFAULT, &handle);
  return status < 0 || handle == nullptr ? -1 : *static_cast<const int*>(handle);
}

/// Unless an earlier write has failed, does @p action and remembers if it fails.
template <class Action>
herr_t attempt(H5FD_t* file, const Action& action) {
  auto& failures = driver().failures;
  const int descriptor = descriptor_of(file);
  if (failures.contains(descriptor) || action() >= 0) return 0;
  failures.emplace(descriptor, last_reason());
  H5Eclear2(H5E_DEFAULT);
  return 0;
}

/// A descriptor's number may have been another file's.
H5FD_t* open_and_forget(const char* name, unsigned flags, hid_t access, haddr_t max_address) {
  H5FD_t* file = driver().posix.open(name, flags, access, max_address);
  if (file != nullptr) driver().failures.erase(descriptor_of(file));
  return file;
}

herr_t write_or_remember(H5FD_t* file, H5FD_mem_t type, hid_t transfer, haddr_t address, std::size_t size,
                         const void* data) {
  return attempt(file, [&] { return driver().posix.write(file, type, transfer, address, size, data); });
}

herr_t truncate_or_remember(H5FD_t* file, hid_t transfer, hbool_t closing) {
  return attempt(file, [&] { return driver().posix.truncate(file, transfer, closing); });
}

Properties posix_access() {
  Properties access(H5Pcreate(H5P_FILE_ACCESS));
  check(H5Pset_fapl_sec2(access.get()));
  return access;
}

Driver wrap_posix_driver() {
  H5FD_t* any = H5FDopen("/dev/null", H5F_ACC_RDONLY, posix_access().get(), HADDR_UNDEF);
  if (any == nullptr) throw Failure(last_reason());
  Driver wrapped;
  wrapped.posix = *any->cls;
  H5FDclose(any);
  H5FD_class_t remembering = wrapped.posix;
  remembering.name = "shoal-trace";
  remembering.terminate = nullptr;
  remembering.open = open_and_forget;
  remembering.write = write_or_remember;
  remembering.truncate = truncate_or_remember;
  wrapped.id = check(H5FDregister(&remembering));
  return wrapped;
}

Driver& driver() {
  static Driver wrapped = wrap_posix_driver();
  return wrapped;
}

Properties file_access() {
  Properties access(H5Pcreate(H5P_FILE_ACCESS));
  check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110));
  check(H5Pset_driver(access.get(), driver().id, nullptr));
  return access;
}

/// Metadata blocks inside pages of this size: the kernel's own, which SIGKILL cannot interrupt the writing of. A block
/// across two of them can be left half written (measured: 1 of 200 kills of a writer that is always busy).
constexpr hsize_t page_bytes = 4096;

Properties paged_file() {
  Properties creation(H5Pcreate(H5P_FILE_CREATE));
  check(H5Pset_file_space_strategy(creation.get(), H5F_FSPACE_STRATEGY_PAGE, 0, 1));
  check(H5Pset_file_space_page_size(creation.get(), page_bytes));
  return creation;
}

}  // namespace

WritableFile WritableFile::create(const std::string& path) {
  return WritableFile(File(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, paged_file().get(), file_access().get())));
}

WritableFile WritableFile::open(const std::string& path, unsigned flags) {
  return WritableFile(File(H5Fopen(path.c_str(), flags, file_access().get())));
}

WritableFile::WritableFile(File file) : file_(std::move(file)) {
  void* handle = nullptr;
  check(H5Fget_vfd_handle(file_.get(), H5P_DEFAULT, &handle));
  descriptor_ = *static_cast<const int*>(handle);
}

void WritableFile::check_writes() const {
  const auto& failures = driver().failures;
  if (const auto at = failures.find(descriptor_); at != failures.end()) throw Failure(at->second);
}

void WritableFile::close() {
  file_.close();
  check_writes();
}

}  // namespace shoal::trace::hdf5

#include "trace/replace_file.hpp"

#include <hdf5.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "shoal/error.hpp"
#include "trace/hdf5_handle.hpp"
#include "trace/partial_file.hpp"

namespace shoal::trace {
namespace {

namespace fs = std::filesystem;

class Target {
 public:
  Target(std::string what, const std::string& path) : what_(std::move(what)), path_(path) {
    if (path.empty()) refuse("the name is empty", "give the name of a file");
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (status.type() == fs::file_type::not_found) {
      check_folder();
    } else {
      check_existing(status, error);
    }
  }

  [[nodiscard]] bool direct() const { return direct_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[noreturn]] void refuse(const std::string& why, const std::string& what_to_do) const {
    throw IoError("cannot write the " + what_ + " '" + path_ + "' (" + why + ") " + what_to_do);
  }
  [[noreturn]] void refuse_system() const {
    refuse(errno == 0 ? "the system gives no reason" : std::strerror(errno), "free some space or choose another name");
  }

 private:
  void check_existing(const fs::file_status& status, const std::error_code& error) {
    if (fs::is_directory(status)) refuse("it is a folder", "give the name of a file");
    if (!fs::exists(status)) refuse(error.message(), "choose another name");
    direct_ = !fs::is_regular_file(status);
    if (direct_) return;
    const hdf5::Quiet quiet;
    if (H5Fis_hdf5(path_.c_str()) > 0) refuse("an HDF5 file has that name", "choose another name or remove it");
    path_ = link_target(path_);
  }
  void check_folder() const {
    const fs::path parent = fs::path(path_).parent_path();
    const fs::path folder = parent.empty() ? fs::path(".") : parent;
    if (!fs::is_directory(folder)) refuse("the folder '" + folder.string() + "' does not exist", "create it first");
  }

  std::string what_;
  std::string path_;
  bool direct_ = false;
};

void write_stream(const Target& target, const std::string& path, const std::function<void(std::ostream&)>& write) {
  errno = 0;
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  if (!out) target.refuse_system();
  write(out);
  out.flush();
  if (!out) target.refuse_system();
  out.close();
  if (!out) target.refuse_system();
}

}  // namespace

void replace_file(const std::string& what, const std::string& path, const std::function<void(std::ostream&)>& write) {
  const Target target(what, path);
  if (target.direct()) return write_stream(target, path, write);
  PartialFile partial(target.path());
  write_stream(target, partial.path(), write);
  try {
    partial.place();
  } catch (const hdf5::Failure& failure) {
    target.refuse(failure.what(), "choose another name");
  }
}

}  // namespace shoal::trace

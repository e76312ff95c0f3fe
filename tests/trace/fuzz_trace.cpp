// Fuzz target: `shoal report` on damaged traces ends in a page or in one IoError; never a crash, a hang, or another
// exception. The input is a list of damages, 5 bytes each, done to a sound trace; or an HDF5 file as it is.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <vector>

#include "shoal/error.hpp"
#include "trace/genlm_export.hpp"
#include "trace/hdf5_objects.hpp"
#include "trace/report.hpp"
#include "trace/sample.hpp"
#include "trace/synthetic_run.hpp"

namespace {

namespace trace = shoal::trace;
namespace hdf5 = shoal::trace::hdf5;

struct Damage {
  std::uint8_t kind;
  std::uint8_t where;
  std::uint8_t how;
  std::uint16_t at;
};

std::string sound_trace(bool with_result) {
  const trace::testing::ScratchFolder folder;
  trace::testing::write_trace_file(
      folder / "t.h5",
      trace::testing::synthetic_trace({.particles = 5, .batch_size = 3, .batches = 4, .with_result = with_result}));
  std::ifstream in(folder / "t.h5", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Paths of the datasets (not of groups) below @p root.
std::vector<std::string> dataset_paths(hid_t root) {
  std::vector<std::string> paths;
  const auto add = [](hid_t, const char* name, const H5O_info_t* info, void* out) -> herr_t {
    if (info->type == H5O_TYPE_DATASET) static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  H5Ovisit2(root, H5_INDEX_NAME, H5_ITER_INC, add, &paths, H5O_INFO_BASIC);
  return paths;
}

/// One element becomes a value that no writer writes.
void spoil_element(hid_t root, const std::string& path, const Damage& damage) {
  constexpr std::array<double, 8> values{0, -1, 1, 1e9, -1e300, 255, NAN, INFINITY};
  const hdf5::Dataset dataset(H5Dopen2(root, path.c_str(), H5P_DEFAULT));
  const hdf5::Dataspace space(H5Dget_space(dataset.get()));
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  const hdf5::Datatype type(H5Dget_type(dataset.get()));
  if (count <= 0 || H5Tget_class(type.get()) == H5T_STRING) return;
  std::vector<double> all(static_cast<std::size_t>(count));
  hdf5::check(H5Dread(dataset.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, all.data()));
  all[damage.at % all.size()] = values[damage.how % values.size()];
  hdf5::check(H5Dwrite(dataset.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, all.data()));
}

void change_length(hid_t root, const std::string& path, const Damage& damage) {
  const hdf5::Dataset dataset(H5Dopen2(root, path.c_str(), H5P_DEFAULT));
  const hdf5::Dataspace space(H5Dget_space(dataset.get()));
  std::array<hsize_t, 8> shape{};
  if (H5Sget_simple_extent_ndims(space.get()) < 1) return;
  hdf5::check(H5Sget_simple_extent_dims(space.get(), shape.data(), nullptr));
  shape[0] = damage.how == 255 ? hsize_t{1} << (damage.at % 60) : damage.how % 12;
  hdf5::check(H5Dset_extent(dataset.get(), shape.data()));
}

/// The same name for something else.
void replace_dataset(hid_t root, const std::string& path, const Damage& damage) {
  const std::array<hid_t, 5> types{H5T_NATIVE_INT8, H5T_NATIVE_DOUBLE, H5T_NATIVE_UINT64, H5T_C_S1, H5T_STD_REF_OBJ};
  hdf5::check(H5Ldelete(root, path.c_str(), H5P_DEFAULT));
  if (damage.how % 7 == 6) return (void)trace::create_group(root, path.c_str());
  const std::array<hsize_t, 3> shape{damage.at % 9U, 5, 3};
  const hdf5::Dataspace space(H5Screate_simple(damage.how % 4, shape.data(), nullptr));
  const hdf5::Dataset made(H5Dcreate2(root, path.c_str(), types[damage.how % types.size()], space.get(), H5P_DEFAULT,
                                      H5P_DEFAULT, H5P_DEFAULT));
}

void change_attribute(hid_t root, const Damage& damage) {
  constexpr std::array names{"format", "format_version", "info_json", "particles", "seed"};
  const char* name = names[damage.where % names.size()];
  if (H5Aexists(root, name) <= 0) return;
  std::string text;
  if (std::strcmp(name, "info_json") == 0) {
    const hdf5::Attribute attribute(H5Aopen(root, name, H5P_DEFAULT));
    const hdf5::Datatype type(H5Aget_type(attribute.get()));
    text.resize(H5Tget_size(type.get()));
    hdf5::check(H5Aread(attribute.get(), type.get(), text.data()));
    text[damage.at % text.size()] = static_cast<char>(damage.how);
  }
  hdf5::check(H5Adelete(root, name));
  if (!text.empty()) return trace::write_fixed_text_attribute(root, name, text);
  if (damage.how % 3 == 0) return trace::write_attribute(root, name, std::int64_t{damage.at} - 5);
  if (damage.how % 3 == 1) trace::write_text_attribute(root, name, "other");
}

void damage_objects(const std::string& path, const std::vector<Damage>& damages) {
  const hdf5::Quiet quiet;
  const hdf5::File file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
  std::set<std::string> huge;  // HDF5 would be busy for hours with what comes after
  for (const Damage& damage : damages) {
    const auto paths = dataset_paths(file.get());
    if (paths.empty()) return;
    const std::string& target = paths[damage.where % paths.size()];
    if (huge.contains(target)) continue;
    if (damage.kind % 8 == 3 && damage.how == 255) huge.insert(target);
    try {
      switch (damage.kind % 8) {
        case 0:
        case 1:
        case 2:
          spoil_element(file.get(), target, damage);
          break;
        case 3:
          change_length(file.get(), target, damage);
          break;
        case 4:
          H5Ldelete(file.get(), target.c_str(), H5P_DEFAULT);
          break;
        case 5:
          replace_dataset(file.get(), target, damage);
          break;
        case 6:
          change_attribute(file.get(), damage);
          break;
        default:
          break;
      }
    } catch (const hdf5::Failure&) {
      // HDF5 does not do it: not a damage that a file can have this way
    }
  }
}

void damage_bytes(const std::string& path, const std::vector<Damage>& damages) {
  for (const Damage& damage : damages) {
    if (damage.kind % 8 != 7) continue;
    const auto size = std::filesystem::file_size(path);
    const std::uint64_t at = (std::uint64_t{damage.at} * 256 + damage.where) % std::max<std::uint64_t>(size, 1);
    if (damage.kind >= 224) {
      std::filesystem::resize_file(path, at);
    } else {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(damage.how));
    }
  }
}

void write_input(const std::string& path, const std::uint8_t* data, std::size_t size) {
  if (size >= 8 && std::memcmp(data, "\x89HDF\r\n\x1a\n", 8) == 0) {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
    return;
  }
  static const std::array<std::string, 2> sound{sound_trace(true), sound_trace(false)};
  std::ofstream(path, std::ios::binary) << sound[size % 2];
  std::vector<Damage> damages;
  for (; size >= 5; data += 5, size -= 5)
    damages.push_back({data[0], data[1], data[2], static_cast<std::uint16_t>(data[3] << 8U | data[4])});
  damage_objects(path, damages);
  damage_bytes(path, damages);
}

/// As `shoal report --export-genlm` does. @return exit code
int report(const std::string& path) {
  try {
    const trace::Trace read = trace::read_trace(path);
    std::ostringstream out;
    out << trace::html_report(read, {"t.h5", false});
    trace::write_genlm_json(read, out);
    return 0;
  } catch (const shoal::IoError& e) {
    return std::strchr(e.what(), '\n') == nullptr ? 0 : 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "not an IoError: %s\n", e.what());
    return 1;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("shoal-fuzz-" + std::to_string(getpid()) + ".h5")).string();
  write_input(path, data, size);
  const pid_t child = fork();  // HDF5 leaves parts of damaged files open
  if (child == 0) {
    alarm(20);
    std::exit(report(path));
  }
  int status = 0;
  const bool waited = child > 0 && waitpid(child, &status, 0) == child;
  std::filesystem::remove(path);
  if (!waited || status != 0) std::abort();
  return 0;
}

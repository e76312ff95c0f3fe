#include <algorithm>
#include <filesystem>
#include <new>
#include <stdexcept>

#include "shoal/error.hpp"
#include "trace/checkpoint.hpp"
#include "trace/checkpoint_layout.hpp"
#include "trace/partial_file.hpp"
#include "trace/trace_file.hpp"

namespace shoal::trace {
namespace {

namespace fs = std::filesystem;
using smc::HistoryState;

[[noreturn]] void damaged(const std::string& what) { throw hdf5::Failure("damaged: " + what); }

class CheckpointReader {
 public:
  explicit CheckpointReader(const std::string& path)
      : file_bytes_(fs::file_size(path)), file_(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT)) {}

  Checkpoint read() {
    check_format();
    Checkpoint checkpoint;
    const auto bytes = read_list<std::uint8_t>("description");
    const std::string description(bytes.begin(), bytes.end());
    try {
      read_description(description, &checkpoint);
    } catch (const std::exception&) {
      damaged("its description of the run");
    }
    for (const std::int32_t id : read_list<std::int32_t>("prompt")) checkpoint.prompt.emplace_back(id);
    for_each_total(checkpoint.state, [&](const char* name, auto& value) { read_attribute(name, &value); });
    checkpoint.trace = read_mark();
    read_histories(&checkpoint.state.histories);
    read_potentials(checkpoint.info, &checkpoint.state.histories);
    checkpoint.state.history_of = read_list<std::uint32_t>(history_of_particle);
    check_hash(checkpoint, description);
    return checkpoint;
  }

 private:
  void check_format() {
    if (hdf5::check(H5Aexists(file_.get(), "format")) == 0 ||
        read_text_attribute(file_.get(), "format") != checkpoint_format)
      throw hdf5::Failure("it is no Shoal checkpoint");
    int version = 0;
    read_attribute("format_version", &version);
    if (version != checkpoint_version)
      throw hdf5::Failure("its format version is " + std::to_string(version) + ", this program reads version " +
                          std::to_string(checkpoint_version));
  }

  template <class T>
  void read_attribute(const char* name, T* value) {
    const hdf5::Attribute attribute(H5Aopen(file_.get(), name, H5P_DEFAULT));
    const hdf5::Dataspace space(H5Aget_space(attribute.get()));
    if (H5Sget_simple_extent_npoints(space.get()) != 1) damaged(std::string("the attribute ") + name);
    hdf5::check(H5Aread(attribute.get(), hdf5::memory_type<T>(), value));
  }

  template <class T>
  std::vector<T> read_list(const std::string& name) {
    const hdf5::Dataset dataset(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT));
    const hdf5::Dataspace space(H5Dget_space(dataset.get()));
    const hssize_t size = H5Sget_simple_extent_npoints(space.get());
    if (H5Sget_simple_extent_ndims(space.get()) != 1 || size < 0 ||
        static_cast<std::uint64_t>(size) > file_bytes_ / sizeof(T))
      damaged("the shape of " + name);
    std::vector<T> values(static_cast<std::size_t>(size));
    if (!values.empty())
      hdf5::check(H5Dread(dataset.get(), hdf5::memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()));
    return values;
  }

  template <class T>
  std::vector<T> read_column(const std::string& name, std::size_t rows) {
    auto values = read_list<T>(name);
    if (values.size() != rows) damaged("the shape of " + name);
    return values;
  }

  /// Calls take(history's index, begin, end) for each history's part of the lists.
  template <class T, class Take>
  void read_lists(const std::string& name, std::size_t histories, const Take& take) {
    const auto values = read_list<T>(name);
    const auto ends = read_column<std::uint64_t>(name + end_suffix, histories);
    std::uint64_t begin = 0;
    for (std::size_t i = 0; i < histories; ++i) {
      if (ends[i] < begin || ends[i] > values.size()) damaged("the parts of " + name);
      take(i, values.begin() + static_cast<std::ptrdiff_t>(begin),
           values.begin() + static_cast<std::ptrdiff_t>(ends[i]));
      begin = ends[i];
    }
  }

  std::optional<TraceMark> read_mark() {
    std::int64_t batches = 0;
    TraceMark mark;
    read_attribute("trace_batches", &batches);
    read_attribute("trace_hash", &mark.hash);
    if (batches < 0) return std::nullopt;
    mark.batches = static_cast<std::uint64_t>(batches);
    return mark;
  }

  void read_histories(std::vector<HistoryState>* histories) {
    const auto status = read_list<std::uint8_t>("history/status");
    histories->resize(status.size());
    for (std::size_t i = 0; i < status.size(); ++i) (*histories)[i].status = static_cast<smc::Status>(status[i]);
    HistoryState sample;
    std::size_t index = 0;
    for_each_number(sample, [&]<class T>(const char* name, T&) {
      const auto values = read_column<T>(std::string("history/") + name, status.size());
      for (std::size_t i = 0; i < status.size(); ++i) {
        std::size_t at = 0;
        for_each_number((*histories)[i], [&]<class U>(const char*, U& value) {
          if constexpr (std::same_as<T, U>)
            if (at == index) value = values[i];
          ++at;
        });
      }
      ++index;
    });
    read_lists<std::uint8_t>("history/text", status.size(),
                             [&](std::size_t i, auto begin, auto end) { (*histories)[i].text.assign(begin, end); });
    read_lists<std::int32_t>("history/token", status.size(), [&](std::size_t i, auto begin, auto end) {
      for (auto id = begin; id != end; ++id) (*histories)[i].tokens.emplace_back(*id);
    });
  }

  void read_potentials(const TraceInfo& info, std::vector<HistoryState>* histories) {
    for (const std::string& name : dataset_names(info.potentials)) {
      const std::string group = "potential/" + name + "/";
      const auto values = read_column<double>(group + "value", histories->size());
      for (std::size_t i = 0; i < values.size(); ++i) (*histories)[i].values.push_back(values[i]);
      read_lists<std::uint8_t>(group + "state", histories->size(), [&](std::size_t i, auto begin, auto end) {
        (*histories)[i].states.emplace_back(begin, end);
      });
    }
  }

  void check_hash(const Checkpoint& checkpoint, const std::string& description) {
    std::uint64_t hash = 0;
    read_attribute("content_hash", &hash);
    if (hash != content_hash(checkpoint, description)) damaged("its content does not have the hash that it says");
  }

  std::uint64_t file_bytes_;
  hdf5::File file_;
};

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  const std::string previous = previous_checkpoint(link_target(path));
  throw IoError(
      "cannot resume from '" + path + "' (" + why + ") " +
      (fs::exists(previous) ? "try --resume " + previous + ", the one before it" : "start again without --resume"));
}

void check_file(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) refuse(path, "no such file");
  if (error) refuse(path, error.message());
  if (fs::is_directory(status)) refuse(path, "it is a folder");
  if (!fs::is_regular_file(status)) refuse(path, "it is no regular file");
  if (H5Fis_hdf5(path.c_str()) <= 0) refuse(path, "it is no HDF5 file, or damaged");
}

}  // namespace

Checkpoint read_checkpoint(const std::string& path) {
  hdf5::Quiet quiet;
  check_file(path);
  try {
    return CheckpointReader(path).read();
  } catch (const hdf5::Failure& failure) {
    quiet.stay();
    refuse(path, failure.what());
  } catch (const fs::filesystem_error& error) {
    refuse(path, error.code().message());
  } catch (const std::bad_alloc&) {
    refuse(path, "it does not fit into memory");
  } catch (const std::length_error&) {
    refuse(path, "damaged: impossible sizes");
  }
}

}  // namespace shoal::trace

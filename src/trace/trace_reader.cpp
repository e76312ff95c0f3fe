#include "trace/trace_reader.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <numeric>

#include "shoal/error.hpp"
#include "trace/hdf5_handle.hpp"
#include "trace/trace_file.hpp"
#include "trace/trace_layout.hpp"

namespace shoal::trace {
namespace {

namespace fs = std::filesystem;
using Shape = std::vector<hsize_t>;

/// zlib shrinks by 1032 at most: a dataset larger than that says it holds what the file cannot.
constexpr double max_compression = 1100.0;

[[noreturn]] void refuse(const std::string& path, const std::string& why, const std::string& what_to_do) {
  throw IoError("cannot read the trace " + path + " (" + why + ") " + what_to_do);
}

[[noreturn]] void damaged(const std::string& what) { throw hdf5::Failure("damaged: " + what); }

hsize_t elements(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), hsize_t{1}, std::multiplies<>());
}

hdf5::Dataset open_dataset(hid_t where, const std::string& name) {
  return hdf5::Dataset(H5Dopen2(where, name.c_str(), H5P_DEFAULT));
}

Shape shape_of(const hdf5::Dataset& dataset) {
  const hdf5::Dataspace space(H5Dget_space(dataset.get()));
  const int rank = hdf5::check(H5Sget_simple_extent_ndims(space.get()));
  Shape shape(static_cast<std::size_t>(rank));
  if (rank > 0) hdf5::check(H5Sget_simple_extent_dims(space.get(), shape.data(), nullptr));
  return shape;
}

class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path), file_(open_for_reading(path)) {}

  Trace read() {
    Trace trace;
    check_format();
    trace.info = read_info();
    read_batches(&trace);
    trace.token_bytes = read_vocabulary();
    if (hdf5::check(H5Lexists(file_.get(), "result", H5P_DEFAULT)) > 0) trace.result = read_result(trace.info);
    return trace;
  }

 private:
  void check_format() {
    if (hdf5::check(H5Aexists(file_.get(), "format")) == 0 || read_text_attribute(file_.get(), "format") != format_name)
      throw hdf5::Failure("it is no Shoal trace");
    const hdf5::Attribute attribute(H5Aopen(file_.get(), "format_version", H5P_DEFAULT));
    int version = 0;
    hdf5::check(H5Aread(attribute.get(), H5T_NATIVE_INT, &version));
    if (version != format_version)
      throw hdf5::Failure("its format version is " + std::to_string(version) + ", this program reads version " +
                          std::to_string(format_version));
  }

  TraceInfo read_info() {
    try {
      return info_from_json(read_text_attribute(file_.get(), "info_json"));
    } catch (const hdf5::Failure&) {
      throw;
    } catch (const std::exception&) {
      damaged("its description of the run");
    }
  }

  /// Of the file as it is now: it may be growing.
  [[nodiscard]] double file_bytes() const { return static_cast<double>(fs::file_size(path_)); }

  /// Whether the file can hold that much; guards allocations.
  void check_size(const Shape& shape, std::size_t element_bytes) const {
    double total = static_cast<double>(element_bytes);
    for (const hsize_t extent : shape) total *= static_cast<double>(extent);
    if (total > max_compression * (file_bytes() + 4096.0)) damaged("a dataset larger than the file can hold");
  }

  /// The chunk that holds the last of the rows must lie inside the file: HDF5 reads zeros beyond its end.
  void check_last_chunk(const hdf5::Dataset& dataset, hsize_t rows, std::size_t rank) const {
    if (rows == 0) return;
    const hdf5::Dataspace space(H5Dget_space(dataset.get()));
    const hdf5::Properties creation(H5Dget_create_plist(dataset.get()));
    Shape chunk(rank);
    if (H5Pget_layout(creation.get()) != H5D_CHUNKED) return;
    hdf5::check(H5Pget_chunk(creation.get(), static_cast<int>(rank), chunk.data()));
    Shape at(rank, 0);
    at[0] = (rows - 1) / chunk[0] * chunk[0];
    unsigned mask = 0;
    haddr_t address = HADDR_UNDEF;
    hsize_t size = 0;
    hdf5::check(H5Dget_chunk_info_by_coord(dataset.get(), at.data(), &mask, &address, &size));
    if (address == HADDR_UNDEF || static_cast<double>(address) + static_cast<double>(size) > file_bytes())
      damaged("the file ends too early");
  }

  /// The first @p rows of a growing dataset whose rows have shape @p row.
  template <class T>
  std::vector<T> read_rows(const std::string& name, hsize_t rows, const Shape& row) {
    const hdf5::Dataset dataset = open_dataset(file_.get(), name);
    Shape shape = shape_of(dataset);
    if (shape.size() != row.size() + 1 || !std::equal(row.begin(), row.end(), shape.begin() + 1) || shape[0] < rows)
      damaged("the shape of " + name);
    shape[0] = rows;
    check_size(shape, sizeof(T));
    check_last_chunk(dataset, rows, shape.size());
    std::vector<T> values(elements(shape));
    if (values.empty()) return values;
    const hdf5::Dataspace space(H5Dget_space(dataset.get()));
    const hdf5::Dataspace memory(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr));
    const Shape start(shape.size(), 0);
    hdf5::check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, shape.data(), nullptr));
    hdf5::check(H5Dread(dataset.get(), hdf5::memory_type<T>(), memory.get(), space.get(), H5P_DEFAULT, values.data()));
    return values;
  }

  /// All of a growing dataset of one value per row.
  template <class T>
  std::vector<T> read_list(const std::string& name) {
    const Shape shape = shape_of(open_dataset(file_.get(), name));
    if (shape.size() != 1) damaged("the shape of " + name);
    return read_rows<T>(name, shape[0], {});
  }

  template <class T>
  std::vector<T> read_vector(const std::string& name) {
    const hdf5::Dataset dataset = open_dataset(file_.get(), name);
    const Shape shape = shape_of(dataset);
    if (shape.size() > 1) damaged("the shape of " + name);
    check_size(shape, sizeof(T));
    std::vector<T> values(elements(shape));
    if (!values.empty())
      hdf5::check(H5Dread(dataset.get(), hdf5::memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()));
    return values;
  }

  template <class T>
  T read_scalar(const std::string& name) {
    const auto values = read_vector<T>(name);
    if (values.size() != 1) damaged("the shape of " + name);
    return values.front();
  }

  std::vector<std::string> read_texts(const std::string& name) {
    const hdf5::Dataset dataset = open_dataset(file_.get(), name);
    const hdf5::Datatype type(H5Dget_type(dataset.get()));
    const Shape shape = shape_of(dataset);
    const std::size_t width = H5Tget_size(type.get());
    if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 || shape.size() > 1)
      damaged("the texts of " + name);
    check_size(shape, width);
    std::string data(elements(shape) * width, '\0');
    if (!data.empty()) hdf5::check(H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, data.data()));
    std::vector<std::string> texts;
    for (std::size_t at = 0; at < data.size(); at += width) {
      std::string text = data.substr(at, width);
      text.resize(text.find_last_not_of('\0') + 1);
      texts.push_back(std::move(text));
    }
    return texts;
  }

  std::string read_text(const std::string& name) {
    auto texts = read_texts(name);
    if (texts.size() != 1) damaged("the shape of " + name);
    return std::move(texts.front());
  }

  /// Rows that were committed. In a file that is being written the last row may be under way.
  std::vector<std::int64_t> committed_batches() {
    const Shape shape = shape_of(open_dataset(file_.get(), batch_scale));
    if (shape.size() != 1) damaged(std::string("the shape of ") + batch_scale);
    auto numbers = read_rows<std::int64_t>(batch_scale, shape[0], {});
    numbers.erase(std::find(numbers.begin(), numbers.end(), std::int64_t{-1}), numbers.end());
    for (std::size_t i = 0; i < numbers.size(); ++i)
      if (numbers[i] < 0 || numbers[i] > std::int64_t{UINT32_MAX} ||
          numbers[i] != numbers[0] + static_cast<std::int64_t>(i))
        damaged("the batch numbers");
    return numbers;
  }

  void read_batches(Trace* trace) {
    const auto numbers = committed_batches();
    std::vector<smc::BatchRecord>& batches = trace->batches;
    batches.resize(numbers.size());
    for (std::size_t b = 0; b < numbers.size(); ++b) batches[b].batch = static_cast<std::uint32_t>(numbers[b]);
    read_scalars(&batches);
    if (!trace->info.lists_particles) return;
    read_arrays(trace->info, &batches);
    read_potentials(trace->info, &batches);
  }

  /// Visits each field of a sample record; @p assign(field of a batch's record, values of all batches, batch).
  void read_scalars(std::vector<smc::BatchRecord>* batches) {
    std::size_t index = 0;
    smc::BatchRecord sample;
    for_each_scalar(sample, [&]<class T>(const Column& column, T&) {
      using Stored = std::conditional_t<std::same_as<T, bool>, std::uint8_t, T>;
      const std::string name = std::string("batch/") + column.name;
      std::vector<Stored> values(batches->size());
      if (column.name != moved_between_nodes || hdf5::check(H5Lexists(file_.get(), name.c_str(), H5P_DEFAULT)) > 0)
        values = read_rows<Stored>(name, batches->size(), {});
      for (std::size_t b = 0; b < batches->size(); ++b) {
        std::size_t at = 0;
        for_each_scalar((*batches)[b], [&]<class U>(const Column&, U& field) {
          if constexpr (std::same_as<T, U>)
            if (at == index) field = static_cast<U>(values[b]);
          ++at;
        });
      }
      ++index;
    });
  }

  void read_arrays(const TraceInfo& info, std::vector<smc::BatchRecord>* batches) {
    std::size_t index = 0;
    smc::BatchRecord sample;
    for_each_array(sample, [&]<class T>(const Column& column, RowShape shape, std::vector<T>&) {
      Shape row{static_cast<hsize_t>(info.particles)};
      if (shape == RowShape::per_token) row.push_back(static_cast<hsize_t>(info.batch_size));
      const auto values = read_rows<T>(std::string("particle/") + column.name, batches->size(), row);
      const auto width = static_cast<std::ptrdiff_t>(elements(row));
      auto begin = values.begin();
      for (smc::BatchRecord& record : *batches) {
        std::size_t at = 0;
        for_each_array(record, [&]<class U>(const Column&, RowShape, std::vector<U>& field) {
          if constexpr (std::same_as<T, U>)
            if (at == index) field.assign(begin, begin + width);
          ++at;
        });
        begin += width;
      }
      ++index;
    });
  }

  void read_potentials(const TraceInfo& info, std::vector<smc::BatchRecord>* batches) {
    const auto particles = static_cast<std::ptrdiff_t>(info.particles);
    for (const std::string& name : dataset_names(info.potentials)) {
      const auto values =
          read_rows<double>("potential/" + name, batches->size(), {static_cast<hsize_t>(info.particles)});
      auto begin = values.begin();
      for (smc::BatchRecord& record : *batches) {
        record.potential.insert(record.potential.end(), begin, begin + particles);
        begin += particles;
      }
    }
  }

  /// Absent in traces of earlier programs.
  std::unordered_map<std::int32_t, std::string> read_vocabulary() {
    std::unordered_map<std::int32_t, std::string> texts;
    if (hdf5::check(H5Lexists(file_.get(), "vocabulary", H5P_DEFAULT)) == 0) return texts;
    const auto tokens = read_list<std::int32_t>(vocabulary_token);
    const auto ends = read_list<std::uint64_t>(vocabulary_end);
    const auto bytes = read_list<std::uint8_t>(vocabulary_bytes);
    std::uint64_t begin = 0;
    for (std::size_t k = 0; k < tokens.size() && tokens[k] >= 0; ++k) {  // -1: under way
      if (k >= ends.size() || ends[k] < begin || ends[k] > bytes.size()) damaged("the bytes of its tokens");
      texts.emplace(tokens[k], std::string(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                                           bytes.begin() + static_cast<std::ptrdiff_t>(ends[k])));
      begin = ends[k];
    }
    return texts;
  }

  TraceResult read_result(const TraceInfo& info) {
    TraceResult result;
    result.finish_reason = read_text("result/finish_reason");
    result.extinct_by = read_text("result/extinct_by");
    result.best = read_text("result/best");
    result.log_z = read_scalar<double>("result/log_z");
    result.ess = read_scalar<double>("result/ess");
    result.texts = read_texts("result/texts");
    result.tokens = read_vector<std::int32_t>("result/tokens");
    result.log_weight = read_vector<double>("result/log_weight");
    result.weights = read_vector<double>("result/weights");
    result.finished = read_vector<std::uint8_t>("result/finished");
    const std::size_t n = info.lists_particles ? static_cast<std::size_t>(info.particles) : result.texts.size();
    result.count.assign(n, 1);
    if (!info.lists_particles) result.count = read_vector<std::uint64_t>("result/count");
    for (const std::size_t size : {result.count.size(), result.texts.size(), result.tokens.size(),
                                   result.log_weight.size(), result.weights.size(), result.finished.size()})
      if (size != n) damaged("the result's shapes");
    const auto texts = read_texts("result/posterior/text");
    const auto probabilities = read_vector<double>("result/posterior/probability");
    if (texts.size() != probabilities.size()) damaged("the posterior's shapes");
    for (std::size_t i = 0; i < texts.size(); ++i) result.posterior.push_back({texts[i], probabilities[i]});
    return result;
  }

  std::string path_;
  hdf5::File file_;
};

void check_file(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) refuse(path, "no such file", "check the name");
  if (error) refuse(path, error.message(), "check the name");
  if (fs::is_directory(status)) refuse(path, "it is a folder", "give the name of a file");
  if (!fs::is_regular_file(status)) refuse(path, "it is no regular file", "give the name of a trace");
  if (H5Fis_hdf5(path.c_str()) == 0) refuse(path, "it is no HDF5 file", "give a file that --trace wrote");
}

}  // namespace

Trace read_trace(const std::string& path) {
  hdf5::Quiet quiet;
  check_file(path);
  try {
    return Reader(path).read();
  } catch (const hdf5::Failure& failure) {
    quiet.stay();
    refuse(path, failure.what(), "give a whole trace of this version of Shoal");
  } catch (const fs::filesystem_error& error) {
    refuse(path, error.code().message(), "check the name");
  } catch (const std::bad_alloc&) {
    refuse(path, "it does not fit into memory", "read it on a larger machine");
  } catch (const std::length_error&) {
    refuse(path, "damaged: impossible sizes", "give a whole trace of this version of Shoal");
  }
}

}  // namespace shoal::trace

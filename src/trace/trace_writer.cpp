#include "trace/trace_writer.hpp"

#include <fcntl.h>
#include <hdf5_hl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <numeric>
#include <optional>
#include <span>

#include "base/assert.hpp"
#include "base/exact_math.hpp"
#include "shoal/error.hpp"
#include "trace/content_hash.hpp"
#include "trace/hdf5_objects.hpp"
#include "trace/partial_file.hpp"
#include "trace/trace_file.hpp"
#include "trace/trace_layout.hpp"
#include "trace/trace_reader.hpp"
#include "trace/writable_file.hpp"

namespace shoal::trace {
namespace {

namespace fs = std::filesystem;
using Shape = std::vector<hsize_t>;

constexpr hsize_t scalar_chunk_rows = 128;
constexpr hsize_t byte_chunk_rows = 4096;

[[noreturn]] void refuse(const std::string& path, const std::string& why, const std::string& what_to_do) {
  throw IoError("cannot write the trace " + (path.empty() ? "''" : path) + " (" + why + ") " + what_to_do);
}

[[noreturn]] void refuse_to_continue(const std::string& path, const std::string& why) {
  throw IoError("cannot continue the trace " + path + " (" + why + ") give another --trace");
}

void check_trace_target(const std::string& path) {
  check_target(
      path, "Shoal trace", [](const std::string& file) { return has_format(file, format_name); },
      [&](const std::string& why, const std::string& what_to_do) { refuse(path, why, what_to_do); });
}

/// What a batch says about the run; where and how fast it was computed is left out.
void add_batch(const smc::BatchRecord& record, ContentHash* hash) {
  hash->add(std::uint64_t{record.batch});
  hash->add(static_cast<std::uint64_t>(record.tokens));
  hash->add(record.ess);
  hash->add(record.log_z);
  hash->add(std::uint64_t{record.resampled ? 1U : 0U});
  hash->add_all(std::span(record.log_weight));
  hash->add_all(std::span(record.ancestor));
  hash->add_all(std::span(record.token));
  hash->add_all(std::span(record.finished));
  hash->add_all(std::span(record.potential));
}

/// The batches that a checkpoint counts on. @throws IoError if @p trace is not the one of its run
std::vector<smc::BatchRecord> marked_batches(const std::string& path, Trace* trace, const TraceInfo& info,
                                             const TraceMark& mark) {
  if (trace->info.fingerprint != info.fingerprint) refuse_to_continue(path, "it is of another run");
  if (trace->batches.size() < mark.batches)
    refuse_to_continue(path, "it ends after " + std::to_string(trace->batches.size()) +
                                 " batches, the checkpoint was written after " + std::to_string(mark.batches));
  trace->batches.resize(mark.batches);
  ContentHash hash;
  for (const smc::BatchRecord& record : trace->batches) add_batch(record, &hash);
  if (hash.value() != mark.hash) refuse_to_continue(path, "its batches are not those of the run that was interrupted");
  return std::move(trace->batches);
}

// ---------------------------------------------------------------------------------------------- HDF5 objects

void write_texts_attribute(hid_t object, const char* name, const std::vector<std::string>& texts) {
  const hdf5::Datatype type = hdf5::string_type(H5T_VARIABLE);
  const hdf5::Dataspace space = simple_space({texts.size()});
  const hdf5::Attribute attribute(H5Acreate2(object, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT));
  std::vector<const char*> data;
  for (const std::string& text : texts) data.push_back(text.c_str());
  if (!data.empty()) hdf5::check(H5Awrite(attribute.get(), type.get(), data.data()));
}

/// A column of one value per row. Its chunk is rewritten with each row, so it is not compressed.
hdf5::Properties scalar_column(hsize_t chunk_rows) {
  hdf5::Properties creation(H5Pcreate(H5P_DATASET_CREATE));
  hdf5::check(H5Pset_chunk(creation.get(), 1, &chunk_rows));
  return creation;
}

/// One row per chunk (in pieces if it is long), so that each is compressed and written once.
hdf5::Properties row_column(const Shape& row, std::size_t element_bytes) {
  Shape chunk{1};
  chunk.insert(chunk.end(), row.begin(), row.end());
  const hsize_t inner = std::accumulate(row.begin() + 1, row.end(), hsize_t{element_bytes}, std::multiplies<>());
  chunk[1] = std::clamp<hsize_t>(max_chunk_bytes / inner, 1, row[0]);
  return deflated(chunk);
}

template <class T>
void set_fill(hid_t creation, T value) {
  hdf5::check(H5Pset_fill_value(creation, hdf5::memory_type<T>(), &value));
}

/// Empty, growing by rows of shape @p row.
template <class T>
hdf5::Dataset create_growing(hid_t where, const char* name, const Shape& row) {
  Shape shape{0};
  Shape limit{H5S_UNLIMITED};
  shape.insert(shape.end(), row.begin(), row.end());
  limit.insert(limit.end(), row.begin(), row.end());
  const hdf5::Properties creation =
      row.empty() ? scalar_column(sizeof(T) == 1 ? byte_chunk_rows : scalar_chunk_rows) : row_column(row, sizeof(T));
  if constexpr (std::same_as<T, double>) set_fill(creation.get(), std::numeric_limits<double>::quiet_NaN());
  if constexpr (std::signed_integral<T>) set_fill(creation.get(), T{-1});
  const hdf5::Dataspace space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), limit.data()));
  return hdf5::Dataset(
      H5Dcreate2(where, name, hdf5::file_type<T>(), space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT));
}

template <class T>
hdf5::Dataset create_scalar(hid_t where, const char* name, T value) {
  const hdf5::Dataspace space(H5Screate(H5S_SCALAR));
  hdf5::Dataset dataset(
      H5Dcreate2(where, name, hdf5::file_type<T>(), space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  hdf5::check(H5Dwrite(dataset.get(), hdf5::memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, &value));
  return dataset;
}

hdf5::Dataset create_text(hid_t where, const char* name, const std::string& text) {
  const std::string data = text.empty() ? std::string(1, '\0') : text;
  const hdf5::Datatype type = hdf5::string_type(data.size());
  const hdf5::Dataspace space(H5Screate(H5S_SCALAR));
  hdf5::Dataset dataset(H5Dcreate2(where, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  hdf5::check(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, data.data()));
  return dataset;
}

// ---------------------------------------------------------------------------------------------- the batch part

Shape row_shape(const TraceInfo& info, RowShape shape) {
  Shape row{static_cast<hsize_t>(info.particles)};
  if (shape == RowShape::per_token) row.push_back(static_cast<hsize_t>(info.batch_size));
  return row;
}

void write_info(hid_t root, const TraceInfo& info) {
  write_fixed_text_attribute(root, "format", format_name);
  write_attribute(root, "format_version", format_version);
  write_fixed_text_attribute(root, "info_json", to_json(info));
  write_text_attribute(root, "shoal_version", info.shoal_version);
  write_text_attribute(root, "build", info.build);
  write_text_attribute(root, "command_line", info.command_line);
  write_text_attribute(root, "options", info.options_json);
  write_text_attribute(root, "model_id", info.model_id);
  write_text_attribute(root, "weights_hash", info.weights_hash);
  write_text_attribute(root, "device", info.device);
  write_text_attribute(root, "isa", info.isa);
  write_text_attribute(root, "start_time", info.start_time);
  write_text_attribute(root, "prompt", info.prompt);
  write_text_attribute(root, "fingerprint", info.fingerprint);
  write_attribute(root, "seed", info.seed);
  write_attribute(root, "ranks", info.ranks);
  write_attribute(root, "particles", info.particles);
  write_attribute(root, "batch_size", info.batch_size);
  write_texts_attribute(root, "potentials", info.potentials);
}

struct Scales {
  hdf5::Dataset batch;
  hdf5::Dataset particle;
  hdf5::Dataset token;
};

Scales create_scales(hid_t root, const TraceInfo& info) {
  Scales scales;
  scales.batch = create_growing<std::int64_t>(root, batch_scale, {});
  describe(scales.batch.get(), {batch_scale, "1", "number of the batch; -1 marks a row that is not complete"});
  hdf5::check(H5DSset_scale(scales.batch.get(), batch_scale));
  if (!info.lists_particles) return scales;
  scales.particle = create_scale(root, particle_scale, info.particles, "logical id of the particle");
  scales.token = create_scale(root, token_scale, info.batch_size, "token step within the batch");
  return scales;
}

void create_batch_group(hid_t root, const Scales& scales) {
  const hdf5::Group group = create_group(root, "batch");
  const std::array dimensions{Dimension{"batch", scales.batch.get()}};
  const smc::BatchRecord sample;
  for_each_scalar(sample, [&]<class T>(const Column& column, const T&) {
    const hdf5::Dataset dataset = create_growing<T>(group.get(), column.name, {});
    describe(dataset.get(), column);
    attach(dataset.get(), dimensions);
  });
}

void create_particle_group(hid_t root, const TraceInfo& info, const Scales& scales) {
  const hdf5::Group group = create_group(root, "particle");
  const std::array dimensions{Dimension{"batch", scales.batch.get()}, Dimension{"particle", scales.particle.get()},
                              Dimension{"token", scales.token.get()}};
  const smc::BatchRecord sample;
  for_each_array(sample, [&]<class T>(const Column& column, RowShape shape, const std::vector<T>&) {
    const Shape row = row_shape(info, shape);
    const hdf5::Dataset dataset = create_growing<T>(group.get(), column.name, row);
    describe(dataset.get(), column);
    attach(dataset.get(), std::span(dimensions).first(row.size() + 1));
  });
}

void create_potential_group(hid_t root, const TraceInfo& info, const Scales& scales) {
  const hdf5::Group group = create_group(root, "potential");
  const std::array dimensions{Dimension{"batch", scales.batch.get()}, Dimension{"particle", scales.particle.get()}};
  const auto names = dataset_names(info.potentials);
  for (std::size_t k = 0; k < names.size(); ++k) {
    const hdf5::Dataset dataset =
        create_growing<double>(group.get(), names[k].c_str(), row_shape(info, RowShape::per_particle));
    describe(dataset.get(), potential_column);
    write_text_attribute(dataset.get(), "potential", info.potentials[k]);
    attach(dataset.get(), dimensions);
  }
}

/// Its two lists are dimension scales, so that xarray finds a name for each dimension.
void create_vocabulary_group(hid_t root) {
  const hdf5::Group group = create_group(root, "vocabulary");
  const hdf5::Dataset tokens = create_growing<std::int32_t>(root, vocabulary_token, {});
  describe(tokens.get(), {"", "1", "token ids that occur in particle/token; -1 marks an entry that is not complete"});
  hdf5::check(H5DSset_scale(tokens.get(), "token"));
  const hdf5::Dataset ends = create_growing<std::uint64_t>(root, vocabulary_end, {});
  describe(ends.get(), {"", "1", "where the token's bytes end; they begin where the previous token's end"});
  attach(ends.get(), std::array{Dimension{"token", tokens.get()}});
  const hdf5::Dataset bytes = create_growing<std::uint8_t>(root, vocabulary_bytes, {});
  describe(bytes.get(), {"", "1", "bytes of the tokens, one after the other"});
  hdf5::check(H5DSset_scale(bytes.get(), "bytes"));
}

void create_batch_part(const std::string& path, const TraceInfo& info) {
  auto file = hdf5::WritableFile::create(path);
  write_info(file.get(), info);
  {
    const Scales scales = create_scales(file.get(), info);
    create_batch_group(file.get(), scales);
    if (info.lists_particles) {
      create_particle_group(file.get(), info, scales);
      create_potential_group(file.get(), info, scales);
      create_vocabulary_group(file.get());
    }
  }
  file.close();
}

/// A dataset that grows by one or more rows per batch.
class GrowingDataset {
 public:
  GrowingDataset(hid_t where, const std::string& name, hid_t memory_type, Shape row)
      : dataset_(H5Dopen2(where, name.c_str(), H5P_DEFAULT)), memory_type_(memory_type), shape_{1} {
    shape_.insert(shape_.end(), row.begin(), row.end());
  }
  void append(hsize_t index, const void* values, hsize_t rows = 1) {
    Shape extent = shape_;
    extent[0] = index + rows;
    hdf5::check(H5Dset_extent(dataset_.get(), extent.data()));
    const hdf5::Dataspace space(H5Dget_space(dataset_.get()));
    Shape start(shape_.size(), 0);
    start[0] = index;
    Shape block = shape_;
    block[0] = rows;
    const hdf5::Dataspace memory = simple_space(block);
    hdf5::check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, block.data(), nullptr));
    hdf5::check(H5Dwrite(dataset_.get(), memory_type_, memory.get(), space.get(), H5P_DEFAULT, values));
  }
  void flush() { hdf5::check(H5Dflush(dataset_.get())); }

 private:
  hdf5::Dataset dataset_;
  hid_t memory_type_;
  Shape shape_;  ///< of one row in the dataset
};

/// Adds to /vocabulary the tokens that were not there yet. The list of tokens is written last: an entry of it is whole.
class TokenList {
 public:
  TokenList(hid_t root, const Vocabulary& vocabulary)
      : vocabulary_(vocabulary),
        known_(static_cast<std::size_t>(vocabulary.size()), false),
        bytes_(root, vocabulary_bytes, hdf5::memory_type<std::uint8_t>(), {}),
        ends_(root, vocabulary_end, hdf5::memory_type<std::uint64_t>(), {}),
        tokens_(root, vocabulary_token, hdf5::memory_type<std::int32_t>(), {}) {}

  void add(std::span<const std::int32_t> tokens) {
    std::string bytes;
    std::vector<std::uint64_t> ends;
    std::vector<std::int32_t> added;
    for (const std::int32_t token : tokens) {
      if (token < 0 || token >= vocabulary_.size() || known_[static_cast<std::size_t>(token)]) continue;
      known_[static_cast<std::size_t>(token)] = true;
      bytes += vocabulary_.bytes(TokenId{token});
      ends.push_back(byte_count_ + bytes.size());
      added.push_back(token);
    }
    append(&bytes_, byte_count_, bytes.data(), bytes.size());
    append(&ends_, token_count_, ends.data(), ends.size());
    append(&tokens_, token_count_, added.data(), added.size());
    byte_count_ += bytes.size();
    token_count_ += added.size();
  }

 private:
  static void append(GrowingDataset* list, hsize_t at, const void* values, hsize_t rows) {
    if (rows == 0) return;
    list->append(at, values, rows);
    list->flush();
  }

  const Vocabulary& vocabulary_;
  std::vector<bool> known_;
  GrowingDataset bytes_;
  GrowingDataset ends_;
  GrowingDataset tokens_;
  hsize_t byte_count_ = 0;
  hsize_t token_count_ = 0;
};

// ---------------------------------------------------------------------------------------------- the result

std::vector<double> normalised(const std::vector<double>& log_weights) {
  const double total = exact_log_sum_exp(log_weights);
  std::vector<double> weights;
  for (const double log_weight : log_weights)
    weights.push_back(std::isinf(total) ? 0.0 : exact_exp(log_weight - total));
  return weights;
}

/// Share of the weight of all particles that each entry stands for.
std::vector<double> shares(const smc::RunResult& result, int particles) {
  std::vector<double> weights;
  for (const smc::ParticleResult& entry : result.particles) {
    const double weight = std::isinf(result.log_z) ? 0.0 : exact_exp(entry.log_weight - result.log_z);
    weights.push_back(static_cast<double>(entry.count) / particles * weight);
  }
  return weights;
}

template <class T, class Items, class Field>
std::vector<T> collect(const Items& items, const Field& field) {
  std::vector<T> values;
  values.reserve(items.size());
  for (const auto& item : items) values.push_back(static_cast<T>(field(item)));
  return values;
}

/// Of every particle, or of each history with the number of its particles.
void write_result_particles(hid_t root, hid_t group, const TraceInfo& info, const smc::RunResult& result) {
  const auto& particles = result.particles;
  const hdf5::Dataset scale = info.lists_particles
                                  ? hdf5::Dataset(H5Dopen2(root, particle_scale, H5P_DEFAULT))
                                  : create_scale(group, "history", static_cast<std::int32_t>(particles.size()),
                                                 "particles with the same tokens, by falling weight");
  const std::array dimensions{Dimension{info.lists_particles ? "particle" : "history", scale.get()}};
  const auto finish = [&](const hdf5::Dataset& dataset, const Column& column) {
    describe(dataset.get(), column);
    attach(dataset.get(), dimensions);
  };
  const auto log_weight = collect<double>(particles, [](const auto& p) { return p.log_weight; });
  finish(create_texts(group, "texts", collect<std::string>(particles, [](const auto& p) { return p.text; })),
         {"", "1", "answers, UTF-8"});
  finish(create_fixed(group, "tokens", collect<std::int32_t>(particles, [](const auto& p) { return p.tokens.size(); })),
         {"", "1", "tokens of the answer, without the end of sequence"});
  finish(create_fixed(group, "log_weight", log_weight), {"", "nat", "logsumexp - ln N = log_z"});
  finish(create_fixed(group, "weights", info.lists_particles ? normalised(log_weight) : shares(result, info.particles)),
         {"", "1", "probabilities; all zero if extinct"});
  if (!info.lists_particles)
    finish(create_fixed(group, "count", collect<std::uint64_t>(particles, [](const auto& p) { return p.count; })),
           {"", "1", "particles"});
  finish(create_fixed(group, "finished", collect<std::uint8_t>(particles, [](const auto& p) { return p.finished; })),
         {"", "1", "1 if the answer has ended"});
}

void write_posterior(hid_t result_group, const std::vector<smc::PosteriorEntry>& posterior) {
  const hdf5::Group group = create_group(result_group, "posterior");
  const hdf5::Dataset scale =
      create_scale(group.get(), "entry", static_cast<std::int32_t>(posterior.size()), "by falling probability");
  const std::array dimensions{Dimension{"entry", scale.get()}};
  const hdf5::Dataset texts =
      create_texts(group.get(), "text", collect<std::string>(posterior, [](const auto& e) { return e.text; }));
  describe(texts.get(), {"", "1", "distinct answers, UTF-8"});
  attach(texts.get(), dimensions);
  const hdf5::Dataset probabilities =
      create_fixed(group.get(), "probability", collect<double>(posterior, [](const auto& e) { return e.probability; }));
  describe(probabilities.get(), {"", "1", "share of the weight"});
  attach(probabilities.get(), dimensions);
}

void write_result(hid_t root, const TraceInfo& info, const smc::RunResult& result) {
  const hdf5::Group group = create_group(root, "result");
  write_result_particles(root, group.get(), info, result);
  write_posterior(group.get(), result.posterior);
  const auto text = [&](const char* name, const std::string& value, const char* meaning) {
    describe(create_text(group.get(), name, value).get(), {name, "1", meaning});
  };
  const auto number = [&](const char* name, auto value, const char* units, const char* meaning) {
    describe(create_scalar(group.get(), name, value).get(), {name, units, meaning});
  };
  text("best", result.response, "most probable answer, UTF-8");
  text("finish_reason", std::string(to_string(result.reason)), "why the run ended");
  text("extinct_by", result.extinct_by, "potential that killed the last particles, if extinct");
  number("log_z", result.log_z, "nat", "estimate of the log marginal likelihood");
  number("ess", result.ess, "1", "effective sample size");
  number("wall_s", result.wall_s, "s", "time that the run took");
  number("token_steps", result.token_steps, "1", "token steps");
  number("particle_tokens", result.particle_tokens, "1", "tokens drawn, over all ranks");
}

}  // namespace

class TraceWriter::Impl {
 public:
  Impl(const std::string& path, TraceInfo info, const Vocabulary* vocabulary)
      : path_(link_target(path)), info_(std::move(info)), vocabulary_(vocabulary) {
    check_trace_target(path_);
    PartialFile partial(path_);
    create_batch_part(partial.path(), info_);
    partial.place();
    try {
      open_for_appending(path_);
    } catch (...) {
      unlink(path_.c_str());
      throw;
    }
    if (locking_wanted()) mark_in_use();
  }

  /// The batches are written anew, beside the old file, which so stays as it is until the new one is whole.
  Impl(const std::string& path, TraceInfo info, const Vocabulary* vocabulary, const TraceMark& mark)
      : path_(link_target(path)), info_(std::move(info)), vocabulary_(vocabulary) {
    check_trace_target(path_);
    Trace old = read_trace(path_);
    const auto batches = marked_batches(path_, &old, info_, mark);
    old.info.ranks = std::max(old.info.ranks, info_.ranks);
    info_ = std::move(old.info);
    PartialFile partial(path_);
    create_batch_part(partial.path(), info_);
    open_for_appending(partial.path());
    for (const smc::BatchRecord& record : batches) append(record);
    partial.sync_to_disk();
    partial.place();
    if (locking_wanted()) mark_in_use();
  }

  void append(const smc::BatchRecord& record) {
    if (token_list_) token_list_->add(record.token);
    std::size_t next = 0;
    for_each_scalar(record, [&](const Column&, const auto& value) { columns_[next++].append(rows_, &value); });
    if (info_.lists_particles) append_particles(record, next);
    for (GrowingDataset& column : columns_) column.flush();
    file_.check_writes();
    commit(record.batch);
    add_batch(record, &hash_);
  }

  TraceMark sync() {
    if (const FileDescriptor file(path_); file.get() < 0 || fsync(file.get()) != 0)
      throw hdf5::Failure(std::strerror(errno));
    return {rows_, hash_.value()};
  }

  void finish(const smc::RunResult& result) {
    close();
    PartialFile partial(path_);
    fs::copy_file(path_, partial.path(), fs::copy_options::overwrite_existing);
    auto file = hdf5::WritableFile::open(partial.path(), H5F_ACC_RDWR);
    write_result(file.get(), info_, result);
    file.close();
    partial.sync_to_disk();
    partial.place();
    in_use_.reset();
  }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  /// @param next the first of their columns
  void append_particles(const smc::BatchRecord& record, std::size_t next) {
    for_each_array(record, [&](const Column&, RowShape shape, const auto& values) {
      [[maybe_unused]] const Shape row = row_shape(info_, shape);
      SHOAL_EXPECT(values.size() == std::accumulate(row.begin(), row.end(), hsize_t{1}, std::multiplies<>()));
      columns_[next++].append(rows_, values.data());
    });
    const auto particles = static_cast<std::size_t>(info_.particles);
    SHOAL_EXPECT(record.potential.size() == info_.potentials.size() * particles);
    for (std::size_t k = 0; k < info_.potentials.size(); ++k)
      columns_[next++].append(rows_, record.potential.data() + k * particles);
  }

  void open_for_appending(const std::string& path) {
    file_ = hdf5::WritableFile::open(path, H5F_ACC_RDWR | H5F_ACC_SWMR_WRITE);
    const smc::BatchRecord sample;
    for_each_scalar(sample, [&]<class T>(const Column& column, const T&) {
      columns_.emplace_back(file_.get(), std::string("batch/") + column.name, hdf5::memory_type<T>(), Shape{});
    });
    if (info_.lists_particles) open_particle_columns();
    committed_.emplace(file_.get(), batch_scale, hdf5::memory_type<std::int64_t>(), Shape{});
  }

  void open_particle_columns() {
    const smc::BatchRecord sample;
    for_each_array(sample, [&]<class T>(const Column& column, RowShape shape, const std::vector<T>&) {
      columns_.emplace_back(file_.get(), std::string("particle/") + column.name, hdf5::memory_type<T>(),
                            row_shape(info_, shape));
    });
    for (const std::string& name : dataset_names(info_.potentials))
      columns_.emplace_back(file_.get(), "potential/" + name, hdf5::memory_type<double>(),
                            row_shape(info_, RowShape::per_particle));
    if (vocabulary_ != nullptr) token_list_.emplace(file_.get(), *vocabulary_);
  }

  /// HDF5 lets go of its lock once a SWMR writer has opened the file; ours tells a second run that this one lives.
  /// It is a courtesy: where the file system has no locks, the run goes on without.
  void mark_in_use() {
    in_use_ = std::make_unique<FileDescriptor>(path_);
    if (in_use_->get() < 0 || flock(in_use_->get(), LOCK_SH | LOCK_NB) != 0) in_use_.reset();
  }

  void commit(std::int64_t batch) {
    committed_->append(rows_, &batch);
    committed_->flush();
    file_.check_writes();
    ++rows_;
  }

  void close() {
    columns_.clear();
    token_list_.reset();
    committed_.reset();
    file_.close();
  }

  std::string path_;
  TraceInfo info_;
  const Vocabulary* vocabulary_;  ///< or null
  hdf5::WritableFile file_;
  std::vector<GrowingDataset> columns_;  ///< scalars, arrays, potentials, as the layout lists them
  std::optional<TokenList> token_list_;
  std::optional<GrowingDataset> committed_;  ///< batch_scale
  std::unique_ptr<FileDescriptor> in_use_;
  hsize_t rows_ = 0;
  ContentHash hash_;  ///< of the rows
};

TraceWriter::TraceWriter(const std::string& path, TraceInfo info, const Vocabulary* vocabulary) {
  SHOAL_EXPECT(info.particles > 0 && info.batch_size > 0);
  const hdf5::Quiet quiet;
  try {
    impl_ = std::make_unique<Impl>(path, std::move(info), vocabulary);
  } catch (const hdf5::Failure& failure) {
    refuse(path, failure.what(), "free some space or choose another name");
  }
}

TraceWriter::TraceWriter(const std::string& path, TraceInfo info, const Vocabulary* vocabulary,
                         const std::optional<TraceMark>& mark) {
  const hdf5::Quiet quiet;
  if (!mark) refuse_to_continue(path, "it exists, and the run that wrote the checkpoint wrote no trace");
  try {
    impl_ = std::make_unique<Impl>(path, std::move(info), vocabulary, *mark);
  } catch (const hdf5::Failure& failure) {
    refuse(path, failure.what(), "free some space or choose another name");
  }
}

TraceWriter::~TraceWriter() {
  const hdf5::Quiet quiet;
  impl_.reset();
}

void TraceWriter::on_batch(const smc::BatchRecord& record) {
  const hdf5::Quiet quiet;
  try {
    impl_->append(record);
  } catch (const hdf5::Failure& failure) {
    throw IoError("cannot write batch " + std::to_string(record.batch) + " to the trace " + impl_->path() + " (" +
                  failure.what() + ") the batches before it can be read; free some space or choose another folder");
  }
}

TraceMark TraceWriter::sync() {
  const hdf5::Quiet quiet;
  try {
    return impl_->sync();
  } catch (const hdf5::Failure& failure) {
    refuse(impl_->path(), failure.what(), "its batches can be read; free some space or choose another folder");
  }
}

void TraceWriter::finish(const smc::RunResult& result) {
  const hdf5::Quiet quiet;
  const auto fail = [&](const std::string& why) {
    throw IoError("cannot add the result to the trace " + impl_->path() + " (" + why +
                  ") its batches can be read; free some space or choose another folder");
  };
  try {
    impl_->finish(result);
  } catch (const hdf5::Failure& failure) {
    fail(failure.what());
  } catch (const fs::filesystem_error& error) {
    fail(error.code().message());
  }
}

}  // namespace shoal::trace

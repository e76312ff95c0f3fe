#include <cstdint>
#include <string>
#include <vector>

#include "shoal/error.hpp"
#include "smc/weights.hpp"
#include "trace/checkpoint.hpp"
#include "trace/checkpoint_layout.hpp"
#include "trace/hdf5_objects.hpp"
#include "trace/partial_file.hpp"
#include "trace/trace_file.hpp"
#include "trace/writable_file.hpp"

namespace shoal::trace {
namespace {

using smc::HistoryState;

[[noreturn]] void refuse(const std::string& path, const std::string& why, const std::string& what_to_do) {
  throw IoError("cannot write the checkpoint " + (path.empty() ? "''" : path) + " (" + why + ") " + what_to_do);
}

/// Lists of several histories, one after the other.
template <class T>
struct Lists {
  std::vector<T> values;
  std::vector<std::uint64_t> ends;

  template <class List>
  void add(const List& list) {
    values.insert(values.end(), list.begin(), list.end());
    ends.push_back(values.size());
  }
  void write(hid_t group, const std::string& name) const {
    create_fixed(group, name.c_str(), values);
    create_fixed(group, (name + end_suffix).c_str(), ends);
  }
};

double log_z_of(const smc::RunState& state) {
  std::vector<double> log_weights;
  for (const std::uint32_t history : state.history_of) log_weights.push_back(state.histories[history].log_weight);
  return smc::log_mean_weight(smc::integer_weights(log_weights));
}

void write_attributes(hid_t root, const Checkpoint& checkpoint, const std::string& description) {
  write_fixed_text_attribute(root, "format", checkpoint_format);
  write_attribute(root, "format_version", checkpoint_version);
  write_attribute(root, "content_hash", content_hash(checkpoint, description));
  write_fixed_text_attribute(root, "fingerprint", fingerprint(checkpoint.identity));
  write_fixed_text_attribute(root, "shoal_version", checkpoint.info.shoal_version);
  write_fixed_text_attribute(root, "model_id", checkpoint.info.model_id);
  write_fixed_text_attribute(root, "weights_hash", checkpoint.info.weights_hash);
  write_attribute(root, "seed", checkpoint.info.seed);
  write_attribute(root, "log_z", log_z_of(checkpoint.state));
  for_each_total(checkpoint.state, [&](const char* name, auto value) { write_attribute(root, name, value); });
  write_attribute<std::int64_t>(root, "trace_batches",
                                checkpoint.trace ? static_cast<std::int64_t>(checkpoint.trace->batches) : -1);
  write_attribute(root, "trace_hash", checkpoint.trace ? checkpoint.trace->hash : 0);
}

void write_histories(hid_t root, const std::vector<HistoryState>& histories) {
  const hdf5::Group group = create_group(root, "history");
  const HistoryState sample;
  std::size_t index = 0;
  for_each_number(sample, [&]<class T>(const char* name, const T&) {
    std::vector<T> values;
    for (const HistoryState& history : histories) {
      std::size_t at = 0;
      for_each_number(history, [&]<class U>(const char*, const U& value) {
        if constexpr (std::same_as<T, U>)
          if (at == index) values.push_back(value);
        ++at;
      });
    }
    create_fixed(group.get(), name, values);
    ++index;
  });
  std::vector<std::uint8_t> status;
  Lists<std::uint8_t> texts;
  Lists<std::int32_t> tokens;
  for (const HistoryState& history : histories) {
    status.push_back(static_cast<std::uint8_t>(history.status));
    texts.add(history.text);
    std::vector<std::int32_t> ids;
    for (const TokenId token : history.tokens) ids.push_back(token.value());
    tokens.add(ids);
  }
  create_fixed(group.get(), "status", status);
  texts.write(group.get(), "text");
  tokens.write(group.get(), "token");
}

void write_potentials(hid_t root, const Checkpoint& checkpoint) {
  const hdf5::Group all = create_group(root, "potential");
  const auto names = dataset_names(checkpoint.info.potentials);
  for (std::size_t k = 0; k < names.size(); ++k) {
    const hdf5::Group group = create_group(all.get(), names[k].c_str());
    std::vector<double> values;
    Lists<std::uint8_t> states;
    for (const HistoryState& history : checkpoint.state.histories) {
      values.push_back(history.values.at(k));
      states.add(history.states.at(k));
    }
    create_fixed(group.get(), "value", values);
    states.write(group.get(), "state");
  }
}

void write_file(const std::string& path, const Checkpoint& checkpoint) {
  const std::string description = describe_run(checkpoint);
  auto file = hdf5::WritableFile::create(path);
  write_attributes(file.get(), checkpoint, description);
  create_fixed(file.get(), "description", std::vector<std::uint8_t>(description.begin(), description.end()));
  std::vector<std::int32_t> prompt;
  for (const TokenId token : checkpoint.prompt) prompt.push_back(token.value());
  create_fixed(file.get(), "prompt", prompt);
  create_fixed(file.get(), history_of_particle, checkpoint.state.history_of);
  write_histories(file.get(), checkpoint.state.histories);
  write_potentials(file.get(), checkpoint);
  file.close();
}

bool is_checkpoint(const std::string& path) { return has_format(path, checkpoint_format); }

}  // namespace

void check_checkpoint_target(const std::string& path) {
  const hdf5::Quiet quiet;
  check_target(path, "Shoal checkpoint", is_checkpoint,
               [&](const std::string& why, const std::string& what_to_do) { refuse(path, why, what_to_do); });
}

void write_checkpoint(const std::string& path, const Checkpoint& checkpoint) {
  const hdf5::Quiet quiet;
  try {
    const std::string target = link_target(path);
    PartialFile partial(target);
    write_file(partial.path(), checkpoint);
    partial.place_keeping(previous_checkpoint(target));
  } catch (const hdf5::Failure& failure) {
    refuse(path, failure.what(), "the one before it is kept; free some space or choose another folder");
  }
}

}  // namespace shoal::trace

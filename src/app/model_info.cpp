#include "app/model_info.hpp"

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "lm/available_memory.hpp"
#include "lm/cpu/matmul.hpp"
#include "lm/model_summary.hpp"

namespace shoal::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<DType, 3> dtypes{DType::f32, DType::bf16, DType::int8};

/// The embedding stays in the file, which the page cache holds if there is room.
std::uint64_t packed_bytes(const ModelSummary& model) {
  std::uint64_t bytes = 0;
  for (const ModelPart& part : model.parts)
    if (part.name != "embedding") bytes += part.bytes;
  return bytes;
}

std::vector<int> lengths_up_to(int most) {
  std::vector<int> lengths;
  for (const int length : {128, 512, 2048, 8192, 32768})
    if (length < most) lengths.push_back(length);
  lengths.push_back(most);
  return lengths;
}

/// "311 MiB", in three digits.
std::string size_text(std::uint64_t bytes) {
  constexpr std::array<const char*, 4> units{" B", " KiB", " MiB", " GiB"};
  auto size = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; size >= 1000.0 && unit + 1 < units.size(); ++unit) size /= 1024.0;
  std::ostringstream text;
  text << std::fixed << std::setprecision(unit == 0 || size >= 100.0 ? 0 : size >= 10.0 ? 1 : 2) << size << units[unit];
  return text.str();
}

void row(std::ostream& out, const std::string& label, const std::vector<std::string>& cells) {
  out << "  " << std::left << std::setw(20) << label;
  for (const std::string& cell : cells) out << std::right << std::setw(14) << cell;
  out << '\n';
}

/// One cell for each type.
template <class Cell>
std::vector<std::string> by_type(const ModelInfo& info, const Cell& cell) {
  std::vector<std::string> cells;
  for (const ModelInfo::Type& type : info.types) cells.push_back(cell(type));
  return cells;
}

void print_parts(const ModelInfo& info, std::ostream& out) {
  row(out, "", {"parameters", "in f32", "in bf16", "in int8"});
  const auto line = [&](const std::string& label, std::uint64_t parameters, const auto& bytes) {
    auto cells = by_type(info, [&](const auto& type) { return size_text(bytes(type.summary)); });
    cells.insert(cells.begin(), std::to_string(parameters));
    row(out, label, cells);
  };
  const ModelSummary& any = info.types.front().summary;
  for (std::size_t i = 0; i < any.parts.size(); ++i)
    line(any.parts[i].name, any.parts[i].parameters, [&](const ModelSummary& s) { return s.parts[i].bytes; });
  line("all", any.parameters, [](const ModelSummary& s) { return s.weight_bytes; });
}

void print_room(const ModelInfo& info, std::ostream& out) {
  const auto line = [&](const std::string& label, const auto& cell) {
    auto cells = by_type(info, cell);
    cells.insert(cells.begin(), "");
    row(out, label, cells);
  };
  const auto lengths = [&](const auto& kv) {
    for (std::size_t i = 0; i < info.lengths.size(); ++i)
      line("  of " + std::to_string(info.lengths[i]) + " tokens",
           [&](const auto& type) { return std::to_string(kv(type).particles[i]); });
  };
  line("keys, values/token", [](const auto& type) { return size_text(type.kv.bytes_per_token); });
  const bool int8_kv = lm::cpu::has_vnni();
  if (int8_kv) line("  --kv-dtype int8", [](const auto& type) { return size_text(type.int8_kv.bytes_per_token); });
  out << "\n  particles that fit into the " << size_text(info.available) << " free on this node, if all differ:\n";
  lengths([](const auto& type) { return type.kv; });
  if (!int8_kv) return;
  out << "  and with --kv-dtype int8:\n";
  lengths([](const auto& type) { return type.int8_kv; });
}

/// With @p info's lengths and memory.
ModelInfo::Type::Kv room_for(const ModelSummary& model, const ModelInfo& info) {
  ModelInfo::Type::Kv kv{model.kv_bytes_per_token, {}};
  const std::uint64_t left = info.available - std::min(info.available, packed_bytes(model));
  for (const int length : info.lengths) {
    // The prompt's own context is one that no particle needs to stand on.
    kv.particles.push_back(std::max<std::uint64_t>(contexts_that_fit(model, length, left), 1) - 1);
  }
  return kv;
}

Json to_json(const ModelInfo::Type::Kv& kv, const std::vector<int>& lengths) {
  Json json = {{"kv_bytes_per_token", kv.bytes_per_token}, {"particles_that_fit", Json::object()}};
  for (std::size_t i = 0; i < lengths.size(); ++i)
    json["particles_that_fit"][std::to_string(lengths[i])] = kv.particles[i];
  return json;
}

}  // namespace

ModelInfo describe_model(const std::string& source) {
  ModelInfo info;
  const ModelSummary best = summarize_model(source, DType::automatic);
  info.best = best.dtype;
  info.lengths = lengths_up_to(best.max_context);
  info.available = lm::available_memory();
  for (std::size_t i = 0; i < dtypes.size(); ++i) {
    ModelInfo::Type& type = info.types[i];
    type.summary = summarize_model(source, dtypes[i]);
    type.kv = room_for(type.summary, info);
    type.int8_kv = room_for(summarize_model(source, dtypes[i], KvDType::int8), info);
  }
  return info;
}

Json to_json(const ModelInfo& info) {
  const auto best = std::find_if(info.types.begin(), info.types.end(),
                                 [&](const auto& type) { return type.summary.dtype == info.best; });
  const ModelSummary& s = best == info.types.end() ? info.types.front().summary : best->summary;
  Json json = {{"id", s.id},
               {"architecture", s.architecture},
               {"device", s.device},
               {"isa", s.isa},
               {"dtype", info.best},
               {"parameters", s.parameters},
               {"weight_bytes", s.weight_bytes},
               {"kv_bytes_per_token", s.kv_bytes_per_token},
               {"vocabulary_size", s.vocabulary_size},
               {"max_context", s.max_context},
               {"hash", s.hash}};
  for (std::size_t t = 0; t < info.types.size() && !s.parts.empty(); ++t) {
    const ModelInfo::Type& type = info.types[t];
    Json entry = {{"weight_bytes", type.summary.weight_bytes}};
    entry.update(to_json(type.kv, info.lengths));
    if (lm::cpu::has_vnni()) entry["int8_kv"] = to_json(type.int8_kv, info.lengths);
    for (const ModelPart& part : type.summary.parts)
      entry["parts"][part.name] = {{"parameters", part.parameters}, {"bytes", part.bytes}};
    json["types"][lm::type_name(dtypes[t])] = std::move(entry);
  }
  json["available_memory"] = info.available;
  return json;
}

void print(const ModelInfo& info, std::ostream& out) {
  const ModelSummary& s = info.types.front().summary;
  out << "model                 " << s.id << '\n';
  out << "  architecture        " << s.architecture << '\n'
      << "  hash                " << s.hash << '\n'
      << "  vocabulary          " << s.vocabulary_size << " tokens\n";
  if (s.parts.empty()) return;
  out << "  context             " << s.max_context << " tokens\n"
      << "  type                " << info.best << " unless --dtype says another\n\n";
  print_parts(info, out);
  out << '\n';
  print_room(info, out);
}

}  // namespace shoal::app

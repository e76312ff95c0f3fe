#include "trace/sample.hpp"

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <random>
#include <stdexcept>

#include "trace/trace_layout.hpp"

namespace shoal::trace::testing {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

template <class T>
T random_value(std::mt19937_64& random) {
  if constexpr (std::same_as<T, double>)
    return random() % 16 == 0 ? -infinity : -std::ldexp(static_cast<double>(random() >> 11), -50);
  else if constexpr (std::same_as<T, bool>)
    return random() % 2 == 0;
  else
    return static_cast<T>(random() % 100);
}

template <class T>
bool same_bits(const T& a, const T& b) {
  if constexpr (std::same_as<T, double>)
    return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
  else
    return a == b;
}

}  // namespace

TraceInfo sample_info(int particles, int batch_size) {
  TraceInfo info;
  info.shoal_version = "0.1.0";
  info.build = "GNU 12.2.0 Release";
  info.command_line = "shoal generate --prompt 'Wie geht\xe2\x80\x99s?' --trace run.h5";
  info.options_json = R"({"particles": 7, "temperature": 0.7})";
  info.model_id = "minnow";
  info.weights_hash = "0123456789abcdef";
  info.device = "cpu";
  info.start_time = "2026-01-31T12:34:56Z";
  info.prompt = "Tell me about \xe4\xb8\xad\xe6\x96\x87.\nIn two lines.";
  info.seed = std::numeric_limits<std::uint64_t>::max() - 1;
  info.ranks = 3;
  info.particles = particles;
  info.batch_size = batch_size;
  info.potentials = {"regex", "style/formal", "regex", ".hidden", ""};
  return info;
}

smc::BatchRecord sample_batch(const TraceInfo& info, std::uint64_t seed, std::uint32_t batch) {
  std::mt19937_64 random(seed * 1'000'003 + batch);
  const auto n = static_cast<std::size_t>(info.particles);
  smc::BatchRecord record;
  record.batch = batch;
  for_each_scalar(record, [&]<class T>(const Column&, T& value) { value = random_value<T>(random); });
  for_each_array(record, [&]<class T>(const Column&, RowShape shape, std::vector<T>& values) {
    values.resize(shape == RowShape::per_token ? n * static_cast<std::size_t>(info.batch_size) : n);
    for (T& value : values) value = random_value<T>(random);
  });
  record.token.back() = -1;
  record.potential.resize(info.potentials.size() * n);
  for (double& value : record.potential) value = random_value<double>(random);
  return record;
}

const Vocabulary& sample_vocabulary() {
  static const Vocabulary vocabulary = [] {
    std::vector<std::string> bytes{"", "\xc3", "\xa4", std::string(1, '\0')};
    while (bytes.size() < 100) bytes.push_back(" w" + std::to_string(bytes.size()));
    return Vocabulary(std::move(bytes), {TokenId{0}});
  }();
  return vocabulary;
}

smc::RunResult sample_result(const TraceInfo& info, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  smc::RunResult result;
  result.reason = smc::FinishReason::timeout;
  result.log_z = -12.25;
  result.ess = 3.5;
  result.wall_s = 1.5;
  for (int i = 0; i < info.particles; ++i) {
    smc::ParticleResult particle;
    particle.text = i == 0 ? "" : "\xc3\xa4nswer " + std::string(random() % 300, 'x');
    particle.tokens.assign(random() % 50, TokenId{1});
    particle.log_weight = i == 1 ? -infinity : random_value<double>(random);
    particle.finished = i % 2 == 0;
    result.particles.push_back(std::move(particle));
  }
  result.posterior = {{"most \xe2\x9c\x93", 0.75}, {"", 0.25}};
  result.response = "most \xe2\x9c\x93";
  return result;
}

std::string difference(const smc::BatchRecord& a, const smc::BatchRecord& b) {
  std::string first = a.batch == b.batch ? "" : "batch";
  const auto note = [&](bool same, const char* name) {
    if (!same && first.empty()) first = name;
  };
  const auto compare = [&](const char* name, const auto& left, const auto& right) {
    if constexpr (std::same_as<decltype(left), decltype(right)>) note(same_bits(left, right), name);
  };
  std::size_t i = 0;
  for_each_scalar(a, [&](const Column& column, const auto& left) {
    std::size_t j = 0;
    for_each_scalar(b, [&](const Column&, const auto& right) {
      if (i == j++) compare(column.name, left, right);
    });
    ++i;
  });
  note(std::ranges::equal(a.log_weight, b.log_weight, same_bits<double>), "log_weight");
  note(a.ancestor == b.ancestor, "ancestor");
  note(a.rank == b.rank, "rank");
  note(a.token == b.token, "token");
  note(a.finished == b.finished, "finished");
  note(std::ranges::equal(a.potential, b.potential, same_bits<double>), "potential");
  return first;
}

ScratchFolder::ScratchFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "shoal-trace-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no scratch folder");
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<std::string> ScratchFolder::list() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path_))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

}  // namespace shoal::trace::testing

#include "trace/lineage.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/exact_math.hpp"
#include "shoal/error.hpp"

namespace shoal::trace {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

bool has_sizes(const smc::BatchRecord& record, const TraceInfo& info) {
  const std::size_t n = info.lists_particles ? static_cast<std::size_t>(info.particles) : 0;
  return record.log_weight.size() == n && record.ancestor.size() == n && record.rank.size() == n &&
         record.finished.size() == n && record.token.size() == n * static_cast<std::size_t>(info.batch_size) &&
         record.potential.size() == n * info.potentials.size();
}

LogZError no_error(std::size_t founders, const char* why_not) { return {nan, nan, founders, why_not}; }

/// @param shares weight of the descendants of each particle of the first batch; sums to 1, or to 0 if extinct
LogZError log_z_error(std::span<const double> shares, int resamplings) {
  const auto n = static_cast<double>(shares.size());
  const auto founders = static_cast<std::size_t>(std::ranges::count_if(shares, [](double s) { return s > 0.0; }));
  if (founders == 0) return no_error(0, "every weight is zero");
  if (shares.size() == 1) return no_error(1, "one particle says nothing about its spread");
  if (founders == 1) return {nan, 1.0, 1, "all particles descend from one particle of the first batch"};
  const double squares =
      std::transform_reduce(shares.begin(), shares.end(), 0.0, std::plus<>(), [](double s) { return s * s; });
  const double variance = 1.0 - std::pow(n / (n - 1.0), resamplings + 1) * (1.0 - squares);
  if (variance < -1e-12) return {nan, variance, founders, "the estimate is negative, as happens with few particles"};
  return {std::sqrt(std::max(variance, 0.0)), variance, founders, ""};
}

}  // namespace

void check_lineage(const Trace& trace) {
  const auto damaged = [](const std::string& what) {
    throw IoError("cannot use the trace (damaged: " + what + ") give a whole trace of this version of Shoal");
  };
  const auto n = static_cast<std::uint32_t>(trace.info.particles);
  if (trace.info.particles < 1 || trace.info.batch_size < 1) damaged("no particles");
  for (const smc::BatchRecord& record : trace.batches) {
    if (!has_sizes(record, trace.info)) damaged("the arrays of batch " + std::to_string(record.batch));
    if (std::ranges::any_of(record.ancestor, [n](std::uint32_t a) { return a >= n; }))
      damaged("the ancestors of batch " + std::to_string(record.batch));
  }
}

std::vector<double> probabilities(const smc::BatchRecord& record) {
  const double total = exact_log_sum_exp(record.log_weight);
  std::vector<double> shares(record.log_weight.size(), 0.0);
  if (!std::isfinite(total)) return shares;
  std::ranges::transform(record.log_weight, shares.begin(), [total](double w) { return exact_exp(w - total); });
  return shares;
}

std::uint32_t parent(const Trace& trace, std::size_t b, std::uint32_t i) { return trace.batches[b - 1].ancestor[i]; }

std::vector<std::uint32_t> ancestors_at(const Trace& trace, std::span<const std::uint32_t> particles, std::size_t from,
                                        std::size_t to) {
  std::vector<std::uint32_t> result(particles.begin(), particles.end());
  for (std::size_t b = from; b > to; --b)
    for (std::uint32_t& i : result) i = parent(trace, b, i);
  return result;
}

std::vector<std::size_t> surviving_lineages(const Trace& trace) {
  std::vector<std::size_t> counts(trace.batches.size());
  if (trace.batches.empty() || !trace.info.lists_particles) return counts;
  const auto n = static_cast<std::size_t>(trace.info.particles);
  std::vector<bool> alive(n);
  const auto& last = trace.batches.back().log_weight;
  for (std::size_t i = 0; i < n; ++i) alive[i] = last[i] > -std::numeric_limits<double>::infinity();
  for (std::size_t b = counts.size(); b-- > 0;) {
    counts[b] = static_cast<std::size_t>(std::count(alive.begin(), alive.end(), true));
    if (b == 0) break;
    std::vector<bool> parents(n, false);
    for (std::uint32_t i = 0; i < n; ++i)
      if (alive[i]) parents[parent(trace, b, i)] = true;
    alive.swap(parents);
  }
  return counts;
}

std::string batch_text(const Trace& trace, std::size_t b, std::uint32_t i) {
  const auto width = static_cast<std::size_t>(trace.info.batch_size);
  const auto tokens = std::span(trace.batches[b].token).subspan(i * width, width);
  std::string text;
  for (const std::int32_t token : tokens) {
    if (token < 0) continue;
    const auto known = trace.token_bytes.find(token);
    text += known == trace.token_bytes.end() ? "[" + std::to_string(token) + "]" : known->second;
  }
  return text;
}

std::string text_after(const Trace& trace, std::size_t b, std::uint32_t i) {
  std::vector<std::string> pieces{batch_text(trace, b, i)};
  for (; b > 0; --b) {
    i = parent(trace, b, i);
    pieces.push_back(batch_text(trace, b - 1, i));
  }
  std::string text;
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) text += *piece;
  return text;
}

std::vector<LogZError> log_z_errors(const Trace& trace) {
  if (!trace.info.lists_particles)
    return std::vector<LogZError>(trace.batches.size(), no_error(0, "the trace does not list so many particles"));
  const auto n = static_cast<std::size_t>(trace.info.particles);
  std::vector<LogZError> errors;
  std::vector<std::uint32_t> founder(n);
  std::iota(founder.begin(), founder.end(), 0U);
  int resamplings = 0;
  for (const smc::BatchRecord& record : trace.batches) {
    const auto weights = probabilities(record);
    std::vector<double> shares(n, 0.0);
    for (std::size_t i = 0; i < n; ++i) shares[founder[i]] += weights[i];
    errors.push_back(trace.batches.front().batch == 0 ? log_z_error(shares, resamplings)
                                                      : no_error(0, "the trace does not hold the run's first batches"));
    if (!record.resampled) continue;
    ++resamplings;
    std::vector<std::uint32_t> next(n);
    for (std::size_t i = 0; i < n; ++i) next[i] = founder[record.ancestor[i]];
    founder.swap(next);
  }
  return errors;
}

}  // namespace shoal::trace

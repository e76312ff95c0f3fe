#include "trace/genlm_export.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>

#include "shoal/error.hpp"
#include "trace/html_text.hpp"
#include "trace/lineage.hpp"

namespace shoal::trace {
namespace {

/// As Python's str(float) and JavaScript's Number() agree on it.
std::string float_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.17g", value);
  return text.data();
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// The log-weight that particle @p i of batch @p b began with.
double weight_before(const Trace& trace, std::size_t b, std::uint32_t i) {
  if (b == 0) return 0.0;
  const smc::BatchRecord& before = trace.batches[b - 1];
  return before.resampled ? before.log_z : before.log_weight[i];
}

class Export {
 public:
  Export(const Trace& trace, std::ostream& out)
      : trace_(trace), out_(out), texts_(static_cast<std::size_t>(trace.info.particles)) {}

  void write() {
    out_ << '[';
    for (std::size_t b = 0; b < trace_.batches.size(); ++b) write_batch(b);
    out_ << "\n]\n";
  }

 private:
  void write_batch(std::size_t b) {
    const bool resampled = b > 0 && trace_.batches[b - 1].resampled;
    out_ << (b == 0 ? "\n" : ",\n") << "{\"step\":" << b + 1 << ",\"mode\":\""
         << (b == 0      ? "init"
             : resampled ? "resample"
                         : "smc_step")
         << '"';
    if (resampled) write_ancestors(trace_.batches[b - 1].ancestor);
    out_ << ",\"particles\":[";
    std::vector<std::string> texts(texts_.size());
    for (std::uint32_t i = 0; i < texts.size(); ++i) {
      const std::string& before = b == 0 ? texts_[i] : texts_[parent(trace_, b, i)];
      texts[i] = write_particle(b, i, before);
    }
    texts_.swap(texts);
    out_ << "]}";
  }

  void write_ancestors(const std::vector<std::uint32_t>& ancestors) {
    out_ << ",\"ancestors\":[";
    for (std::size_t i = 0; i < ancestors.size(); ++i) out_ << (i == 0 ? "" : ",") << ancestors[i];
    out_ << ']';
  }

  /// A character that the batch begins and does not complete is shown with the next batch. @return all its bytes
  std::string write_particle(std::size_t b, std::uint32_t i, const std::string& before) {
    const std::string after = before + batch_text(trace_, b, i);
    const std::size_t shown_before = before.size() - incomplete_tail(before);
    const std::size_t shown = std::max(after.size() - incomplete_tail(after), shown_before);
    const std::string kept = after.substr(0, shown_before);
    const std::string added = after.substr(shown_before, shown - shown_before);
    const double weight = trace_.batches[b].log_weight[i];
    const double increment = std::isinf(weight) ? weight : weight - weight_before(trace_, b, i);
    out_ << (i == 0 ? "" : ",") << "{\"contents\":" << quoted(kept + "<<<" + added + ">>>")
         << ",\"keep\":" << characters(kept) << ",\"contents_incr\":" << quoted(added) << ",\"logweight\":\""
         << float_text(weight) << "\",\"weight_incr\":\"" << float_text(increment) << "\"}";
    return after;
  }

  const Trace& trace_;
  std::ostream& out_;
  std::vector<std::string> texts_;  ///< after the previous batch
};

}  // namespace

void write_genlm_json(const Trace& trace, std::ostream& out) {
  check_lineage(trace);
  if (!trace.info.lists_particles)
    throw UsageError("cannot export the trace (it does not list its " + std::to_string(trace.info.particles) +
                     " particles, as runs of so many do not) trace a smaller run");
  Export(trace, out).write();
}

}  // namespace shoal::trace

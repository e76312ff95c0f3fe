// Who descends from whom in a trace, and what follows from it: texts, surviving lineages, the error of log Z-hat.
// Particle i of batch b+1 continues particle ancestor[i] of batch b. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "trace/trace_reader.hpp"

namespace shoal::trace {

/// Everything below relies on this: arrays of the sizes that TraceInfo says, ancestors that exist.
/// @throws IoError otherwise
void check_lineage(const Trace& trace);

/// Normalised weights after batch @p record; all zero if extinct.
std::vector<double> probabilities(const smc::BatchRecord& record);

/// The particles of batch @p to that @p particles of batch @p from continue, in their order; to <= from.
std::vector<std::uint32_t> ancestors_at(const Trace& trace, std::span<const std::uint32_t> particles, std::size_t from,
                                        std::size_t to);

/// The particle of batch @p b - 1 that particle @p i of batch @p b continues.
std::uint32_t parent(const Trace& trace, std::size_t b, std::uint32_t i);

/// By batch: how many of its particles have descendants of positive weight in the last batch.
std::vector<std::size_t> surviving_lineages(const Trace& trace);

/// The text that particle @p i added in batch @p b, as bytes; token ids if the trace does not hold their bytes.
std::string batch_text(const Trace& trace, std::size_t b, std::uint32_t i);
/// All of its text after batch @p b, from the trace's first batch on.
std::string text_after(const Trace& trace, std::size_t b, std::uint32_t i);

/// Estimate of the standard error of log Z-hat from one run.
struct LogZError {
  double standard_error = 0.0;  ///< NaN if it cannot be estimated
  double variance = 0.0;        ///< estimate of Var(Z-hat) / Z^2, which may be negative; NaN if there is none
  std::size_t founders = 0;     ///< particles of the first batch with descendants of positive weight
  const char* why_not = "";     ///< why it cannot be estimated
};

/// By batch. Chan & Lai (2013), in the unbiased form of Lee & Whiteley (2018, Biometrika 105(3)): with S_e the share of
/// the weight that descends from particle e of the first batch, and r resamplings so far,
/// Var(Z-hat) / Z^2 ~ 1 - (N / (N-1))^(r+1) * (1 - sum_e S_e^2), and its root is the error of log Z-hat (delta method).
/// Exact in expectation for multinomial resampling; the other schemes vary less, so there it tends to be too large.
std::vector<LogZError> log_z_errors(const Trace& trace);

}  // namespace shoal::trace

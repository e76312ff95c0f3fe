// Random traces that are a function of (seed, batch), so that a reader can tell what a row must hold.
#pragma once

#include <cstdint>
#include <string>

#include "shoal/vocabulary.hpp"
#include "smc/run.hpp"
#include "trace/trace_info.hpp"
#include "trace/trace_reader.hpp"

namespace shoal::trace::testing {

TraceInfo sample_info(int particles = 7, int batch_size = 5);
smc::BatchRecord sample_batch(const TraceInfo& info, std::uint64_t seed, std::uint32_t batch);
/// For the tokens of sample_batch, 0..99; 0 ends the text, 1 and 2 are halves of a character.
const Vocabulary& sample_vocabulary();
smc::RunResult sample_result(const TraceInfo& info, std::uint64_t seed);

/// Empty if equal bit by bit, else the first field that differs.
std::string difference(const smc::BatchRecord& a, const smc::BatchRecord& b);

/// A fresh folder, removed with what it holds.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Names in the folder, sorted.
  [[nodiscard]] std::vector<std::string> list() const;

 private:
  std::string path_;
};

}  // namespace shoal::trace::testing

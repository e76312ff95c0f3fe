// What an SMC run says, as text: two runs are the same if their texts are.
#pragma once

#include <ios>
#include <sstream>
#include <string>

#include "smc/run.hpp"

namespace shoal::test {

class Lines {
 public:
  Lines() { out_ << std::hexfloat; }
  template <class... Values>
  void add(const Values&... values) {
    ((out_ << values << ' '), ...);
    out_ << '\n';
  }
  template <class Range>
  void add_all(const char* name, const Range& range) {
    out_ << name << ": ";
    for (const auto& value : range) out_ << +value << ' ';
    out_ << '\n';
  }
  [[nodiscard]] std::string text() const { return out_.str(); }

 private:
  std::ostringstream out_;
};

/// Everything in the records that must not depend on the ranks.
class Recorder final : public smc::Observer {
 public:
  void on_batch(const smc::BatchRecord& r) override {
    lines_.add("batch", r.batch, "tokens", r.tokens, "ess", r.ess, "log_z", r.log_z, "resampled", r.resampled);
    lines_.add_all("log_weight", r.log_weight);
    lines_.add_all("ancestor", r.ancestor);
    lines_.add_all("token", r.token);
    lines_.add_all("finished", r.finished);
    lines_.add_all("potential", r.potential);
  }
  [[nodiscard]] std::string text() const { return lines_.text(); }

 private:
  Lines lines_;
};

inline std::string describe(const smc::RunResult& result) {
  Lines lines;
  lines.add(to_string(result.reason), "log_z", result.log_z, "ess", result.ess, "extinct by", result.extinct_by);
  lines.add("batches", result.batches, "steps", result.token_steps, "drawn", result.particle_tokens);
  for (const smc::ParticleResult& particle : result.particles) {
    lines.add(particle.text, particle.log_weight, particle.finished);
    std::vector<int> ids;
    for (const TokenId id : particle.tokens) ids.push_back(id.value());
    lines.add_all("tokens", ids);
  }
  for (const smc::PosteriorEntry& entry : result.posterior) lines.add(entry.text, entry.probability);
  lines.add("response", result.response);
  return lines.text();
}

}  // namespace shoal::test

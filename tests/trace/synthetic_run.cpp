#include "trace/synthetic_run.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>

#include "trace/lineage.hpp"
#include "trace/trace_writer.hpp"

namespace shoal::trace::testing {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::int32_t end_token = 0;
constexpr std::array words{"",       " work",     " is",       " shared", " by",      " many", " cores", " so",
                           " you",   " can",      " do",       " more",   " in",      " less", " time",  " and",
                           " great", " programs", " split",    " the",    " problem", " into", " nice",  " caf\u00e9s",
                           " of",    " it",       " together", ".",       "!"};
constexpr std::int32_t first_stop = static_cast<std::int32_t>(words.size()) - 2;

bool is_liked(std::int32_t token) { return token == 8 || token == 16 || token == 22 || token == 26; }

struct Particle {
  double log_weight = 0.0;
  double style = 0.0;
  bool finished = false;
};

class Simulation {
 public:
  explicit Simulation(const SyntheticRun& run)
      : run_(run), random_(run.seed), particles_(static_cast<std::size_t>(run.particles)) {}

  Trace trace() {
    Trace trace;
    trace.info = info();
    if (run_.with_vocabulary)
      for (std::size_t t = 0; t < words.size(); ++t) trace.token_bytes[static_cast<std::int32_t>(t)] = words[t];
    for (int b = 0; b < run_.batches; ++b) trace.batches.push_back(batch(b));
    if (run_.with_result) trace.result = result(trace);
    return trace;
  }

 private:
  [[nodiscard]] TraceInfo info() const {
    TraceInfo info;
    info.shoal_version = "0.1.0";
    info.build = "GNU 12.2.0 Release";
    info.command_line = "shoal generate --prompt 'Tell me about parallel processing.' --particles " +
                        std::to_string(run_.particles) + " --regex '.*[.!?]' --style conversational --trace run.h5";
    info.options_json = R"({"model":"minnow","prompt":"Tell me about parallel processing.","temperature":1.0,)"
                        R"("ess_threshold":)" +
                        std::to_string(run_.ess_threshold) + R"(,"timeout":null,"stop":[],"regex":[".*[.!?]"]})";
    info.model_id = "minnow";
    info.weights_hash = "0123456789abcdef";
    info.device = "cpu";
    info.start_time = "2026-01-31T12:34:56Z";
    info.prompt = "Tell me about parallel processing.";
    info.seed = run_.seed;
    info.ranks = run_.ranks;
    info.particles = run_.particles;
    info.batch_size = run_.batch_size;
    info.potentials = {"regex", "style"};
    return info;
  }

  double uniform() { return std::uniform_real_distribution<double>(0.0, 1.0)(random_); }

  void extend(Particle* particle, std::int32_t* tokens) {
    for (int t = 0; t < run_.batch_size && !particle->finished; ++t) {
      if (t > 0 && tokens[t - 1] >= first_stop && uniform() < 0.12) {
        tokens[t] = end_token;
        particle->finished = true;
        break;
      }
      tokens[t] = 1 + static_cast<std::int32_t>(random_() % (words.size() - 1));
      const double liked = is_liked(tokens[t]) ? 0.7 : 0.0;
      particle->style += liked;
      particle->log_weight += liked - 0.8 * uniform();
    }
  }

  smc::BatchRecord batch(int b) {
    smc::BatchRecord r;
    const auto n = static_cast<std::size_t>(run_.particles);
    r.batch = run_.first_batch + static_cast<std::uint32_t>(b);
    r.tokens = run_.batch_size;
    r.token.assign(n * static_cast<std::size_t>(run_.batch_size), -1);
    r.potential.resize(2 * n);
    for (std::size_t i = 0; i < n; ++i) {
      Particle& p = particles_[i];
      extend(&p, r.token.data() + i * static_cast<std::size_t>(run_.batch_size));
      if (uniform() < 0.02 || b == run_.extinct_at) p.log_weight = -infinity;
      r.log_weight.push_back(p.log_weight);
      r.finished.push_back(p.finished ? 1 : 0);
      r.rank.push_back(rank_of(i));
      r.potential[i] = std::isinf(p.log_weight) ? -infinity : 0.0;
      r.potential[n + i] = p.style;
    }
    resample(&r, b + 1 == run_.batches || b == run_.extinct_at);
    fill_scalars(b, &r);
    return r;
  }

  [[nodiscard]] std::int32_t rank_of(std::size_t i) const {
    return static_cast<std::int32_t>(i * static_cast<std::size_t>(run_.ranks) / particles_.size());
  }

  void resample(smc::BatchRecord* r, bool last) {
    const auto n = particles_.size();
    const auto shares = probabilities(*r);
    const double squares = std::inner_product(shares.begin(), shares.end(), shares.begin(), 0.0);
    r->ess = squares > 0 ? 1.0 / squares : 0.0;
    const double largest = *std::ranges::max_element(r->log_weight);
    double sum = 0.0;
    for (const double w : r->log_weight) sum += std::exp(w - largest);
    r->log_z = squares > 0 ? largest + std::log(sum / static_cast<double>(n)) : -infinity;
    r->ancestor.resize(n);
    std::iota(r->ancestor.begin(), r->ancestor.end(), 0U);
    if (last || r->ess >= run_.ess_threshold * static_cast<double>(n)) return;
    r->resampled = true;
    const double offset = uniform();
    double cumulative = 0.0;
    std::size_t next = 0;
    std::vector<Particle> children(n);
    for (std::uint32_t i = 0; i < n; ++i) {
      cumulative += shares[i] * static_cast<double>(n);
      for (; next < n && static_cast<double>(next) + offset < cumulative; ++next) r->ancestor[next] = i;
    }
    for (; next < n; ++next) r->ancestor[next] = r->ancestor[next - 1];
    for (std::size_t i = 0; i < n; ++i) {
      children[i] = particles_[r->ancestor[i]];
      children[i].log_weight = r->log_z;
      if (rank_of(i) != rank_of(r->ancestor[i])) ++r->migration.moved;
    }
    particles_ = std::move(children);
    r->migration.sent = (r->migration.moved + 1) / 2;
    r->migration.messages = r->migration.moved > 0 ? static_cast<std::uint64_t>(run_.ranks) - 1 : 0;
    r->migration.bytes = r->migration.sent * 40'960;
  }

  void fill_scalars(int b, smc::BatchRecord* r) {
    const double growing = static_cast<double>(std::ranges::count(r->finished, 0));
    r->unique_contexts = static_cast<std::uint64_t>(std::min(growing, b == 0 ? growing * 0.6 : growing));
    r->times.decode_s = 0.004 + 2e-5 * growing;
    r->times.potential_s = 0.0011 + 4e-6 * growing;
    r->times.reduce_s = 0.0004 * (1 + uniform());
    r->times.migrate_s = r->resampled ? 0.0009 : 0.0;
    r->times.trace_s = 0.0006;
    time_ += r->times.decode_s + r->times.potential_s + 0.003;
    r->time_s = time_;
  }

  TraceResult result(const Trace& trace) {
    TraceResult result;
    const smc::BatchRecord& last = trace.batches.back();
    const bool extinct = last.ess == 0.0;
    result.finish_reason = extinct ? "extinct" : "completed";
    result.extinct_by = extinct ? "regex" : "";
    result.log_z = last.log_z;
    result.ess = last.ess;
    result.log_weight = last.log_weight;
    result.finished = last.finished;
    result.count.assign(last.finished.size(), 1);
    result.weights = probabilities(last);
    std::map<std::string, double> by_text;
    for (std::uint32_t i = 0; i < last.log_weight.size(); ++i) {
      result.texts.push_back(text_after(trace, trace.batches.size() - 1, i));
      result.tokens.push_back(static_cast<std::int32_t>(result.texts.back().size()));
      if (result.weights[i] > 0) by_text[result.texts.back()] += result.weights[i];
    }
    for (const auto& [text, probability] : by_text) result.posterior.push_back({text, probability});
    std::ranges::stable_sort(result.posterior, std::greater<>(), &smc::PosteriorEntry::probability);
    if (!extinct) result.best = result.posterior.front().text;
    return result;
  }

  SyntheticRun run_;
  std::mt19937_64 random_;
  std::vector<Particle> particles_;
  double time_ = 0.0;
};

smc::FinishReason reason_named(const std::string& name) {
  for (const auto reason : {smc::FinishReason::completed, smc::FinishReason::extinct, smc::FinishReason::timeout})
    if (to_string(reason) == name) return reason;
  return smc::FinishReason::max_tokens;
}

smc::RunResult run_result(const TraceResult& from) {
  smc::RunResult result;
  result.reason = reason_named(from.finish_reason);
  result.extinct_by = from.extinct_by;
  result.response = from.best;
  result.log_z = from.log_z;
  result.ess = from.ess;
  result.posterior = from.posterior;
  for (std::size_t i = 0; i < from.texts.size(); ++i) {
    smc::ParticleResult particle;
    particle.text = from.texts[i];
    particle.tokens.assign(static_cast<std::size_t>(from.tokens[i]), TokenId{1});
    particle.log_weight = from.log_weight[i];
    particle.finished = from.finished[i] != 0;
    result.particles.push_back(std::move(particle));
  }
  return result;
}

}  // namespace

Trace synthetic_trace(const SyntheticRun& run) { return Simulation(run).trace(); }

void write_trace_file(const std::string& path, const Trace& trace) {
  std::vector<std::string> bytes;
  for (const auto& [token, text] : trace.token_bytes) {
    bytes.resize(std::max(bytes.size(), static_cast<std::size_t>(token) + 1));
    bytes[static_cast<std::size_t>(token)] = text;
  }
  const Vocabulary vocabulary(bytes, {});
  TraceWriter writer(path, trace.info, bytes.empty() ? nullptr : &vocabulary);
  for (const smc::BatchRecord& record : trace.batches) writer.on_batch(record);
  if (trace.result) writer.finish(run_result(*trace.result));
}

}  // namespace shoal::trace::testing

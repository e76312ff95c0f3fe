#include "app/result_output.hpp"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <ostream>

namespace shoal::app {
namespace {

using Json = nlohmann::ordered_json;

/// JSON has no infinity: a dead particle's log-weight is null.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

/// Sum over the potentials, in complete form if the text is finished.
double log_potential(const smc::ParticleResult& particle, std::span<const PotentialPtr> potentials) {
  double sum = 0.0;
  for (const PotentialPtr& potential : potentials) {
    PotentialState state = potential->start();
    potential->advance(state, particle.text);
    sum += particle.finished ? potential->log_complete(state) : potential->log_prefix(state);
  }
  return sum;
}

Json particle_json(const smc::ParticleResult& particle, std::span<const PotentialPtr> potentials) {
  Json tokens = Json::array();
  for (const TokenId id : particle.tokens) tokens.push_back(id.value());
  return {{"text", particle.text},
          {"tokens", std::move(tokens)},
          {"log_weight", number(particle.log_weight)},
          {"log_potential", number(log_potential(particle, potentials))},
          {"finished", particle.finished}};
}

/// With its id; or, if equal ones are listed once, with their number.
Json entry_json(const smc::ParticleResult& particle, std::size_t id, const RunContext& context) {
  Json entry = weighed_in_blocks(context.options) ? Json{{"count", particle.count}} : Json{{"id", id}};
  entry.update(particle_json(particle, context.potentials));
  return entry;
}

/// A JSON object on its way out. Lists, which may be long, go entry by entry: as values of the library they would take
/// many times the memory of what they list.
class JsonObject {
 public:
  explicit JsonObject(std::ostream* out) : out_(*out) {}
  void put(const char* key, const Json& value) {
    begin(key);
    put(value);
  }
  /// @param entry gives the i-th of @p count
  template <class Entry>
  void put_list(const char* key, std::size_t count, const Entry& entry) {
    begin(key);
    out_ << '[';
    for (std::size_t i = 0; i < count; ++i) {
      if (i > 0) out_ << ',';
      put(entry(i));
    }
    out_ << ']';
  }
  void end() { out_ << "}\n"; }

 private:
  void begin(const char* key) {
    out_ << (empty_ ? '{' : ',') << '"' << key << "\":";
    empty_ = false;
  }
  void put(const Json& value) { out_ << value.dump(-1, ' ', false, Json::error_handler_t::replace); }

  std::ostream& out_;
  bool empty_ = true;
};

Json timing_json(const smc::RunResult& result, int workers) {
  return {{"wall_s", result.wall_s},
          {"workers", workers},
          {"decode_s", result.times.decode_s},
          {"potential_s", result.times.potential_s},
          {"reduce_s", result.times.reduce_s},
          {"migrate_s", result.times.migrate_s},
          {"trace_s", result.times.trace_s},
          {"checkpoint_s", result.times.checkpoint_s},
          {"batches", result.batches},
          {"token_steps", result.token_steps},
          {"particle_tokens", result.particle_tokens},
          {"particle_tokens_per_s", result.wall_s > 0 ? result.particle_tokens / result.wall_s : 0.0}};
}

std::string format(const char* pattern, double value) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

void row(std::ostream& out, const char* name, const std::string& value) {
  char label[32];
  std::snprintf(label, sizeof label, "  %-18s", name);
  out << label << value << '\n';
}

std::string phases(const smc::RunResult& result) {
  const auto share = [&](const char* name, double seconds) {
    return std::string(name) + format(" %.1f%%", result.wall_s > 0 ? 100.0 * seconds / result.wall_s : 0.0);
  };
  const auto& t = result.times;
  return share("forward", t.decode_s) + ", " + share("potentials", t.potential_s) + ", " +
         share("weights+collectives", t.reduce_s) + ", " + share("migration", t.migrate_s) + ", " +
         share("trace", t.trace_s) + (t.checkpoint_s > 0 ? ", " + share("checkpoints", t.checkpoint_s) : "");
}

}  // namespace

void print_json(const smc::RunResult& result, const RunContext& context, std::ostream& out) {
  JsonObject json(&out);
  json.put("response", result.response);
  json.put("finish_reason", std::string(to_string(result.reason)));
  json.put("log_z", number(result.log_z));
  json.put("ess", result.ess);
  json.put_list("particles", result.particles.size(),
                [&](std::size_t i) { return entry_json(result.particles[i], i, context); });
  json.put_list("posterior", result.posterior.size(), [&](std::size_t i) {
    return Json{{"text", result.posterior[i].text}, {"probability", result.posterior[i].probability}};
  });
  json.put("timing", timing_json(result, context.workers));
  json.put("ranks", context.ranks);
  json.put("seed", context.options.seed);
  json.put("trace", context.trace.empty() ? Json(nullptr) : Json(context.trace));
  if (weighed_in_blocks(context.options)) json.put("unlisted", result.unlisted);
  json.end();
}

void print_table(const smc::RunResult& result, const RunContext& context, std::ostream& out) {
  row(out, "ended", std::string(to_string(result.reason)));
  row(out, "batches", std::to_string(result.batches) + " (" + std::to_string(result.token_steps) + " token steps)");
  row(out, "ESS", format("%.1f", result.ess) + " of " + std::to_string(context.options.particles));
  row(out, "log Z-hat", format("%.4f", result.log_z));
  row(out, "moved particles",
      std::to_string(result.migration.moved) + " (" + std::to_string(result.migration.sent) + " states sent, " +
          format("%.1f MB", result.migration.bytes / 1e6) + ")");
  row(out, "particle-tokens/s", format("%.0f", result.wall_s > 0 ? result.particle_tokens / result.wall_s : 0.0));
  row(out, "time",
      format("%.2f s on ", result.wall_s) + std::to_string(context.ranks) + " rank(s) x " +
          std::to_string(context.workers) + " worker(s)");
  row(out, "time by phase", phases(result));
  if (!context.checkpoint.empty()) row(out, "checkpoint", context.checkpoint);
  row(out, "trace", context.trace.empty() ? "none" : context.trace);
}

std::string extinct_line(const smc::RunResult& result) {
  return "extinct: every particle has weight zero after batch " + std::to_string(result.batches) +
         " (the last were killed by " + result.extinct_by +
         ") use more particles, a weaker constraint, or --proposal masked";
}

}  // namespace shoal::app

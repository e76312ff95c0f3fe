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

/// Each with its id; or, if equal ones are listed once, with their number.
Json particles_json(const smc::RunResult& result, const RunContext& context) {
  Json list = Json::array();
  for (std::size_t i = 0; i < result.particles.size(); ++i) {
    Json one = weighed_in_blocks(context.options) ? Json{{"count", result.particles[i].count}} : Json{{"id", i}};
    one.update(particle_json(result.particles[i], context.potentials));
    list.push_back(std::move(one));
  }
  return list;
}

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
  Json posterior = Json::array();
  for (const auto& entry : result.posterior)
    posterior.push_back({{"text", entry.text}, {"probability", entry.probability}});
  Json json = {{"response", result.response},
               {"finish_reason", std::string(to_string(result.reason))},
               {"log_z", number(result.log_z)},
               {"ess", result.ess},
               {"particles", particles_json(result, context)},
               {"posterior", std::move(posterior)},
               {"timing", timing_json(result, context.workers)},
               {"ranks", context.ranks},
               {"seed", context.options.seed},
               {"trace", context.trace.empty() ? Json(nullptr) : Json(context.trace)}};
  if (weighed_in_blocks(context.options)) json["unlisted"] = result.unlisted;
  out << json.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
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

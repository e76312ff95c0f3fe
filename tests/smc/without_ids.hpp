// What a run came to, without the particles' ids: equal for runs in vectors and in blocks.
#pragma once

#include <ios>
#include <map>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "smc/run.hpp"

namespace shoal::test {

inline std::string without_ids(const smc::RunResult& result) {
  std::map<std::tuple<std::vector<TokenId>, std::string, bool, double>, std::uint64_t> count;
  for (const smc::ParticleResult& p : result.particles) count[{p.tokens, p.text, p.finished, p.log_weight}] += p.count;
  std::ostringstream out;
  out << std::hexfloat << to_string(result.reason) << ' ' << result.signal << ' ' << result.log_z << ' ' << result.ess
      << " extinct by '" << result.extinct_by << "' " << result.batches << ' ' << result.token_steps << ' '
      << result.particle_tokens << " '" << result.response << "'\n";
  for (const auto& [particle, copies] : count) {
    const auto& [tokens, text, finished, log_weight] = particle;
    for (const TokenId token : tokens) out << token.value() << ' ';
    out << '\'' << text << "' " << finished << ' ' << log_weight << " x " << copies << '\n';
  }
  for (const smc::PosteriorEntry& entry : result.posterior) out << entry.text << ' ' << entry.probability << '\n';
  return out.str();
}

}  // namespace shoal::test

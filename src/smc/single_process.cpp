#include <chrono>
#include <limits>

#include "smc/run.hpp"

namespace shoal::smc {
namespace {

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

SingleProcess::SingleProcess(double timeout_s)
    : deadline_s_(timeout_s > 0.0 ? now_s() + timeout_s : std::numeric_limits<double>::infinity()) {}

void SingleProcess::allreduce_max(std::span<double> /*values*/) {}

Exchange SingleProcess::exchange(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                                 const std::function<std::string(LogicalId)>& /*pack*/) {
  Exchange exchange;
  for (std::size_t i = 0; i < ancestors.size(); ++i)
    exchange.births.push_back({LogicalId{static_cast<std::uint32_t>(i)}, ancestors[i]});
  exchange.owners.assign(owners.begin(), owners.end());
  return exchange;
}

std::vector<std::string> SingleProcess::gather(std::string_view mine) { return {std::string(mine)}; }

bool SingleProcess::deadline_passed() { return now_s() >= deadline_s_; }

std::vector<Rank> initial_owners(std::size_t particles, int ranks) {
  std::vector<Rank> owners(particles);
  const auto count = static_cast<std::size_t>(ranks);
  for (std::size_t r = 0; r < count; ++r)
    for (std::size_t i = r * particles / count; i < (r + 1) * particles / count; ++i)
      owners[i] = Rank{static_cast<std::int32_t>(r)};
  return owners;
}

}  // namespace shoal::smc

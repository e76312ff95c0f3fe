#include <algorithm>
#include <chrono>
#include <limits>
#include <stdexcept>

#include "smc/run.hpp"

namespace shoal::smc {
namespace {

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

SingleProcess::SingleProcess(double timeout_s)
    : deadline_s_(timeout_s > 0.0 ? now_s() + timeout_s : std::numeric_limits<double>::infinity()) {}

void SingleProcess::allreduce_max(std::span<double> /*values*/) {}

MigrationPlan SingleProcess::plan(std::span<const LogicalId> /*ancestors*/, std::span<const Rank> owners,
                                  double /*spare*/) const {
  return {.owners = {owners.begin(), owners.end()}, .transfers = {}, .stats = {}};
}

std::unique_ptr<Shipment> SingleProcess::ship(std::vector<Parcel> /*outgoing*/, std::vector<Parcel> /*incoming*/) {
  throw std::logic_error("a single process has nobody to send to");
}

std::vector<std::string> SingleProcess::gather(std::string_view mine) { return {std::string(mine)}; }

bool SingleProcess::deadline_passed() { return now_s() >= deadline_s_; }

std::size_t rank_capacity(std::size_t particles, int ranks, double spare) {
  const auto count = static_cast<std::size_t>(ranks);
  const auto with_spare = static_cast<std::size_t>((1.0 + spare) * static_cast<double>(particles) / ranks);
  return std::max((particles + count - 1) / count, std::min(with_spare, particles));
}

std::size_t block_begin(std::size_t particles, int ranks, int rank) {
  return static_cast<std::size_t>(rank) * particles / static_cast<std::size_t>(ranks);
}

std::vector<Rank> initial_owners(std::size_t particles, int ranks) {
  std::vector<Rank> owners;
  owners.reserve(particles);
  for (int r = 0; r < ranks; ++r) owners.resize(block_begin(particles, ranks, r + 1), Rank{r});
  return owners;
}

}  // namespace shoal::smc

// Ballot: what the ranks tell each other at the end of a token batch, in one allreduce. All entries are maxima, so the
// result is exact and equal on every rank.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "smc/population.hpp"
#include "smc/transport.hpp"

namespace shoal::smc {

struct Ballot {
  /// By logical id; -inf where another rank owns the particle, or where its weight is 0. Empty if particles are
  /// weighed in blocks.
  std::vector<double> log_weight;
  /// By logical id, 1 if finished. Empty unless early stopping needs it.
  std::vector<double> finished;
  /// By rank, that it sends. Empty unless particles migrate.
  std::vector<double> bytes;
  double largest = -std::numeric_limits<double>::infinity();  ///< log-weight of all
  double failed_rank = -1.0;                                  ///< a rank that caught an exception
  double bad_particle = -1.0;                                 ///< a particle whose weight is NaN or +inf
  double deadline = 0.0;                                      ///< 1 if some rank saw the deadline pass
  double signal = 0.0;                                        ///< number
  double steps = 0.0;                                         ///< tokens of the batch that the furthest rank made
  double minus_limit = -1e300;  ///< -(tokens that every rank has made; a rank with no more to do sets no limit)
  double growing = 0.0;         ///< 1 if some particle is unfinished
  double forced = 0.0;          ///< 1 if some particle was made to end
  double last_death = 0.0;      ///< code of the latest death in the population; 0 = none
  double observed = 0.0;        ///< 1 if some rank has an observer
  double checkpoint = 0.0;      ///< 1 if some rank wants the state written; at first: if some rank can write it

  /// Without particles: flags only.
  Ballot() = default;
  explicit Ballot(std::size_t particles);
  [[nodiscard]] static Ballot with_finished(std::size_t particles);
  /// Enters this rank's particles.
  void count(const Population& population);
  /// Replaces every entry by its maximum over the ranks. All have the same number of entries, counted or not.
  void agree(Transport* transport);

  /// Tokens of the batch that count on all ranks.
  [[nodiscard]] std::size_t agreed_tokens() const;
  [[nodiscard]] Culprit last_culprit() const;
};

}  // namespace shoal::smc

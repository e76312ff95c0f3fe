#include "smc/migration.hpp"
#include "smc/report.hpp"
#include "smc/resampling.hpp"
#include "smc/selection.hpp"

namespace shoal::smc {
namespace {

class SelectionInVectors final : public Selection {
 public:
  SelectionInVectors(const Options& options, std::size_t potentials, Transport* transport)
      : options_(options),
        potentials_(potentials),
        transport_(transport),
        owners_(initial_owners(static_cast<std::size_t>(options.particles), transport->size())) {}

  [[nodiscard]] Ballot empty_ballot() const override {
    return options_.early_stop < 1.0 ? Ballot::with_finished(owners_.size()) : Ballot(owners_.size());
  }

  Weighing weigh(const Ballot& ballot, const Population& /*population*/) override {
    weights_ = integer_weights(ballot.log_weight);
    Weighing weighing{.sums = weights_};
    for (std::size_t i = 0; i < ballot.finished.size(); ++i)
      if (ballot.finished[i] > 0.0) weighing.finished += weights_.q[i];
    return weighing;
  }

  Offspring resample(std::uint32_t batch, const Population& /*population*/) override {
    const auto words = resampling_words(options_.resampling, owners_.size(), RandomKey{options_.seed}, batch);
    const auto ancestors = ancestors_of(offspring_counts(options_.resampling, weights_.q, words));
    MigrationPlan plan = transport_->plan(ancestors, owners_, options_.spare);
    Offspring offspring{.births = births_on(transport_->rank(), ancestors, plan.owners),
                        .transfers = std::move(plan.transfers),
                        .moves = false,
                        .stats = plan.stats,
                        .ancestor = {}};
    offspring.moves = !offspring.transfers.empty();
    for (const LogicalId ancestor : ancestors) offspring.ancestor.push_back(ancestor.value());
    owners_ = std::move(plan.owners);
    return offspring;
  }

  void describe(const Ballot& ballot, const Population& population, TokenId end_token, BatchRecord* record) override {
    record->log_weight = ballot.log_weight;
    for (const Rank owner : owners_) record->rank.push_back(owner.value());
    gather_batch(transport_, population,
                 {.particles = owners_.size(),
                  .potentials = potentials_,
                  .batch_size = static_cast<std::size_t>(options_.batch_size),
                  .end_token = end_token},
                 record);
  }

  void list(const Ballot& ballot, Population population, RunResult* result) override {
    result->particles = gather_particles(transport_, std::move(population), ballot.log_weight);
    if (transport_->rank() != Rank{0}) return;
    result->posterior = posterior_of(result->particles, weights_.q);
    result->response = best_text(result->particles, weights_.q);
  }

 private:
  const Options& options_;
  std::size_t potentials_;
  Transport* transport_;
  std::vector<Rank> owners_;
  IntegerWeights weights_;
};

}  // namespace

std::unique_ptr<Selection> select_in_vectors(const Options& options, std::size_t potentials, Transport* transport) {
  return std::make_unique<SelectionInVectors>(options, potentials, transport);
}

std::vector<LogicalId> first_ids(std::size_t particles, const Transport& transport) {
  const int rank = transport.rank().value();
  std::vector<LogicalId> ids;
  for (std::size_t i = block_begin(particles, transport.size(), rank);
       i < block_begin(particles, transport.size(), rank + 1); ++i)
    ids.emplace_back(static_cast<std::uint32_t>(i));
  return ids;
}

}  // namespace shoal::smc

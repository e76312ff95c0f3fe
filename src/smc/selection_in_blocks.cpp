#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <unordered_set>

#include "smc/block_resampling.hpp"
#include "smc/joint_steps.hpp"
#include "smc/report.hpp"
#include "smc/selection.hpp"

namespace shoal::smc {
namespace {

/// Entries of the posterior and of the list of particles: as many as a run in vectors may have.
constexpr std::size_t most_listed = default_most_in_vectors;

/// Calls visit(range, place, first child, number) for the children of each particle, in the order of their ids, one
/// range at a time.
template <class Visit>
void for_each_family(std::span<const std::uint32_t> counts, std::span<const ChildRange> ranges, const Visit& visit) {
  if (ranges.empty()) return;
  std::size_t r = 0;
  std::size_t child = ranges.front().begin;
  for (std::uint32_t place = 0; place < counts.size(); ++place) {
    for (std::size_t left = counts[place]; left > 0;) {
      if (child == ranges[r].end) ++r;
      const std::size_t here = std::min(left, ranges[r].end - child);
      visit(r, place, child, here);
      child += here;
      left -= here;
    }
  }
}

/// The births of one resampling: those of this rank's block, and what other ranks have to know of theirs. A parent that
/// is not on the child's rank is named by the first particle of the range that has its history, so that each history
/// travels once.
class BlockBirths {
 public:
  BlockBirths(const BlockOffspring& offspring, const Population& population, Transport* transport)
      : mine_(transport->rank()),
        origins_(children_by_origin(offspring.first_child, mine_)),
        destinations_(children_by_destination(offspring.first_child, mine_)),
        block_begin_(origins_.empty() ? 0 : origins_.front().begin) {
    births_.resize(origins_.empty() ? 0 : origins_.back().end - block_begin_);
    name_children(offspring.counts, population);
    for (const ChildRange& range : origins_)
      if (range.peer != mine_)
        incoming_.push_back({range.peer, std::string((range.end - range.begin) * sizeof(LogicalId), '\0')});
  }

  /// Waits for the other ranks, which must have come as far.
  void exchange(JointSteps* steps) {
    const auto shipment = steps->transport().ship(std::move(outgoing_), std::move(incoming_));
    shipment->wait([] { return false; });
    const std::vector<std::string> arrived = shipment->take();
    steps->attempt([&] {
      auto next = arrived.begin();
      for (const ChildRange& range : origins_)
        if (range.peer != mine_) receive(range, *next++);
    });
    steps->agree();
  }

  [[nodiscard]] std::vector<Birth> take_births() { return std::move(births_); }
  [[nodiscard]] std::vector<Transfer> take_transfers() { return std::move(transfers_); }
  /// Outgoing; before exchange.
  [[nodiscard]] std::size_t sent() const { return sent_; }

 private:
  void name_children(std::span<const std::uint32_t> counts, const Population& population) {
    struct Name {
      std::size_t range = std::numeric_limits<std::size_t>::max();
      LogicalId parent;
    };
    std::vector<Name> names(population.histories().size());
    std::vector<std::string> bytes(destinations_.size());
    for_each_family(counts, destinations_, [&](std::size_t r, std::uint32_t place, std::size_t child, std::size_t n) {
      const LogicalId parent = population.ids()[place];
      if (destinations_[r].peer == mine_) return add_births(child, n, parent);
      Name& name = names[population.history_of()[place]];
      if (name.range != r) {
        name = {r, parent};
        transfers_.push_back({parent, mine_, destinations_[r].peer});
        ++sent_;
      }
      for (std::size_t k = 0; k < n; ++k) bytes[r].append(reinterpret_cast<const char*>(&name.parent), sizeof parent);
    });
    for (std::size_t r = 0; r < destinations_.size(); ++r)
      if (destinations_[r].peer != mine_) outgoing_.push_back({destinations_[r].peer, std::move(bytes[r])});
  }

  void add_births(std::size_t first, std::size_t count, LogicalId parent) {
    for (std::size_t child = first; child < first + count; ++child)
      births_[child - block_begin_] = {LogicalId{static_cast<std::uint32_t>(child)}, parent};
  }

  void receive(const ChildRange& range, const std::string& bytes) {
    std::unordered_set<LogicalId> known;
    std::optional<LogicalId> last;
    for (std::size_t child = range.begin; child < range.end; ++child) {
      LogicalId parent;
      std::memcpy(&parent, bytes.data() + (child - range.begin) * sizeof parent, sizeof parent);
      if (parent != last && known.insert(parent).second) transfers_.push_back({parent, range.peer, mine_});
      last = parent;
      add_births(child, 1, parent);
    }
  }

  Rank mine_;
  std::vector<ChildRange> origins_;
  std::vector<ChildRange> destinations_;
  std::size_t block_begin_;
  std::vector<Birth> births_;
  std::vector<Transfer> transfers_;
  std::vector<Parcel> outgoing_;
  std::vector<Parcel> incoming_;
  std::size_t sent_ = 0;
};

/// What all ranks know of it.
MigrationStats stats_of(std::span<const std::size_t> first_child, const Transport& transport) {
  MigrationStats stats;
  for (std::size_t r = 0; r + 1 < first_child.size(); ++r) {
    const Rank rank{static_cast<std::int32_t>(r)};
    for (const ChildRange& range : children_by_destination(first_child, rank)) {
      if (range.peer == rank) continue;
      stats.moved += range.end - range.begin;
      if (transport.node_of(range.peer) != transport.node_of(rank)) stats.between_nodes += range.end - range.begin;
      ++stats.messages;
    }
  }
  return stats;
}

class SelectionInBlocks final : public Selection {
 public:
  SelectionInBlocks(const Options& options, Transport* transport) : options_(options), transport_(transport) {}

  [[nodiscard]] Ballot empty_ballot() const override { return {}; }

  Weighing weigh(const Ballot& ballot, const Population& population) override {
    JointSteps steps(transport_);
    std::uint64_t finished = 0;
    weights_ = {};
    weights_.particles = static_cast<std::size_t>(options_.particles);
    weights_.scale = weight_scale(weights_.particles);
    weights_.max = ballot.largest;
    steps.attempt([&] { finished = add_histories(population); });
    sum_over_ranks(&weights_, &steps);
    Weighing weighing{.sums = weights_};
    if (options_.early_stop < 1.0)
      for (const auto& [of_rank] : steps.all_gather<1>({finished}))
        weighing.finished += static_cast<std::uint64_t>(of_rank);
    return weighing;
  }

  Offspring resample(std::uint32_t batch, const Population& population) override {
    JointSteps steps(transport_);
    steps.attempt([&] {
      weights_.q.reserve(population.ids().size());
      for (const std::uint32_t history : population.history_of()) weights_.q.push_back(q_of_history_[history]);
    });
    const BlockOffspring children =
        block_offspring(options_.resampling, weights_, RandomKey{options_.seed}, batch, &steps);
    std::vector<std::uint64_t>().swap(weights_.q);

    Offspring offspring;
    offspring.stats = stats_of(children.first_child, *transport_);
    offspring.moves = offspring.stats.moved > 0;
    std::optional<BlockBirths> births;
    steps.attempt([&] { births.emplace(children, population, transport_); });
    for (const auto& [sent] : steps.all_gather<1>({births ? births->sent() : 0}))
      offspring.stats.sent += static_cast<std::uint64_t>(sent);
    if (offspring.moves) births->exchange(&steps);
    offspring.births = births->take_births();
    offspring.transfers = births->take_transfers();
    return offspring;
  }

  void describe(const Ballot&, const Population&, TokenId, BatchRecord*) override {}

  void list(const Ballot& /*ballot*/, Population population, RunResult* result) override {
    HistoryList list = gather_histories(transport_, std::move(population), q_of_history_);
    if (transport_->rank() != Rank{0}) return;
    result->posterior = posterior_of(list.histories, list.weight);
    result->posterior.resize(std::min(result->posterior.size(), most_listed));
    result->response = best_text(list.histories, list.weight);
    for (std::size_t i = most_listed; i < list.histories.size(); ++i) result->unlisted += list.histories[i].count;
    list.histories.resize(std::min(list.histories.size(), most_listed));
    result->particles = std::move(list.histories);
  }

 private:
  /// This rank's particles, to weights_ and q_of_history_. @return weight of the finished ones
  std::uint64_t add_histories(const Population& population) {
    std::vector<double> log_weights;
    for (const History& history : population.histories()) log_weights.push_back(history.updated_log_weight());
    add_integer_weights(log_weights, &weights_);
    q_of_history_ = std::exchange(weights_.q, {});
    std::vector<std::uint64_t> count(population.histories().size(), 0);
    for (const std::uint32_t history : population.history_of()) ++count[history];
    weights_.total = 0;
    weights_.squares = 0;
    std::uint64_t finished = 0;
    for (std::size_t h = 0; h < count.size(); ++h) {
      const std::uint64_t of_history = count[h] * q_of_history_[h];
      weights_.total += of_history;
      weights_.squares += Uint128{of_history} * q_of_history_[h];
      if (is_finished(population.histories()[h].updated_status())) finished += of_history;
    }
    return finished;
  }

  const Options& options_;
  Transport* transport_;
  BlockWeights weights_;                     ///< q only while resampling
  std::vector<std::uint64_t> q_of_history_;  ///< of each of its particles
};

}  // namespace

std::unique_ptr<Selection> select_in_blocks(const Options& options, Transport* transport) {
  return std::make_unique<SelectionInBlocks>(options, transport);
}

}  // namespace shoal::smc

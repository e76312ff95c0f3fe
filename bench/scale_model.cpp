#include "scale_model.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/stopwatch.hpp"
#include "cluster/migration_plan.hpp"
#include "smc/resampling.hpp"
#include "smc/weights.hpp"

namespace shoal::bench {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr int block_tokens = 16;
constexpr double word_bytes = 8.0;

using Slots = std::vector<std::uint32_t>;

double increment_between(double before, double after) {
  return before == -infinity || after == -infinity ? -infinity : after - before;
}

/// A number below @p n that depends on the arguments alone.
std::uint32_t pick(std::uint64_t seed, std::uint32_t batch, std::size_t i, std::size_t n) {
  const double u = random_uniform({seed}, batch, LogicalId{static_cast<std::uint32_t>(i)}, Purpose::synthetic);
  return static_cast<std::uint32_t>(std::min(n - 1, static_cast<std::size_t>(u * static_cast<double>(n))));
}

/// One run on paper.
class Replay {
 public:
  Replay(const Recording& recording, const Machine& machine, std::size_t particles, int ranks, double ess_threshold,
         std::uint64_t seed)
      : recording_(recording),
        machine_(machine),
        ranks_(static_cast<std::size_t>(ranks)),
        ess_threshold_(ess_threshold),
        seed_(seed),
        exact_(particles == recording.particles),
        owners_(smc::initial_owners(particles, ranks)),
        slot_(particles),
        log_weight_(particles, 0.0),
        marked_(particles, 0),
        late_(ranks_, 0.0) {
    for (std::size_t i = 0; i < particles; ++i)
      slot_[i] = exact_ ? static_cast<std::uint32_t>(i) : pick(seed, ~0U, i, recording.particles);
    for (int r = 0; r < ranks; ++r) nodes_.push_back(r / machine.ranks_per_node);
  }

  ModelledTime run() {
    for (std::uint32_t b = 0; b < recording_.batches.size(); ++b) batch(b);
    return time_;
  }

 private:
  void batch(std::uint32_t b) {
    const Recording::Batch& recorded = recording_.batches[b];
    const double decode_s = decode(recorded);
    time_.decode_s += decode_s;
    tokens_ += recorded.tokens;
    for (std::size_t i = 0; i < slot_.size(); ++i) log_weight_[i] += recorded.increment[slot_[i]];
    const bool last = b + 1 == recording_.batches.size();
    Slots ancestors(slot_.size());
    std::iota(ancestors.begin(), ancestors.end(), 0U);
    std::fill(late_.begin(), late_.end(), 0.0);
    if (reweight(b) && !last) resample(b, &ancestors);
    Slots next(slot_.size());
    for (std::size_t i = 0; i < next.size(); ++i) next[i] = successor(b, slot_[ancestors[i]], i);
    slot_ = std::move(next);
    history_.push_back(std::move(ancestors));
    tokens_at_.push_back(tokens_);
  }

  /// Of the slowest rank; one that waited for particles makes them catch up in passes of their own.
  double decode(const Recording::Batch& recorded) {
    std::vector<double> growing(ranks_, 0.0);
    for (std::size_t i = 0; i < slot_.size(); ++i)
      if (recorded.finished[slot_[i]] == 0 && log_weight_[i] > -infinity)
        growing[static_cast<std::size_t>(owners_[i].value())] += 1.0;
    double slowest = 0.0;
    double slowest_of_all = 0.0;
    for (std::size_t r = 0; r < ranks_; ++r) {
      const double step = (growing[r] > 0.0 ? machine_.step_s : 0.0) + growing[r] * machine_.particle_s;
      const double missed = step > 0.0 ? std::min<double>(recorded.tokens, std::ceil(late_[r] / step)) : 0.0;
      const double wait = std::max(0.0, late_[r] - recorded.tokens * step);
      slowest = std::max(slowest, recorded.tokens * step);
      slowest_of_all = std::max(slowest_of_all, recorded.tokens * step + wait + missed * machine_.step_s);
    }
    time_.exposed_s += slowest_of_all - slowest;
    return slowest;
  }

  /// @return whether to resample
  bool reweight(std::uint32_t b) {
    const Stopwatch watch;
    weights_ = smc::integer_weights(log_weight_);
    const double weights_s = watch.seconds();
    const double p = static_cast<double>(ranks_);
    const double n = static_cast<double>(slot_.size());
    time_.reduce_s += weights_s + allreduce_s(n);
    time_.blocks_s += weights_s / p + allreduce_s(1) + allreduce_s(8 * p);
    if (weights_.extinct()) return false;
    return exact_ ? recording_.batches[b].resampled : smc::effective_sample_size(weights_) < ess_threshold_ * n;
  }

  void resample(std::uint32_t b, Slots* ancestors) {
    const Stopwatch watch;
    std::vector<LogicalId> parents;
    if (exact_) {
      for (const std::uint32_t parent : recording_.batches[b].ancestor) parents.emplace_back(parent);
      std::sort(parents.begin(), parents.end());
    } else {
      const auto words = smc::resampling_words(smc::Resampling::systematic, slot_.size(), {seed_}, b);
      parents = smc::ancestors_of(smc::offspring_counts(smc::Resampling::systematic, weights_.q, words));
    }
    const double offspring_s = watch.seconds();
    const smc::MigrationPlan plan = cluster::plan_migration(parents, owners_, nodes_, machine_.spare);
    time_.reduce_s += watch.seconds();
    time_.blocks_s += offspring_s / static_cast<double>(ranks_) + allreduce_s(4.0 * static_cast<double>(ranks_));
    ++time_.resamplings;
    time_.moved += plan.stats.moved;
    time_.sent += plan.stats.sent;
    for (std::size_t i = 0; i < parents.size(); ++i)
      if (nodes_[index(plan.owners[i])] != nodes_[index(owners_[parents[i].value()])]) ++time_.moved_between_nodes;
    if (!plan.transfers.empty()) migrate(plan, parents);
    owners_ = plan.owners;
    for (std::size_t i = 0; i < parents.size(); ++i) (*ancestors)[i] = parents[i].value();
    std::fill(log_weight_.begin(), log_weight_.end(), 0.0);
  }

  /// Bytes of each transfer, then what the cards and the ranks take for them.
  void migrate(const smc::MigrationPlan& plan, std::span<const LogicalId> parents) {
    const std::vector<double> bytes = transfer_bytes(plan, parents);
    const std::size_t node_count = static_cast<std::size_t>(nodes_.back()) + 1;
    std::vector<double> card_out(node_count, 0.0), card_in(node_count, 0.0), out(ranks_, 0.0), in(ranks_, 0.0);
    std::vector<double> of_rank(ranks_, 0.0), messages(ranks_, 0.0);
    for (std::size_t k = 0; k < plan.transfers.size(); ++k) {
      const std::size_t from = index(plan.transfers[k].from);
      const std::size_t to = index(plan.transfers[k].to);
      const bool far = nodes_[from] != nodes_[to];
      (far ? card_out[static_cast<std::size_t>(nodes_[from])] : out[from]) += bytes[k];
      (far ? card_in[static_cast<std::size_t>(nodes_[to])] : in[to]) += bytes[k];
      of_rank[from] += bytes[k];
      if (k == 0 || plan.transfers[k - 1].from != plan.transfers[k].from ||
          plan.transfers[k - 1].to != plan.transfers[k].to)
        messages[to] += machine_.latency_s;
      time_.bytes += static_cast<std::uint64_t>(bytes[k]);
    }
    time_.most_bytes_of_rank = std::max(time_.most_bytes_of_rank,
                                        static_cast<std::uint64_t>(*std::max_element(of_rank.begin(), of_rank.end())));

    // A receiver waits for the slowest of those that send to it and for its own card.
    for (std::size_t r = 0; r < ranks_; ++r)
      late_[r] =
          std::max(in[r] / machine_.node_bandwidth, card_in[static_cast<std::size_t>(nodes_[r])] / machine_.bandwidth);
    for (const smc::Transfer& t : plan.transfers) {
      const auto node = static_cast<std::size_t>(nodes_[index(t.from)]);
      late_[index(t.to)] = std::max(
          {late_[index(t.to)], card_out[node] / machine_.bandwidth, out[index(t.from)] / machine_.node_bandwidth});
    }
    std::vector<bool> receives(ranks_, false);
    for (const smc::Transfer& t : plan.transfers) receives[index(t.to)] = true;
    double slowest = 0.0;
    for (std::size_t r = 0; r < ranks_; ++r) {
      late_[r] = receives[r] ? late_[r] + messages[r] : 0.0;
      slowest = std::max(slowest, late_[r]);
    }
    // Sizes, particles and answers go to and fro before any decodes, and all agree on it.
    const double trade_s = 3 * machine_.latency_s + allreduce_s(static_cast<double>(ranks_)) +
                           static_cast<double>(plan.transfers.size()) / static_cast<double>(plan.stats.messages) *
                               machine_.particle_bytes / machine_.bandwidth;
    time_.exposed_s += trade_s;
    time_.migrate_s += trade_s + slowest;
  }

  /// Key/value blocks after the last one that the receiver has of some lineage that lives there.
  std::vector<double> transfer_bytes(const smc::MigrationPlan& plan, std::span<const LogicalId> parents) {
    std::vector<Slots> residents(ranks_);
    for (std::size_t i = 0; i < parents.size(); ++i)
      if (plan.owners[i] == owners_[parents[i].value()]) residents[index(plan.owners[i])].push_back(parents[i].value());
    std::vector<std::vector<std::size_t>> arriving(ranks_);
    for (std::size_t k = 0; k < plan.transfers.size(); ++k) arriving[index(plan.transfers[k].to)].push_back(k);

    const int all_tokens = machine_.prompt_tokens + tokens_;
    std::vector<double> bytes(plan.transfers.size());
    for (std::size_t r = 0; r < ranks_; ++r) {
      if (arriving[r].empty()) continue;
      Slots travellers;
      for (const std::size_t k : arriving[r]) travellers.push_back(plan.transfers[k].parent.value());
      const std::vector<int> shared = shared_tokens(std::move(residents[r]), std::move(travellers));
      for (std::size_t a = 0; a < shared.size(); ++a) {
        const int missing =
            (all_tokens + block_tokens - 1) / block_tokens - (machine_.prompt_tokens + shared[a]) / block_tokens;
        bytes[arriving[r][a]] = machine_.particle_bytes + missing * block_tokens * machine_.kv_bytes;
      }
    }
    return bytes;
  }

  /// For each traveller: tokens that it has in common with some resident, found by following both back in time.
  std::vector<int> shared_tokens(Slots residents, Slots travellers) {
    std::vector<int> shared(travellers.size(), 0);
    std::vector<bool> found(travellers.size(), false);
    for (std::size_t g = history_.size(); g-- > 0;) {
      ++mark_;
      Slots distinct;
      for (const std::uint32_t resident : residents) {
        const std::uint32_t before = history_[g][resident];
        if (marked_[before] != mark_) distinct.push_back(before);
        marked_[before] = mark_;
      }
      residents = std::move(distinct);
      for (std::size_t a = 0; a < travellers.size(); ++a) {
        travellers[a] = history_[g][travellers[a]];
        if (found[a] || marked_[travellers[a]] != mark_) continue;
        found[a] = true;
        shared[a] = tokens_at_[g];
      }
    }
    return shared;
  }

  std::uint32_t successor(std::uint32_t b, std::uint32_t slot, std::size_t i) const {
    if (exact_) return static_cast<std::uint32_t>(i);
    const Slots& of_slot = recording_.batches[b].successors[slot];
    if (of_slot.empty()) return pick(seed_, b, i, recording_.particles);
    return of_slot[pick(seed_, b, i, of_slot.size())];
  }

  /// Rabenseifner: halving, then doubling. @param words doubles
  [[nodiscard]] double allreduce_s(double words) const {
    if (ranks_ == 1) return 0.0;
    const double p = static_cast<double>(ranks_);
    return 2 * std::ceil(std::log2(p)) * machine_.latency_s + 2 * (p - 1) / p * words * word_bytes / machine_.bandwidth;
  }

  static std::size_t index(Rank rank) { return static_cast<std::size_t>(rank.value()); }

  const Recording& recording_;
  const Machine& machine_;
  std::size_t ranks_;
  double ess_threshold_;
  std::uint64_t seed_;
  bool exact_;
  std::vector<int> nodes_;
  std::vector<Rank> owners_;
  Slots slot_;  ///< of the recording, by particle
  std::vector<double> log_weight_;
  smc::IntegerWeights weights_;
  int tokens_ = 0;
  std::vector<Slots> history_;  ///< by batch: parent of each particle
  std::vector<int> tokens_at_;  ///< by batch: tokens at its end
  Slots marked_;
  std::uint32_t mark_ = 0;
  std::vector<double> late_;  ///< by rank: when what it waits for comes, counted from the start of the batch
  ModelledTime time_;
};

}  // namespace

Recording recording_of(const trace::Trace& trace) {
  if (!trace.info.lists_particles)
    throw UsageError("cannot replay the trace (it does not list its " + std::to_string(trace.info.particles) +
                     " particles, as runs of so many do not) trace a smaller run");
  Recording recording;
  recording.particles = static_cast<std::size_t>(trace.info.particles);
  std::vector<double> before(recording.particles, 0.0);
  bool first = true;
  for (const smc::BatchRecord& record : trace.batches) {
    Recording::Batch batch;
    batch.tokens = record.tokens;
    batch.resampled = record.resampled;
    batch.finished = record.finished;
    batch.ancestor = record.ancestor;
    batch.successors.resize(recording.particles);
    for (std::size_t i = 0; i < recording.particles; ++i) {
      // Weights of the empty text are the same for all particles, so those before the first batch do not matter.
      batch.increment.push_back(first ? record.log_weight[i] : increment_between(before[i], record.log_weight[i]));
      batch.successors[record.ancestor[i]].push_back(static_cast<std::uint32_t>(i));
    }
    before = record.log_weight;
    if (record.resampled) before.assign(recording.particles, record.log_z);
    first = false;
    recording.batches.push_back(std::move(batch));
  }
  return recording;
}

ModelledTime replay(const Recording& recording, const Machine& machine, std::size_t particles, int ranks,
                    double ess_threshold, std::uint64_t seed) {
  return Replay(recording, machine, particles, ranks, ess_threshold, seed).run();
}

}  // namespace shoal::bench

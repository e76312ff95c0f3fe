#include "scale_model.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "base/stopwatch.hpp"
#include "cluster/migration_plan.hpp"
#include "scale_network.hpp"
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

/// The shortest of some, since other programs take the processor now and then.
template <class Action>
double seconds_of(const Action& action) {
  double shortest = infinity;
  for (int round = 0; round < 3; ++round) {
    const Stopwatch watch;
    action();
    shortest = std::min(shortest, watch.seconds());
  }
  return shortest;
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
        coming_(particles, 0) {
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
    std::fill(coming_.begin(), coming_.end(), 0);
    if (reweight(b) && !last) resample(b, &ancestors);
    Slots next(slot_.size());
    for (std::size_t i = 0; i < next.size(); ++i) next[i] = successor(b, slot_[ancestors[i]], i);
    slot_ = std::move(next);
    history_.push_back(std::move(ancestors));
    tokens_at_.push_back(tokens_);
  }

  /// Growing particles of a rank: those that are there, and those whose blocks are on their way.
  struct Load {
    double resident = 0.0;
    double coming = 0.0;
    double here_s = 0.0;  ///< when all of them are there, from the start of the batch
    double left_s = 0.0;  ///< when all that the rank sends has left
  };

  [[nodiscard]] double step_s(double particles) const {
    return particles > 0.0 ? machine_.step_s + particles * machine_.particle_s : 0.0;
  }

  /// Of the slowest rank.
  double decode(const Recording::Batch& recorded) {
    std::vector<Load> loads(ranks_);
    for (std::size_t i = 0; i < slot_.size(); ++i) {
      if (recorded.finished[slot_[i]] != 0 || log_weight_[i] == -infinity) continue;
      Load& load = loads[index(owners_[i])];
      (coming_[i] ? load.coming : load.resident) += 1.0;
    }
    travel(&loads);
    double slowest = 0.0;
    double slowest_of_all = 0.0;
    for (const Load& load : loads) {
      slowest = std::max(slowest, recorded.tokens * step_s(load.resident + load.coming));
      slowest_of_all = std::max(slowest_of_all, batch_s(load, recorded.tokens));
    }
    time_.exposed_s += slowest_of_all - slowest;
    return slowest;
  }

  /// A rank waits a little for what travels; then those that are there make tokens, and those that come late catch up
  /// in passes of their own.
  [[nodiscard]] double batch_s(const Load& load, int tokens) const {
    const double together_s = step_s(load.resident + load.coming);
    const double waited_s = std::min(machine_.patience * together_s, std::max(load.here_s, load.left_s));
    if (load.coming == 0.0 || load.here_s <= waited_s) return waited_s + tokens * together_s;
    if (load.resident == 0.0) return load.here_s + tokens * together_s;
    const double alone_s = step_s(load.resident);
    const double missed = std::min<double>(tokens, std::ceil((load.here_s - waited_s) / alone_s));
    return std::max(load.here_s, waited_s + missed * alone_s) + missed * step_s(load.coming) +
           (tokens - missed) * together_s;
  }

  /// When the parcels of the last resampling arrive. A rank that waits sends on at once, one that decodes between
  /// tokens.
  void travel(std::vector<Load>* loads) {
    const auto forwards = [&](std::size_t r, double time) {
      const Load& load = (*loads)[r];
      const double waited_s = machine_.patience * step_s(load.resident + load.coming);
      if (time <= waited_s || load.resident == 0.0) return time;
      const double alone_s = step_s(load.resident);
      return waited_s + std::ceil((time - waited_s) / alone_s) * alone_s;
    };
    const std::vector<double> times = arrivals(parcels_, network(), forwards);
    for (std::size_t k = 0; k < parcels_.size(); ++k) {
      Load& to = (*loads)[parcels_[k].to];
      Load& from = (*loads)[parcels_[k].from];
      to.here_s = std::max(to.here_s, times[k]);
      from.left_s = std::max(from.left_s, times[k]);
    }
    if (!times.empty()) time_.migrate_s += *std::max_element(times.begin(), times.end());
    parcels_.clear();
  }

  [[nodiscard]] Network network() const {
    return {nodes_, machine_.latency_s, machine_.bandwidth, machine_.node_bandwidth};
  }

  /// @return whether to resample
  bool reweight(std::uint32_t b) {
    const double weights_s = seconds_of([&] { weights_ = smc::integer_weights(log_weight_); });
    const double p = static_cast<double>(ranks_);
    const double n = static_cast<double>(slot_.size());
    time_.reduce_s += weights_s + allreduce_s(n);
    time_.blocks_s += weights_s / p + allreduce_s(1) + allreduce_s(8 * p);
    if (weights_.extinct()) return false;
    return exact_ ? recording_.batches[b].resampled : smc::effective_sample_size(weights_) < ess_threshold_ * n;
  }

  [[nodiscard]] std::vector<LogicalId> parents_after(std::uint32_t b) const {
    if (!exact_) {
      const auto words = smc::resampling_words(smc::Resampling::systematic, slot_.size(), {seed_}, b);
      return smc::ancestors_of(smc::offspring_counts(smc::Resampling::systematic, weights_.q, words));
    }
    std::vector<LogicalId> parents;
    for (const std::uint32_t parent : recording_.batches[b].ancestor) parents.emplace_back(parent);
    std::sort(parents.begin(), parents.end());
    return parents;
  }

  void resample(std::uint32_t b, Slots* ancestors) {
    std::vector<LogicalId> parents;
    const double offspring_s = seconds_of([&] { parents = parents_after(b); });
    smc::MigrationPlan plan;
    time_.reduce_s +=
        offspring_s + seconds_of([&] { plan = cluster::plan_migration(parents, owners_, nodes_, machine_.spare); });
    time_.blocks_s += offspring_s / static_cast<double>(ranks_) + allreduce_s(4.0 * static_cast<double>(ranks_));
    ++time_.resamplings;
    time_.moved += plan.stats.moved;
    time_.sent += plan.stats.sent;
    for (std::size_t i = 0; i < parents.size(); ++i)
      if (nodes_[index(plan.owners[i])] != nodes_[index(owners_[parents[i].value()])]) ++time_.moved_between_nodes;
    if (!plan.transfers.empty()) migrate(plan, parents);
    for (std::size_t i = 0; i < parents.size(); ++i) coming_[i] = plan.owners[i] != owners_[parents[i].value()];
    owners_ = plan.owners;
    for (std::size_t i = 0; i < parents.size(); ++i) (*ancestors)[i] = parents[i].value();
    std::fill(log_weight_.begin(), log_weight_.end(), 0.0);
  }

  /// Who sends how much to whom.
  void migrate(const smc::MigrationPlan& plan, std::span<const LogicalId> parents) {
    const std::vector<double> bytes =
        machine_.fewest_blocks ? fewest_bytes(plan, parents) : transfer_bytes(plan.transfers, plan, parents);
    std::map<std::pair<LogicalId, Rank>, std::size_t> bringing;
    for (std::size_t k = 0; k < plan.transfers.size(); ++k)
      bringing[{plan.transfers[k].parent, plan.transfers[k].to}] = k;
    std::vector<double> of_rank(ranks_, 0.0);
    for (std::size_t k = 0; k < plan.transfers.size(); ++k) {
      const smc::Transfer& t = plan.transfers[k];
      const bool relayed = t.relayed && machine_.relays;
      const std::size_t from = index(relayed ? t.from : owners_[t.parent.value()]);
      parcels_.push_back({from, index(t.to), bytes[k], relayed ? bringing.at({t.parent, t.from}) : Parcel::none});
      of_rank[from] += bytes[k];
      time_.bytes += static_cast<std::uint64_t>(bytes[k]);
    }
    time_.most_bytes_of_rank = std::max(time_.most_bytes_of_rank,
                                        static_cast<std::uint64_t>(*std::max_element(of_rank.begin(), of_rank.end())));
    // Sizes, particles and answers go to and fro before any decodes, and all agree on it.
    const double trade_s = (1 + 2 * hops(parcels_)) * machine_.latency_s + allreduce_s(static_cast<double>(ranks_)) +
                           static_cast<double>(plan.transfers.size()) / static_cast<double>(plan.stats.messages) *
                               machine_.particle_bytes / machine_.bandwidth;
    time_.exposed_s += trade_s;
    time_.migrate_s += trade_s;
  }

  /// Most that follow each other.
  static int hops(std::span<const Parcel> parcels) {
    int most = 0;
    for (const Parcel& parcel : parcels) {
      int mine = 1;
      for (std::size_t before = parcel.after; before != Parcel::none; before = parcels[before].after) ++mine;
      most = std::max(most, mine);
    }
    return most;
  }

  /// Key/value blocks after the last one that the receiver has of some lineage that lives there.
  std::vector<double> transfer_bytes(std::span<const smc::Transfer> transfers, const smc::MigrationPlan& plan,
                                     std::span<const LogicalId> parents) {
    std::vector<Slots> residents(ranks_);
    for (std::size_t i = 0; i < parents.size(); ++i)
      if (plan.owners[i] == owners_[parents[i].value()]) residents[index(plan.owners[i])].push_back(parents[i].value());
    std::vector<std::vector<std::size_t>> arriving(ranks_);
    for (std::size_t k = 0; k < transfers.size(); ++k) arriving[index(transfers[k].to)].push_back(k);

    const int all_tokens = machine_.prompt_tokens + tokens_;
    std::vector<double> bytes(transfers.size());
    for (std::size_t r = 0; r < ranks_; ++r) {
      if (arriving[r].empty()) continue;
      Slots travellers;
      for (const std::size_t k : arriving[r]) travellers.push_back(transfers[k].parent.value());
      const std::vector<int> shared = shared_tokens(std::move(residents[r]), std::move(travellers));
      for (std::size_t a = 0; a < shared.size(); ++a) {
        const int missing =
            (all_tokens + block_tokens - 1) / block_tokens - (machine_.prompt_tokens + shared[a]) / block_tokens;
        bytes[arriving[r][a]] = machine_.particle_bytes + missing * block_tokens * machine_.kv_bytes;
      }
    }
    return bytes;
  }

  /// If instead of each parent the one were to travel that lives on the same rank and lacks the fewest blocks.
  std::vector<double> fewest_bytes(const smc::MigrationPlan& plan, std::span<const LogicalId> parents) {
    std::vector<smc::Transfer> candidates;
    std::vector<std::size_t> instead_of;
    for (std::size_t k = 0; k < plan.transfers.size(); ++k) {
      const smc::Transfer& t = plan.transfers[k];
      for (std::size_t i = 0; i < parents.size(); ++i) {
        if (i > 0 && parents[i] == parents[i - 1]) continue;
        if (owners_[parents[i].value()] != owners_[t.parent.value()]) continue;
        candidates.push_back({parents[i], t.from, t.to});
        instead_of.push_back(k);
      }
    }
    const std::vector<double> bytes = transfer_bytes(candidates, plan, parents);
    std::vector<double> fewest(plan.transfers.size(), infinity);
    for (std::size_t c = 0; c < bytes.size(); ++c) fewest[instead_of[c]] = std::min(fewest[instead_of[c]], bytes[c]);
    return fewest;
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
  std::vector<std::uint8_t> coming_;  ///< by particle: its rank does not have its parent
  std::vector<Parcel> parcels_;       ///< of the last resampling
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
  if (const char* k = std::getenv("V_SURV")) {
    const auto survivors = static_cast<std::uint32_t>(std::atoi(k));
    for (std::size_t b = 0; b + 1 < recording.batches.size(); ++b) {
      auto& batch = recording.batches[b];
      batch.resampled = b == recording.batches.size() / 2;
      for (std::uint32_t i = 0; i < recording.particles; ++i) {
        batch.ancestor[i] = batch.resampled
                                ? static_cast<std::uint32_t>(std::uint64_t{i} * survivors / recording.particles *
                                                             recording.particles / survivors)
                                : i;
        batch.increment[i] = 0;
        batch.finished[i] = 0;
      }
    }
    for (auto& f : recording.batches.back().finished) f = 0;
  }
  return recording;
}

Recording with_survivors(Recording recording, std::size_t survivors) {
  const std::size_t n = recording.particles;
  for (std::size_t b = 0; b < recording.batches.size(); ++b) {
    Recording::Batch& batch = recording.batches[b];
    batch.resampled = b == recording.batches.size() / 2 && b + 1 < recording.batches.size();
    batch.successors.assign(n, {});
    for (std::size_t i = 0; i < n; ++i) {
      batch.ancestor[i] = static_cast<std::uint32_t>(batch.resampled ? i * survivors / n * n / survivors : i);
      batch.successors[batch.ancestor[i]].push_back(static_cast<std::uint32_t>(i));
    }
    batch.increment.assign(n, 0.0);
    batch.finished.assign(n, 0);
  }
  return recording;
}

ModelledTime replay(const Recording& recording, const Machine& machine, std::size_t particles, int ranks,
                    double ess_threshold, std::uint64_t seed) {
  return Replay(recording, machine, particles, ranks, ess_threshold, seed).run();
}

}  // namespace shoal::bench

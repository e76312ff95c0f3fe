#include "cluster/migration_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "cluster/migration_choice.hpp"
#include "cluster/random_offspring.hpp"
#include "smc/migration.hpp"

namespace shoal::cluster {
namespace {

using Numbers = std::vector<int>;

std::vector<LogicalId> ids(const Numbers& values) {
  std::vector<LogicalId> out;
  for (const int v : values) out.emplace_back(static_cast<std::uint32_t>(v));
  return out;
}

std::vector<Rank> ranks(const Numbers& values) {
  std::vector<Rank> out;
  for (const int v : values) out.emplace_back(v);
  return out;
}

using Triple = std::tuple<std::uint32_t, int, int>;

std::vector<Triple> triples(const smc::MigrationPlan& plan) {
  std::vector<Triple> out;
  for (const smc::Transfer& t : plan.transfers) out.emplace_back(t.parent.value(), t.from.value(), t.to.value());
  return out;
}

/// On one node, without spare places.
smc::MigrationPlan plan_of(const Numbers& ancestors, const Numbers& owners, int ranks_in_all) {
  return plan_migration(ids(ancestors), ranks(owners), Numbers(static_cast<std::size_t>(ranks_in_all), 0), 0.0);
}

// ---------------------------------------------------------------------------------------------- by hand

TEST(RankCapacity, IsTheEvenShareAndTheSparePlaces) {
  EXPECT_EQ(smc::rank_capacity(100, 2, 0.0), 50U);
  EXPECT_EQ(smc::rank_capacity(100, 2, 0.1), 55U);
  EXPECT_EQ(smc::rank_capacity(7, 4, 0.0), 2U);
  EXPECT_EQ(smc::rank_capacity(7, 4, 0.1), 2U);  // a tenth is less than a particle
  EXPECT_EQ(smc::rank_capacity(2, 5, 0.1), 1U);
  EXPECT_EQ(smc::rank_capacity(10, 1, 0.1), 10U);  // no rank ever holds more than all
  EXPECT_EQ(smc::rank_capacity(10, 2, 9.0), 10U);
}

TEST(MigrationPlan, NothingMovesIfEveryParticleHasOneChild) {
  const Numbers owners{0, 0, 1, 1, 2, 2, 2};
  const smc::MigrationPlan plan = plan_of({0, 1, 2, 3, 4, 5, 6}, owners, 3);

  EXPECT_EQ(plan.owners, ranks(owners));
  EXPECT_TRUE(plan.transfers.empty());
  EXPECT_EQ(plan.stats.moved, 0U);
  EXPECT_EQ(plan.stats.messages, 0U);
}

TEST(MigrationPlan, OneSurvivorTravelsOnceToEachOtherRank) {
  const smc::MigrationPlan plan = plan_of({3, 3, 3, 3, 3, 3}, {0, 0, 1, 1, 2, 2}, 3);

  EXPECT_EQ(plan.owners, ranks({1, 1, 2, 2, 0, 0}));
  EXPECT_EQ(triples(plan), (std::vector<Triple>{{3, 1, 0}, {3, 1, 2}}));
  EXPECT_EQ(plan.stats.moved, 4U);
  EXPECT_EQ(plan.stats.sent, 2U);
  EXPECT_EQ(plan.stats.messages, 2U);
}

TEST(MigrationPlan, TheLargestFamilyLeavesWhole) {
  // Rank 0: families of 1, 3 and 2 children; 3 too many.
  const smc::MigrationPlan plan = plan_of({0, 1, 1, 1, 2, 2}, {0, 0, 0, 1, 1, 1}, 2);

  EXPECT_EQ(plan.owners, ranks({0, 1, 1, 1, 0, 0}));
  EXPECT_EQ(triples(plan), (std::vector<Triple>{{1, 0, 1}}));
  EXPECT_EQ(plan.stats.moved, 3U);
}

TEST(MigrationPlan, FewerParticlesThanRanks) {
  const smc::MigrationPlan plan = plan_of({1, 1}, {2, 2}, 4);

  EXPECT_EQ(triples(plan), (std::vector<Triple>{{1, 2, 0}}));
  EXPECT_EQ(plan.stats.moved, 1U);
}

TEST(MigrationPlan, SparePlacesKeepARankThatIsNearlyBalanced) {
  const Numbers owners{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  const Numbers ancestors{0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19};  // 11 and 9

  EXPECT_EQ(plan_migration(ids(ancestors), ranks(owners), Numbers{0, 0}, 0.0).stats.moved, 1U);
  EXPECT_EQ(plan_migration(ids(ancestors), ranks(owners), Numbers{0, 0}, 0.1).stats.moved, 0U);
}

TEST(MigrationPlan, ARankThatReceivesIsNotFilledBeyondItsShare) {
  const std::vector<std::uint32_t> loads{30, 5, 5};  // 13 (share), 14 (capacity)
  const Flows flows = plan_flows(loads, Numbers{0, 0, 0}, 0.1);
  EXPECT_EQ(flows.leave_within, (std::vector<std::uint32_t>{16, 0, 0}));
  EXPECT_EQ(flows.arrive_within, (std::vector<std::uint32_t>{0, 9, 7}));
}

TEST(MigrationPlan, SparePlacesKeepChildrenOnTheirNode) {
  const std::vector<std::uint32_t> loads{13, 10, 10, 7};  // share 10, capacity 11
  const Flows flows = plan_flows(loads, Numbers{8, 8, 3, 3}, 0.1);
  EXPECT_EQ(flows.leave_within, (std::vector<std::uint32_t>{1, 0, 0, 0}));
  EXPECT_EQ(flows.leave_node, (std::vector<std::uint32_t>{1, 0, 0, 0}));
  EXPECT_EQ(flows.arrive_within, (std::vector<std::uint32_t>{0, 1, 0, 0}));
  EXPECT_EQ(flows.arrive_node, (std::vector<std::uint32_t>{0, 0, 0, 1}));
}

TEST(MigrationPlan, TheLargestFamilyLeavesTheNode) {
  // Rank 0 has families of 4, 1 and 1 children and may keep 2; rank 1, on its node, has one place free.
  const smc::MigrationPlan plan =
      plan_migration(ids({0, 0, 0, 0, 1, 2, 3, 4}), ranks({0, 0, 0, 1, 2, 2, 3, 3}), Numbers{0, 0, 1, 1}, 0.0);
  // To the other node, of whose ranks 3 has nothing else to do, it goes once.
  EXPECT_EQ(triples(plan), (std::vector<Triple>{{0, 0, 1}, {0, 0, 3}, {0, 3, 2}}));
  EXPECT_EQ(plan.stats.moved, 4U);
}

// ---------------------------------------------------------------------------------------------- relays

using Hop = std::tuple<int, int, bool>;

/// From, to, relayed.
std::vector<Hop> hops(const smc::MigrationPlan& plan) {
  std::vector<Hop> out;
  for (const smc::Transfer& t : plan.transfers) out.emplace_back(t.from.value(), t.to.value(), t.relayed);
  return out;
}

/// @p survivors particles have all children; one particle a rank.
smc::MigrationPlan plan_of_survivors(const Numbers& survivors, const Numbers& nodes) {
  const std::size_t n = nodes.size();
  Numbers parents, owners(n);
  for (std::size_t i = 0; i < n; ++i) parents.push_back(survivors[i * survivors.size() / n]);
  std::iota(owners.begin(), owners.end(), 0);
  return plan_migration(ids(parents), ranks(owners), nodes, 0.0);
}

TEST(Relays, SpreadOneSurvivorAlongABinaryTree) {
  const smc::MigrationPlan plan = plan_of_survivors({1}, Numbers(8, 0));
  EXPECT_EQ(hops(plan),
            (std::vector<Hop>{
                {0, 3, true}, {0, 4, true}, {1, 0, false}, {1, 2, false}, {2, 5, true}, {2, 6, true}, {3, 7, true}}));
  EXPECT_EQ(plan.stats.messages, 7U);
}

TEST(Relays, EnterEachNodeOnce) {
  const smc::MigrationPlan plan = plan_of_survivors({0}, {0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3});
  EXPECT_EQ(hops(plan), (std::vector<Hop>{{0, 1, false},
                                          {0, 2, false},
                                          {0, 3, false},
                                          {0, 6, false},
                                          {3, 4, true},
                                          {3, 5, true},
                                          {3, 9, true},
                                          {6, 7, true},
                                          {6, 8, true},
                                          {9, 10, true},
                                          {9, 11, true}}));
}

TEST(Relays, AreRanksThatHaveNothingElseToDo) {
  // Ranks of two particles; 2 has 6 children, 0 and 6 one each, so that ranks 0 and 3 go on decoding.
  const smc::MigrationPlan plan =
      plan_migration(ids({0, 2, 2, 2, 2, 2, 2, 6}), ranks({0, 0, 1, 1, 2, 2, 3, 3}), Numbers(4, 0), 0.0);
  EXPECT_EQ(hops(plan), (std::vector<Hop>{{1, 0, false}, {1, 2, false}, {2, 3, true}}));
}

TEST(Relays, ReceiveNothingElse) {
  // Ranks of two particles; 0 and 2 of ranks 0 and 1 have 5 and 3 children: rank 2 gets some of both, rank 3 of one.
  const smc::MigrationPlan plan =
      plan_migration(ids({0, 0, 0, 0, 0, 2, 2, 2}), ranks({0, 0, 1, 1, 2, 2, 3, 3}), Numbers(4, 0), 0.0);
  EXPECT_EQ(hops(plan), (std::vector<Hop>{{0, 2, false}, {0, 3, false}, {1, 3, false}}));
}

TEST(Relays, LeaveAloneWhatTravelsWithOthers) {
  // Rank 0 sends both its survivors to rank 1, so that relaying one of them there would be a message more.
  const smc::MigrationPlan plan = plan_migration(ids({0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1}),
                                                 ranks({0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3}), Numbers(4, 0), 0.0);
  std::map<std::pair<int, int>, int> on_route;
  for (const smc::Transfer& t : plan.transfers) ++on_route[{t.from.value(), t.to.value()}];
  EXPECT_EQ(plan.stats.messages, 3U);
  EXPECT_EQ(on_route.size(), 3U);
}

TEST(MigrationChoice, KeyValuesTravelIfTheyComeBeforeTheTokenCouldBeComputed) {
  // 8 B parameters, 128 KiB a token, 4e14 operations a second: the two are even at 3.3 GB/s.
  const double tokens_per_s = 4e14 / (2 * 8e9);
  EXPECT_EQ(faster_migration(25e9, 131072, tokens_per_s), smc::Migrate::key_values);
  EXPECT_EQ(faster_migration(3.4e9, 131072, tokens_per_s), smc::Migrate::key_values);
  EXPECT_EQ(faster_migration(3.2e9, 131072, tokens_per_s), smc::Migrate::tokens);
  EXPECT_EQ(faster_migration(1.25e9, 131072, tokens_per_s), smc::Migrate::tokens);
}

TEST(MigrationChoice, SparesPlacesWhereAParticleMoreHardlyLengthensAStep) {
  const auto spare = [](const char* device, std::uint64_t kv_bytes_per_token, double share) {
    ModelSummary model{};
    model.device = device;
    model.kv_bytes_per_token = kv_bytes_per_token;
    return choose_spare(model, share);
  };
  EXPECT_EQ(spare("cpu", 12288, 100), 0.0);
  EXPECT_EQ(spare("cpu", 12288, 4), 0.0);
  EXPECT_EQ(spare("cuda: NVIDIA H100", 12288, 100), 0.1);
  EXPECT_EQ(spare("cuda: NVIDIA H100", 12288, 4), 0.5);
  EXPECT_EQ(spare("cpu", 0, 100), 0.1);  // tabular
}

/// Children of 0.4 sqrt(N P) particles change rank without spare places, a fifth of them with a standard deviation.
TEST(MigrationChoice, SparePlacesLeaveAFifthOfTheMovesOfIndependentWeights) {
  ModelSummary gpu{};
  gpu.device = "cuda: NVIDIA H100";
  gpu.kv_bytes_per_token = 1;
  for (const int share : {16, 64, 256}) {
    const int ranks_in_all = 64, particles = share * ranks_in_all;
    std::uint64_t moved = 0, moved_with_spare = 0;
    for (int round = 0; round < 20; ++round) {
      test::RandomOffspring random(static_cast<std::uint64_t>(round));
      std::vector<LogicalId> parents;  // multinomial with equal weights: as ESS = N/2 with systematic resampling
      for (int i = 0; i < particles; ++i) parents.emplace_back(static_cast<std::uint32_t>(random.below(particles)));
      std::sort(parents.begin(), parents.end());
      const auto owners = smc::initial_owners(static_cast<std::size_t>(particles), ranks_in_all);
      const Numbers nodes(static_cast<std::size_t>(ranks_in_all), 0);
      moved += plan_migration(parents, owners, nodes, 0.0).stats.moved;
      moved_with_spare += plan_migration(parents, owners, nodes, choose_spare(gpu, share)).stats.moved;
    }
    EXPECT_NEAR(static_cast<double>(moved) / (20 * 0.4 * std::sqrt(1.0 * particles * ranks_in_all)), 1.0, 0.1) << share;
    EXPECT_NEAR(static_cast<double>(moved_with_spare) / static_cast<double>(moved), 0.21, 0.04) << share;
  }
}

TEST(BirthsOn, AreThisRanksChildrenInOrder) {
  const auto births = smc::births_on(Rank{1}, ids({0, 0, 2, 2}), ranks({0, 1, 0, 1}));

  ASSERT_EQ(births.size(), 2U);
  EXPECT_EQ(births[0].child, LogicalId{1});
  EXPECT_EQ(births[0].parent, LogicalId{0});
  EXPECT_EQ(births[1].child, LogicalId{3});
  EXPECT_EQ(births[1].parent, LogicalId{2});
}

// ---------------------------------------------------------------------------------------------- the optimum

using Counts = std::vector<std::uint32_t>;

/// What the best plans move, found by trying all ways to spread the children over the ranks.
struct Optimum {
  std::uint64_t between_ranks = ~std::uint64_t{0};
  std::uint64_t between_nodes = ~std::uint64_t{0};  ///< among all plans, also such as move more between ranks
};

class Search {
 public:
  Search(const Counts& loads, const Numbers& nodes, std::uint32_t capacity)
      : loads_(loads), nodes_(nodes), capacity_(capacity), sizes_(loads.size(), 0) {
    place(0, std::accumulate(loads.begin(), loads.end(), 0U));
  }
  [[nodiscard]] const Optimum& optimum() const { return optimum_; }

 private:
  void place(std::size_t rank, std::uint32_t left) {
    if (rank == sizes_.size()) return left == 0 ? look() : void();
    for (sizes_[rank] = 0; sizes_[rank] <= std::min(left, capacity_); ++sizes_[rank])
      place(rank + 1, left - sizes_[rank]);
  }
  void look() {
    std::uint64_t ranks_lose = 0;
    std::map<int, int> node_grows;
    for (std::size_t r = 0; r < sizes_.size(); ++r) {
      ranks_lose += loads_[r] > sizes_[r] ? loads_[r] - sizes_[r] : 0;
      node_grows[nodes_[r]] += static_cast<int>(sizes_[r]) - static_cast<int>(loads_[r]);
    }
    std::uint64_t nodes_lose = 0;
    for (const auto& [node, growth] : node_grows) nodes_lose += static_cast<std::uint64_t>(std::max(0, -growth));
    optimum_.between_ranks = std::min(optimum_.between_ranks, ranks_lose);
    optimum_.between_nodes = std::min(optimum_.between_nodes, nodes_lose);
  }

  const Counts& loads_;
  const Numbers& nodes_;
  std::uint32_t capacity_;
  Counts sizes_;
  Optimum optimum_;
};

std::uint64_t sum(const Counts& counts) { return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}); }

void expect_optimal(const Counts& loads, const Numbers& nodes, double spare) {
  const auto capacity =
      static_cast<std::uint32_t>(smc::rank_capacity(sum(loads), static_cast<int>(loads.size()), spare));
  const Optimum best = Search(loads, nodes, capacity).optimum();
  const Flows flows = plan_flows(loads, nodes, spare);
  ASSERT_EQ(sum(flows.leave_within) + sum(flows.leave_node), best.between_ranks);
  ASSERT_EQ(sum(flows.leave_node), best.between_nodes);
  ASSERT_EQ(sum(flows.leave_node), sum(flows.arrive_node));
  std::map<int, int> balance;
  for (std::size_t r = 0; r < loads.size(); ++r) {
    const std::uint32_t arrive = flows.arrive_within[r] + flows.arrive_node[r];
    const std::uint32_t leave = flows.leave_within[r] + flows.leave_node[r];
    ASSERT_TRUE(arrive == 0 || leave == 0);
    ASSERT_LE(loads[r] + arrive - leave, capacity);
    balance[nodes[r]] += static_cast<int>(flows.arrive_within[r]) - static_cast<int>(flows.leave_within[r]);
  }
  for (const auto& [node, flow] : balance) ASSERT_EQ(flow, 0);
}

/// Calls visit(loads) for all ways to have up to @p most children on each of @p ranks_in_all.
template <class Visit>
void for_all_loads(std::size_t ranks_in_all, std::uint32_t most, const Visit& visit) {
  Counts loads(ranks_in_all, 0);
  for (;;) {
    if (sum(loads) > 0) visit(loads);
    std::size_t r = 0;
    while (r < ranks_in_all && loads[r] == most) loads[r++] = 0;
    if (r == ranks_in_all) return;
    ++loads[r];
  }
}

TEST(PlanFlows, AreOptimalInEverySmallCase) {
  const std::vector<std::vector<Numbers>> nodes{{{0}},
                                                {{0, 0}, {0, 1}},
                                                {{0, 0, 0}, {0, 1, 0}, {0, 1, 1}, {2, 1, 0}},
                                                {{0, 0, 1, 1}, {1, 0, 0, 1}, {0, 0, 0, 1}}};
  const std::uint32_t most[] = {9, 9, 7, 4};
  for (std::size_t p = 0; p < nodes.size(); ++p)
    for (const Numbers& placement : nodes[p])
      for (const double spare : {0.0, 0.1, 0.5})
        for_all_loads(p + 1, most[p], [&](const Counts& loads) {
          if (!testing::Test::HasFatalFailure()) expect_optimal(loads, placement, spare);
        });
}

// ---------------------------------------------------------------------------------------------- properties

class PlanFuzz : public testing::Test {
 protected:
  void make(int seed) {
    test::RandomOffspring random(static_cast<std::uint64_t>(seed));
    ranks_ = 1 + random.below(12);
    const int sizes[] = {1, 2, 3, 7, 13, 64, 100, 1 + random.below(500)};
    particles_ = sizes[random.below(8)];
    owners_ = random.owners(particles_, ranks_);
    ancestors_ = random.ancestors(particles_);
    nodes_.clear();
    const int node_count = 1 + random.below(4);
    for (int r = 0; r < ranks_; ++r) nodes_.push_back(random.below(node_count));
    spare_ = std::vector{0.0, 0.1, 0.4}[static_cast<std::size_t>(random.below(3))];
    plan_ = plan_migration(ancestors_, owners_, nodes_, spare_);
  }

  [[nodiscard]] int capacity() const {
    return static_cast<int>(smc::rank_capacity(static_cast<std::size_t>(particles_), ranks_, spare_));
  }

  /// sum of (size - limit)+
  static std::uint64_t surplus(const std::vector<int>& sizes, const std::vector<int>& limits) {
    std::uint64_t sum_of_surplus = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i)
      sum_of_surplus += static_cast<std::uint64_t>(std::max(0, sizes[i] - limits[i]));
    return sum_of_surplus;
  }

  void check_moves() const {
    std::vector<int> loads(nodes_.size(), 0), sizes = loads, node_loads(4, 0), node_limits(4, 0);
    std::uint64_t moved = 0, moved_between_nodes = 0;
    for (std::size_t i = 0; i < ancestors_.size(); ++i) {
      const auto from = static_cast<std::size_t>(parent_rank(i).value());
      const auto to = static_cast<std::size_t>(plan_.owners[i].value());
      ++loads[from];
      ++sizes[to];
      ++node_loads[static_cast<std::size_t>(nodes_[from])];
      moved += from != to ? 1 : 0;
      moved_between_nodes += nodes_[from] != nodes_[to] ? 1 : 0;
    }
    for (const int node : nodes_) node_limits[static_cast<std::size_t>(node)] += capacity();
    EXPECT_EQ(moved, plan_.stats.moved);
    EXPECT_EQ(moved, surplus(loads, std::vector<int>(loads.size(), capacity())));
    EXPECT_EQ(moved_between_nodes, surplus(node_loads, node_limits));
    EXPECT_EQ(plan_.stats.between_nodes, moved_between_nodes);
    EXPECT_LE(*std::max_element(sizes.begin(), sizes.end()), capacity());
  }

  [[nodiscard]] Rank parent_rank(std::size_t child) const { return owners_[ancestors_[child].value()]; }

  void check_transfers() const {
    std::set<std::pair<std::uint32_t, int>> sent, needed;
    std::set<std::pair<int, int>> pairs;
    std::set<int> givers, receivers;
    for (const smc::Transfer& t : plan_.transfers) {
      EXPECT_NE(t.from, t.to);
      EXPECT_TRUE(sent.emplace(t.parent.value(), t.to.value()).second) << "sent twice";
      if (pairs.contains({t.from.value(), t.to.value()})) {
        EXPECT_EQ((std::pair{t.from, t.to}), last_) << "not grouped";
      }
      last_ = {t.from, t.to};
      pairs.emplace(t.from.value(), t.to.value());
      givers.insert(owners_[t.parent.value()].value());
      receivers.insert(t.to.value());
    }
    for (std::size_t i = 0; i < ancestors_.size(); ++i)
      if (plan_.owners[i] != parent_rank(i)) needed.emplace(ancestors_[i].value(), plan_.owners[i].value());
    EXPECT_EQ(sent, needed);
    EXPECT_EQ(plan_.stats.sent, sent.size());
    EXPECT_EQ(plan_.stats.messages, pairs.size());
    EXPECT_LE(pairs.size(), givers.empty() ? 0 : givers.size() + receivers.size() - 1);
    EXPECT_LE(pairs.size(), static_cast<std::size_t>(ranks_ - 1));
    for (const int giver : givers) EXPECT_FALSE(receivers.contains(giver));
  }

  /// Whoever sends a parent has it, or receives it and nothing else and has nothing else to decode. So what it waits
  /// for never waits for it.
  void check_relays() {
    std::map<int, std::vector<const smc::Transfer*>> received;
    std::map<std::pair<int, int>, int> on_route;
    std::set<int> busy;
    for (const smc::Transfer& t : plan_.transfers) {
      received[t.to.value()].push_back(&t);
      ++on_route[{t.from.value(), t.to.value()}];
    }
    for (std::size_t i = 0; i < ancestors_.size(); ++i)
      if (plan_.owners[i] == parent_rank(i)) busy.insert(plan_.owners[i].value());
    for (const smc::Transfer& t : plan_.transfers) {
      EXPECT_EQ(t.relayed, t.from != owners_[t.parent.value()]);
      if (!t.relayed) continue;
      ++relayed_;
      EXPECT_EQ((on_route[{t.from.value(), t.to.value()}]), 1);
      EXPECT_FALSE(busy.contains(t.from.value()));
      ASSERT_EQ(received[t.from.value()].size(), 1U);
      int hops = 0;
      for (const smc::Transfer* step = &t; step->relayed; step = received[step->from.value()].front()) {
        EXPECT_EQ(received[step->from.value()].front()->parent, t.parent);
        ASSERT_LE(++hops, ranks_) << "in a circle";
      }
    }
  }

  /// Equal plans whatever the order of the transfers' making.
  void check_that_it_repeats() const {
    const smc::MigrationPlan again = plan_migration(ancestors_, owners_, nodes_, spare_);
    EXPECT_EQ(again.owners, plan_.owners);
    EXPECT_EQ(hops(again), hops(plan_));
    EXPECT_EQ(triples(again), triples(plan_));
  }

  void check_births() const {
    std::vector<int> born(ancestors_.size(), 0);
    for (int r = 0; r < ranks_; ++r) {
      for (const smc::Birth& birth : smc::births_on(Rank{r}, ancestors_, plan_.owners)) {
        ++born.at(birth.child.value());
        EXPECT_EQ(birth.parent, ancestors_[birth.child.value()]);
      }
    }
    EXPECT_EQ(born, std::vector<int>(ancestors_.size(), 1));
  }

  int ranks_ = 0;
  int particles_ = 0;
  double spare_ = 0.0;
  Numbers nodes_;
  std::vector<Rank> owners_;
  std::vector<LogicalId> ancestors_;
  smc::MigrationPlan plan_;
  int relayed_ = 0;  ///< transfers, of all plans
  mutable std::pair<Rank, Rank> last_;
};

TEST_F(PlanFuzz, HoldsItsPromisesOnThreeThousandRandomMaps) {
  for (int seed = 0; seed < 3000 && !HasFailure(); ++seed) {
    make(seed);
    SCOPED_TRACE("seed " + std::to_string(seed) + ", N=" + std::to_string(particles_) +
                 ", P=" + std::to_string(ranks_));
    check_moves();
    check_transfers();
    check_relays();
    check_that_it_repeats();
    check_births();
  }
  EXPECT_GT(relayed_, 1000);
}

}  // namespace
}  // namespace shoal::cluster

#include "cluster/migration_plan.hpp"

#include <algorithm>
#include <numeric>

#include "base/assert.hpp"

namespace shoal::cluster {
namespace {

using Counts = std::vector<std::uint32_t>;

/// Children of one parent: ids first .. first + count - 1.
struct Family {
  LogicalId parent;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

bool leaves_later(const Family& a, const Family& b) {
  return a.count != b.count ? a.count < b.count : a.parent > b.parent;
}

std::size_t index(Rank rank) { return static_cast<std::size_t>(rank.value()); }
std::uint32_t excess(std::uint32_t a, std::uint32_t b) { return a > b ? a - b : 0; }

/// The ranks of each node in order, nodes by their numbers.
std::vector<std::vector<std::size_t>> ranks_by_node(std::span<const int> nodes) {
  std::vector<std::size_t> ranks(nodes.size());
  std::iota(ranks.begin(), ranks.end(), std::size_t{0});
  std::stable_sort(ranks.begin(), ranks.end(), [&](std::size_t a, std::size_t b) { return nodes[a] < nodes[b]; });
  std::vector<std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (i == 0 || nodes[ranks[i]] != nodes[ranks[i - 1]]) groups.emplace_back();
    groups.back().push_back(ranks[i]);
  }
  return groups;
}

/// Takes up to @p wanted from @p from, in the order of @p ranks, into @p to.
/// @return what was not to be had
std::uint32_t draw(std::span<const std::size_t> ranks, std::uint32_t wanted, Counts* from, Counts* to) {
  for (const std::size_t r : ranks) {
    const std::uint32_t taken = std::min(wanted, (*from)[r]);
    (*from)[r] -= taken;
    (*to)[r] += taken;
    wanted -= taken;
  }
  return wanted;
}

std::uint32_t sum_over(std::span<const std::size_t> ranks, const Counts& counts) {
  std::uint32_t sum = 0;
  for (const std::size_t r : ranks) sum += counts[r];
  return sum;
}

std::vector<std::vector<Family>> families_by_rank(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                                                  std::size_t ranks) {
  std::vector<std::vector<Family>> families(ranks);
  for (std::uint32_t child = 0; child < ancestors.size();) {
    Family family{ancestors[child], child, 0};
    for (; child < ancestors.size() && ancestors[child] == family.parent; ++child) ++family.count;
    families[index(owners[family.parent.value()])].push_back(family);
  }
  return families;
}

Counts loads_of(std::span<const std::vector<Family>> families) {
  Counts loads;
  for (const auto& of_rank : families)
    loads.push_back(std::accumulate(of_rank.begin(), of_rank.end(), std::uint32_t{0},
                                    [](std::uint32_t sum, const Family& f) { return sum + f.count; }));
  return loads;
}

/// A rank's families, the largest first.
class Departures {
 public:
  explicit Departures(std::vector<Family> families) : families_(std::move(families)) {
    std::make_heap(families_.begin(), families_.end(), leaves_later);
  }
  /// Up to @p most children of one family.
  Family next(std::uint32_t most) {
    Family& largest = rest_.count > 0 ? rest_ : rest_ = pop();
    Family leaving = largest;
    leaving.count = std::min(most, largest.count);
    leaving.first += largest.count - leaving.count;
    largest.count -= leaving.count;
    return leaving;
  }

 private:
  Family pop() {
    std::pop_heap(families_.begin(), families_.end(), leaves_later);
    const Family largest = families_.back();
    families_.pop_back();
    return largest;
  }

  std::vector<Family> families_;
  Family rest_;  ///< of the family that is leaving
};

/// Gives what the ranks send to those that receive, both in the order of @p ranks.
void match(std::span<const std::size_t> ranks, Counts leave, Counts arrive, std::vector<Departures>* departures,
           smc::MigrationPlan* plan) {
  auto to = ranks.begin();
  for (const std::size_t from : ranks) {
    while (leave[from] > 0) {
      while (arrive[*to] == 0) ++to;
      const Family family = (*departures)[from].next(std::min(leave[from], arrive[*to]));
      const Rank receiver{static_cast<std::int32_t>(*to)};
      std::fill_n(plan->owners.begin() + family.first, family.count, receiver);
      plan->transfers.push_back({family.parent, Rank{static_cast<std::int32_t>(from)}, receiver});
      leave[from] -= family.count;
      arrive[*to] -= family.count;
      plan->stats.moved += family.count;
    }
  }
}

void sort_by_route(std::vector<smc::Transfer>* transfers) {
  std::stable_sort(transfers->begin(), transfers->end(), [](const smc::Transfer& a, const smc::Transfer& b) {
    return a.from != b.from ? a.from < b.from : a.to < b.to;
  });
}

bool same_route(const smc::Transfer& a, const smc::Transfer& b) { return a.from == b.from && a.to == b.to; }

/// Lets the receivers of a parent send it on to each other.
class Relays {
 public:
  using Transfers = std::vector<smc::Transfer*>;

  /// @param nodes of each rank
  /// @param busy  by rank: has children of parents that live there
  Relays(std::span<const int> nodes, std::vector<bool> busy)
      : nodes_(nodes), busy_(std::move(busy)), received_(nodes.size(), 0) {}

  /// @param transfers all of the plan, sorted by route
  void arrange(std::span<smc::Transfer> transfers) {
    for (const smc::Transfer& transfer : transfers) ++received_[index(transfer.to)];
    Transfers alone;  // all that their receivers get: by another route they are no message more, and nobody waits
                      // with something else for what is relayed
    for (smc::Transfer& transfer : transfers)
      if (received_[index(transfer.to)] == 1) alone.push_back(&transfer);
    std::stable_sort(alone.begin(), alone.end(), [&](const smc::Transfer* a, const smc::Transfer* b) {
      return a->parent != b->parent ? a->parent < b->parent : node_of(a->to) < node_of(b->to);
    });
    for_groups(
        alone, [](const smc::Transfer* t) { return t->parent.value(); },
        [&](std::span<smc::Transfer* const> of_parent) { relay(of_parent); });
  }

 private:
  [[nodiscard]] int node_of(Rank rank) const { return nodes_[index(rank)]; }
  [[nodiscard]] bool can_relay(Rank rank) const { return !busy_[index(rank)]; }

  template <class Key, class Action>
  static void for_groups(std::span<smc::Transfer* const> transfers, const Key& key, const Action& action) {
    for (std::size_t begin = 0, end = 0; begin < transfers.size(); begin = end) {
      while (end < transfers.size() && key(transfers[end]) == key(transfers[begin])) ++end;
      action(transfers.subspan(begin, end - begin));
    }
  }

  /// @param transfers of one parent, by node
  void relay(std::span<smc::Transfer* const> transfers) const {
    const Rank owner = transfers.front()->from;
    Transfers between_nodes;
    for_groups(
        transfers, [&](const smc::Transfer* t) { return node_of(t->to); },
        [&](std::span<smc::Transfer* const> of_node) {
          if (node_of(of_node.front()->to) == node_of(owner)) return spread(owner, of_node);
          const auto head =
              std::find_if(of_node.begin(), of_node.end(), [&](const smc::Transfer* t) { return can_relay(t->to); });
          if (head == of_node.end()) {
            between_nodes.insert(between_nodes.end(), of_node.begin(), of_node.end());
            return;
          }
          between_nodes.push_back(*head);
          Transfers others(of_node.begin(), head);
          others.insert(others.end(), head + 1, of_node.end());
          spread((*head)->to, others);
        });
    spread(owner, between_nodes);
  }

  /// A binary tree below @p source, those that can relay above those that cannot; of these each gets it from one of the
  /// others in turn, if they are too many.
  void spread(Rank source, std::span<smc::Transfer* const> transfers) const {
    Transfers order(transfers.begin(), transfers.end());
    std::stable_partition(order.begin(), order.end(), [&](const smc::Transfer* t) { return can_relay(t->to); });
    std::vector<Rank> senders{source};
    for (std::size_t j = 0; j < order.size(); ++j) {
      const Rank sender = senders[j / 2 < senders.size() ? j / 2 : j % senders.size()];
      order[j]->relayed = sender != order[j]->from;
      order[j]->from = sender;
      if (can_relay(order[j]->to)) senders.push_back(order[j]->to);
    }
  }

  std::span<const int> nodes_;
  std::vector<bool> busy_;
  Counts received_;  ///< transfers, by rank
};

/// By rank: whether children stay where their parents are.
std::vector<bool> ranks_that_keep_children(const Counts& loads, const Flows& flows) {
  std::vector<bool> keep;
  for (std::size_t r = 0; r < loads.size(); ++r) keep.push_back(loads[r] > flows.leave_within[r] + flows.leave_node[r]);
  return keep;
}

void count_transfers(smc::MigrationPlan* plan) {
  const auto& transfers = plan->transfers;
  plan->stats.sent = transfers.size();
  for (std::size_t i = 0; i < transfers.size(); ++i)
    if (i == 0 || !same_route(transfers[i - 1], transfers[i])) ++plan->stats.messages;
}

}  // namespace

Flows plan_flows(std::span<const std::uint32_t> loads, std::span<const int> nodes, double spare) {
  const std::size_t ranks = loads.size();
  const std::size_t particles = std::accumulate(loads.begin(), loads.end(), std::size_t{0});
  const auto share = static_cast<std::uint32_t>((particles + ranks - 1) / ranks);
  const auto capacity = static_cast<std::uint32_t>(smc::rank_capacity(particles, static_cast<int>(ranks), spare));
  Counts surplus;
  Counts room;        // up to the even share
  Counts spare_room;  // from there to the capacity
  for (const std::uint32_t load : loads) {
    surplus.push_back(excess(load, capacity));
    room.push_back(excess(share, load));
    spare_room.push_back(excess(capacity, std::max(share, load)));
  }

  const Counts none(ranks, 0);
  Flows flows{none, none, none, none};
  std::uint32_t homeless = 0;
  for (const auto& of_node : ranks_by_node(nodes)) {
    const std::uint32_t all = sum_over(of_node, surplus);
    std::uint32_t rest = draw(of_node, all, &room, &flows.arrive_within);
    rest = draw(of_node, rest, &spare_room, &flows.arrive_within);
    draw(of_node, rest, &surplus, &flows.leave_node);
    draw(of_node, all - rest, &surplus, &flows.leave_within);
    homeless += rest;
  }
  for (const auto& of_node : ranks_by_node(nodes)) homeless = draw(of_node, homeless, &room, &flows.arrive_node);
  SHOAL_EXPECT(homeless == 0);
  return flows;
}

smc::MigrationPlan plan_migration(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                                  std::span<const int> nodes, double spare) {
  SHOAL_EXPECT(std::is_sorted(ancestors.begin(), ancestors.end()));
  auto families = families_by_rank(ancestors, owners, nodes.size());
  const Counts loads = loads_of(families);
  const Flows flows = plan_flows(loads, nodes, spare);

  smc::MigrationPlan plan;
  for (const LogicalId parent : ancestors) plan.owners.push_back(owners[parent.value()]);
  std::vector<Departures> departures;
  for (auto& of_rank : families) departures.emplace_back(std::move(of_rank));
  const auto groups = ranks_by_node(nodes);
  std::vector<std::size_t> all;
  for (const auto& of_node : groups) all.insert(all.end(), of_node.begin(), of_node.end());
  match(all, flows.leave_node, flows.arrive_node, &departures, &plan);
  plan.stats.between_nodes = plan.stats.moved;
  for (const auto& of_node : groups) match(of_node, flows.leave_within, flows.arrive_within, &departures, &plan);
  sort_by_route(&plan.transfers);
  Relays(nodes, ranks_that_keep_children(loads, flows)).arrange(plan.transfers);
  sort_by_route(&plan.transfers);
  count_transfers(&plan);
  return plan;
}

}  // namespace shoal::cluster

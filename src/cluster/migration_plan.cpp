#include "cluster/migration_plan.hpp"

#include <algorithm>
#include <numeric>

#include "base/assert.hpp"

namespace shoal::cluster {
namespace {

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

std::vector<std::uint32_t> loads_of(std::span<const std::vector<Family>> families) {
  std::vector<std::uint32_t> loads;
  for (const auto& of_rank : families)
    loads.push_back(std::accumulate(of_rank.begin(), of_rank.end(), std::uint32_t{0},
                                    [](std::uint32_t sum, const Family& f) { return sum + f.count; }));
  return loads;
}

/// Families, the last perhaps in part, with @p surplus children in all.
std::vector<Family> exports_of(std::vector<Family> families, std::uint32_t surplus) {
  std::vector<Family> exports;
  std::make_heap(families.begin(), families.end(), leaves_later);
  while (surplus > 0) {
    std::pop_heap(families.begin(), families.end(), leaves_later);
    Family family = families.back();
    families.pop_back();
    const std::uint32_t leaving = std::min(family.count, surplus);
    family.first += family.count - leaving;
    family.count = leaving;
    surplus -= leaving;
    exports.push_back(family);
  }
  return exports;
}

/// Fills the ranks that have room, one after the other.
class Receivers {
 public:
  Receivers(std::span<const std::uint32_t> loads, std::span<const std::uint32_t> shares) {
    for (std::size_t r = 0; r < loads.size(); ++r) room_.push_back(shares[r] > loads[r] ? shares[r] - loads[r] : 0);
  }

  void place(Family family, Rank from, MigrationPlan* plan) {
    while (family.count > 0) {
      while (room_[current_] == 0) ++current_;
      const Rank to{static_cast<std::int32_t>(current_)};
      const std::uint32_t placed = std::min(family.count, room_[current_]);
      std::fill_n(plan->owners.begin() + family.first, placed, to);
      if (plan->transfers.empty() || plan->transfers.back().from != from || plan->transfers.back().to != to)
        ++plan->stats.messages;
      plan->transfers.push_back({family.parent, from, to});
      family.first += placed;
      family.count -= placed;
      room_[current_] -= placed;
    }
  }

 private:
  std::vector<std::uint32_t> room_;
  std::size_t current_ = 0;
};

}  // namespace

std::vector<std::uint32_t> even_shares(std::span<const std::uint32_t> loads) {
  const std::uint64_t total = std::accumulate(loads.begin(), loads.end(), std::uint64_t{0});
  const auto low = static_cast<std::uint32_t>(total / loads.size());
  std::uint64_t larger = total % loads.size();
  std::vector<std::uint32_t> shares(loads.size(), low);
  const auto enlarge = [&](auto wanted) {
    for (std::size_t r = 0; r < loads.size() && larger > 0; ++r) {
      if (!wanted(loads[r])) continue;
      ++shares[r];
      --larger;
    }
  };
  enlarge([low](std::uint32_t load) { return load == low + 1; });
  enlarge([low](std::uint32_t load) { return load > low + 1; });
  enlarge([low](std::uint32_t load) { return load < low; });
  enlarge([low](std::uint32_t load) { return load == low; });
  return shares;
}

MigrationPlan plan_migration(std::span<const LogicalId> ancestors, std::span<const Rank> owners, int ranks) {
  SHOAL_EXPECT(std::is_sorted(ancestors.begin(), ancestors.end()));
  auto families = families_by_rank(ancestors, owners, static_cast<std::size_t>(ranks));
  const std::vector<std::uint32_t> loads = loads_of(families);
  const std::vector<std::uint32_t> shares = even_shares(loads);

  MigrationPlan plan;
  for (const LogicalId parent : ancestors) plan.owners.push_back(owners[parent.value()]);
  Receivers receivers(loads, shares);
  for (std::size_t r = 0; r < loads.size(); ++r) {
    if (loads[r] <= shares[r]) continue;
    const std::uint32_t surplus = loads[r] - shares[r];
    plan.stats.moved += surplus;
    for (const Family& family : exports_of(std::move(families[r]), surplus))
      receivers.place(family, Rank{static_cast<std::int32_t>(r)}, &plan);
  }
  plan.stats.sent = plan.transfers.size();
  return plan;
}

std::vector<smc::Birth> births_on(Rank rank, std::span<const LogicalId> ancestors, std::span<const Rank> owners) {
  std::vector<smc::Birth> births;
  for (std::uint32_t child = 0; child < ancestors.size(); ++child)
    if (owners[child] == rank) births.push_back({LogicalId{child}, ancestors[child]});
  return births;
}

}  // namespace shoal::cluster

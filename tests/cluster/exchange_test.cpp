// MpiTransport's data: every state reaches the ranks that need it, unharmed, and every rank knows the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "base/bytes.hpp"
#include "cluster/mpi_transport.hpp"
#include "cluster/random_offspring.hpp"
#include "smc/migration.hpp"

namespace shoal::cluster {
namespace {

/// A particle of the test: its bytes, equal for equal (id, generation).
std::string payload(LogicalId id, int generation, std::size_t size) {
  std::string bytes(size, '\0');
  std::uint64_t x = id.value() * 0x9e3779b97f4a7c15U + static_cast<std::uint64_t>(generation);
  for (char& c : bytes) {
    x = x * 6364136223846793005U + 1442695040888963407U;
    c = static_cast<char>(x >> 56U);
  }
  return bytes;
}

class ExchangeTest : public testing::Test {
 protected:
  [[nodiscard]] Rank mine() const { return transport_.rank(); }

  /// @p value, if it is the same on all ranks.
  void expect_agreed(double value, const std::string& what) {
    std::vector<double> range{value, -value};
    transport_.allreduce_max(range);
    EXPECT_EQ(range[0], -range[1]) << what << " differs between ranks";
  }

  void expect_agreed(const smc::MigrationPlan& plan) {
    expect_agreed(static_cast<double>(plan.stats.moved), "moved");
    expect_agreed(static_cast<double>(plan.stats.sent), "sent");
    expect_agreed(static_cast<double>(plan.stats.messages), "messages");
    double hash = 0.0;
    for (const Rank owner : plan.owners)
      hash = static_cast<double>((static_cast<long>(hash) * 31 + owner.value()) % 1'000'003);
    expect_agreed(hash, "owners");
  }

  World& world_ = *World::shared();
  MpiTransport transport_{world_, std::nullopt};
};

TEST_F(ExchangeTest, AllreduceTakesTheMaximum) {
  const double inf = std::numeric_limits<double>::infinity();
  std::vector<double> values{static_cast<double>(mine().value()), -inf, mine() == Rank{0} ? 0.1 : -inf};
  transport_.allreduce_max(values);
  EXPECT_EQ(values, (std::vector<double>{transport_.size() - 1.0, -inf, 0.1}));
}

TEST_F(ExchangeTest, GatherIsByRankOnRankZero) {
  for (const std::size_t size : {0U, 3U, 3'000'000U}) {
    const auto gathered =
        transport_.gather(payload(LogicalId{7}, mine().value(), size * static_cast<std::size_t>(mine().value())));
    ASSERT_EQ(gathered.size(), mine() == Rank{0} ? static_cast<std::size_t>(transport_.size()) : 0U);
    for (std::size_t r = 0; r < gathered.size(); ++r)
      EXPECT_EQ(gathered[r], payload(LogicalId{7}, static_cast<int>(r), size * r));
  }
}

std::vector<std::string> trade(smc::Transport* transport, std::vector<smc::Parcel> outgoing,
                               std::vector<smc::Parcel> incoming) {
  const auto shipment = transport->ship(std::move(outgoing), std::move(incoming));
  shipment->wait([] { return false; });
  return shipment->take();
}

std::string size_of(const std::string& bytes) {
  ByteWriter size;
  size.put<std::uint64_t>(bytes.size());
  return size.take();
}

/// A population that only migrates: each particle is its payload.
class Migrants {
 public:
  Migrants(smc::Transport* transport, std::vector<Rank> owners, std::size_t size)
      : transport_(transport), owners_(std::move(owners)) {
    for (std::uint32_t i = 0; i < owners_.size(); ++i)
      if (owners_[i] == transport_->rank()) bytes_[LogicalId{i}] = payload(LogicalId{i}, 0, 1 + i * 37 % size);
  }

  smc::MigrationPlan resample(std::span<const LogicalId> ancestors) {
    smc::MigrationPlan plan = transport_->plan(ancestors, owners_, 0.0);
    const Rank mine = transport_->rank();
    std::vector<smc::Parcel> sizes_out, sizes_in, out, in;
    std::vector<LogicalId> coming;
    std::vector<Rank> relayed_to;
    for (const smc::Transfer& t : plan.transfers) {  // in both directions the transfers of a pair keep their order
      if (t.from == mine && t.relayed) {
        relayed_to.push_back(t.to);
      } else if (t.from == mine) {
        EXPECT_TRUE(bytes_.contains(t.parent));
        out.push_back({t.to, bytes_.at(t.parent)});
        sizes_out.push_back({t.to, size_of(out.back().bytes)});
      } else if (t.to == mine) {
        coming.push_back(t.parent);
        sizes_in.push_back({t.from, std::string(sizeof(std::uint64_t), '\0')});
        in.push_back({t.from, {}});
      }
    }
    const auto sizes = trade(transport_, std::move(sizes_out), std::move(sizes_in));
    for (std::size_t k = 0; k < in.size(); ++k) in[k].bytes.resize(ByteReader(sizes[k]).get<std::uint64_t>());
    for (const Rank to : relayed_to) trade(transport_, {{to, sizes.at(0)}}, {});
    const auto arrived = trade(transport_, std::move(out), std::move(in));
    for (const Rank to : relayed_to) trade(transport_, {{to, arrived.at(0)}}, {});
    rebuild(ancestors, plan, coming, arrived);
    return plan;
  }

  /// (id, payload) of all particles, on rank 0.
  std::map<LogicalId, std::string> all() {
    ByteWriter out;
    for (const auto& [id, bytes] : bytes_) {
      out.put(id);
      out.put_string(bytes);
    }
    std::map<LogicalId, std::string> all;
    for (const std::string& part : transport_->gather(out.take())) {
      for (ByteReader in(part); !in.empty();) {
        const auto id = in.get<LogicalId>();
        EXPECT_TRUE(all.emplace(id, in.get_string()).second) << "particle on two ranks";
      }
    }
    return all;
  }

 private:
  void rebuild(std::span<const LogicalId> ancestors, const smc::MigrationPlan& plan,
               const std::vector<LogicalId>& coming, const std::vector<std::string>& arrived) {
    std::map<LogicalId, std::string> parents;
    for (std::size_t k = 0; k < coming.size(); ++k) {
      EXPECT_FALSE(bytes_.contains(coming[k])) << "sent a state that was there";
      EXPECT_TRUE(parents.emplace(coming[k], arrived[k]).second) << "sent twice";
    }
    parents.merge(bytes_);
    bytes_.clear();
    for (const smc::Birth& birth : smc::births_on(transport_->rank(), ancestors, plan.owners)) {
      EXPECT_TRUE(parents.contains(birth.parent));
      bytes_[birth.child] = parents[birth.parent];
    }
    owners_ = plan.owners;
  }

  smc::Transport* transport_;
  std::vector<Rank> owners_;
  std::map<LogicalId, std::string> bytes_;
};

TEST_F(ExchangeTest, StatesReachTheirChildrenThroughManyGenerations) {
  for (int seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::RandomOffspring random(static_cast<std::uint64_t>(seed));
    const int particles = std::vector{1, 2, 3, 7, 13, 64, 200}[static_cast<std::size_t>(random.below(7))];
    Migrants migrants(&transport_, random.owners(particles, transport_.size()), 2000);
    auto expected = migrants.all();

    for (int generation = 0; generation < 8; ++generation) {
      const auto ancestors = random.ancestors(particles);
      expect_agreed(migrants.resample(ancestors));
      std::map<LogicalId, std::string> children;
      for (std::uint32_t i = 0; i < ancestors.size(); ++i) children[LogicalId{i}] = expected[ancestors[i]];
      const auto actual = migrants.all();
      if (mine() == Rank{0}) {
        EXPECT_TRUE(actual == children);
        expected = std::move(children);
      }
    }
  }
}

TEST_F(ExchangeTest, LargeStates) {
  const int particles = 2 * transport_.size();
  test::RandomOffspring random(1);
  Migrants migrants(&transport_, smc::initial_owners(static_cast<std::size_t>(particles), transport_.size()),
                    std::size_t{8} << 20U);
  auto first = migrants.all();
  const auto plan = migrants.resample(std::vector<LogicalId>(static_cast<std::size_t>(particles)));
  EXPECT_EQ(plan.stats.sent, static_cast<std::uint64_t>(transport_.size() - 1));
  const auto all = migrants.all();
  for (const auto& [id, bytes] : all) EXPECT_TRUE(bytes == first[LogicalId{0}]);
}

TEST_F(ExchangeTest, ManyMegabytesBothWaysAndNothingBetween) {
  if (transport_.size() < 2) GTEST_SKIP();
  const Rank peer{transport_.size() - 1 - mine().value()};
  if (peer == mine()) return;  // in the middle
  const std::string large = payload(LogicalId{3}, mine().value(), std::size_t{20} << 20U);
  const auto arrived = trade(&transport_, {{peer, large}, {peer, ""}, {peer, "x"}},
                             {{peer, std::string(large.size(), '\0')}, {peer, ""}, {peer, " "}});
  ASSERT_EQ(arrived.size(), 3U);
  EXPECT_TRUE(arrived[0] == payload(LogicalId{3}, peer.value(), std::size_t{20} << 20U));
  EXPECT_EQ(arrived[1], "");
  EXPECT_EQ(arrived[2], "x");
}

TEST_F(ExchangeTest, AShipmentMayBeLeftToItself) {
  const Rank next{(mine().value() + 1) % transport_.size()};
  const Rank previous{(mine().value() + transport_.size() - 1) % transport_.size()};
  if (next == mine()) GTEST_SKIP();
  const std::string large = payload(LogicalId{9}, 0, std::size_t{4} << 20U);
  for (int i = 0; i < 3; ++i) (void)transport_.ship({{next, large}}, {{previous, std::string(large.size(), '\0')}});
  EXPECT_EQ(trade(&transport_, {{next, "after"}}, {{previous, "     "}}).front(), "after");
}

TEST_F(ExchangeTest, WaitingEndsWhenItIsToldTo) {
  if (transport_.size() < 2) GTEST_SKIP();
  const Rank peer{1 - mine().value()};
  const bool takes_part = mine().value() < 2;
  int asked = 0;
  auto shipment = takes_part ? transport_.ship({}, {{peer, " "}}) : transport_.ship({}, {});
  shipment->wait([&] { return ++asked == 3; });
  EXPECT_EQ(asked, takes_part ? 3 : 0);
  EXPECT_NE(shipment->arrived(), takes_part);
  std::vector<double> all_have_looked{0.0};
  transport_.allreduce_max(all_have_looked);
  if (!takes_part) return;
  const auto answer = transport_.ship({{peer, "."}}, {});
  shipment->wait([] { return false; });
  EXPECT_EQ(shipment->take().front(), ".");
}

}  // namespace
}  // namespace shoal::cluster

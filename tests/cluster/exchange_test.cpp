// MpiTransport's data: every state reaches the ranks that need it, unharmed, and every rank knows the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "base/bytes.hpp"
#include "cluster/mpi_transport.hpp"
#include "cluster/random_offspring.hpp"

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

  void expect_agreed(const smc::Exchange& exchange) {
    expect_agreed(static_cast<double>(exchange.stats.moved), "moved");
    expect_agreed(static_cast<double>(exchange.stats.sent), "sent");
    expect_agreed(static_cast<double>(exchange.stats.messages), "messages");
    expect_agreed(static_cast<double>(exchange.stats.bytes), "bytes");
    double hash = 0.0;
    for (const Rank owner : exchange.owners)
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

/// A population that only migrates: each particle is its payload.
class Migrants {
 public:
  Migrants(smc::Transport* transport, std::vector<Rank> owners, std::size_t size)
      : transport_(transport), owners_(std::move(owners)) {
    for (std::uint32_t i = 0; i < owners_.size(); ++i)
      if (owners_[i] == transport_->rank()) bytes_[LogicalId{i}] = payload(LogicalId{i}, 0, 1 + i * 37 % size);
  }

  smc::Exchange resample(std::span<const LogicalId> ancestors) {
    std::uint64_t packed = 0;
    smc::Exchange exchange = transport_->exchange(ancestors, owners_, [&](LogicalId parent) {
      ++packed;
      return bytes_.at(parent);
    });
    std::vector<double> sent(static_cast<std::size_t>(transport_->size()), 0.0);
    sent[static_cast<std::size_t>(transport_->rank().value())] = static_cast<double>(packed);
    transport_->allreduce_max(sent);
    EXPECT_EQ(std::accumulate(sent.begin(), sent.end(), 0.0), static_cast<double>(exchange.stats.sent));
    rebuild(exchange);
    return exchange;
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
  void rebuild(const smc::Exchange& exchange) {
    std::map<LogicalId, std::string> parents;
    for (const smc::Arrival& arrival : exchange.arrivals) {
      EXPECT_FALSE(bytes_.contains(arrival.parent)) << "sent a state that was there";
      EXPECT_TRUE(parents.emplace(arrival.parent, arrival.state).second) << "sent twice";
    }
    parents.merge(bytes_);
    bytes_.clear();
    for (const smc::Birth& birth : exchange.births) {
      EXPECT_TRUE(parents.contains(birth.parent));
      bytes_[birth.child] = parents[birth.parent];
      EXPECT_EQ(exchange.owners[birth.child.value()], transport_->rank());
    }
    owners_ = exchange.owners;
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
      const smc::Exchange exchange = migrants.resample(ancestors);
      expect_agreed(exchange);
      EXPECT_EQ(exchange.stats.bytes > 0, exchange.stats.sent > 0);
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
  const smc::Exchange exchange = migrants.resample(std::vector<LogicalId>(static_cast<std::size_t>(particles)));
  EXPECT_EQ(exchange.stats.sent, static_cast<std::uint64_t>(transport_.size() - 1));
  const auto all = migrants.all();
  for (const auto& [id, bytes] : all) EXPECT_TRUE(bytes == first[LogicalId{0}]);
}

TEST_F(ExchangeTest, ManyMegabytesBothWays) {
  if (transport_.size() < 2) GTEST_SKIP();
  const int last = transport_.size() - 1;
  const std::string large = payload(LogicalId{3}, 1, std::size_t{20} << 20U);
  std::vector<Rank> owners(4, Rank{0});
  owners[3] = Rank{last};
  const std::vector<LogicalId> ancestors(4, LogicalId{3});  // all children of the particle on the last rank
  const smc::Exchange exchange = transport_.exchange(ancestors, owners, [&](LogicalId) { return large; });
  if (mine() != Rank{last} && !exchange.births.empty()) {
    ASSERT_EQ(exchange.arrivals.size(), 1U);
    EXPECT_TRUE(exchange.arrivals.front().state == large);
  }
}

TEST_F(ExchangeTest, AStateThatCannotBePackedFailsAllRanksAndLeavesTheTransportUsable) {
  const std::vector<LogicalId> ancestors(8, LogicalId{0});
  const auto owners = smc::initial_owners(8, transport_.size());
  const auto fail = [](LogicalId) -> std::string { throw std::runtime_error("cannot pack"); };
  if (transport_.size() == 1) {
    EXPECT_NO_THROW(transport_.exchange(ancestors, owners, fail));
  } else if (mine() == Rank{0}) {
    EXPECT_THROW(transport_.exchange(ancestors, owners, fail), std::runtime_error);
  } else {
    EXPECT_THROW(transport_.exchange(ancestors, owners, fail), smc::PeerError);
  }

  const smc::Exchange exchange = transport_.exchange(ancestors, owners, [](LogicalId) { return std::string("state"); });
  for (const smc::Arrival& arrival : exchange.arrivals) EXPECT_EQ(arrival.state, "state");
}

}  // namespace
}  // namespace shoal::cluster

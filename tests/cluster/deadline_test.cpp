// The deadline: rank 0's clock counts, every rank learns of it, nothing of it is left for the next transport.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "cluster/mpi_transport.hpp"

namespace shoal::cluster {
namespace {

using std::chrono::milliseconds;

World& world() { return *World::shared(); }
bool is_root() { return world().rank() == Rank{0}; }

void meet(MpiTransport& transport) {
  std::vector<double> nothing{0.0};
  transport.allreduce_max(nothing);
}

bool passes_within(MpiTransport& transport, std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < end) {
    if (transport.deadline_passed()) return true;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return false;
}

TEST(Deadline, OfZeroSecondsPassesAtOnceAndReachesAllRanks) {
  MpiTransport transport(world(), 0.0);
  if (is_root()) {
    EXPECT_TRUE(transport.deadline_passed());
  }
  EXPECT_TRUE(passes_within(transport, std::chrono::seconds(30)));
  EXPECT_TRUE(transport.deadline_passed());
}

TEST(Deadline, NoneNeverPasses) {
  MpiTransport without(world(), std::nullopt);
  EXPECT_FALSE(without.deadline_passed());
  meet(without);
  EXPECT_FALSE(without.deadline_passed());
  MpiTransport endless(world(), 1e300);
  meet(endless);
  EXPECT_FALSE(endless.deadline_passed());
}

TEST(Deadline, OnlyRankZerosClockCounts) {
  MpiTransport transport(world(), is_root() ? std::nullopt : std::optional(0.0));
  meet(transport);
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(transport.deadline_passed());
    std::this_thread::sleep_for(milliseconds(1));
  }
  meet(transport);
}

TEST(Deadline, IsAnnouncedWhileRankZeroWaitsForTheOthers) {
  MpiTransport transport(world(), 0.02);
  if (!is_root()) {
    EXPECT_TRUE(passes_within(transport, std::chrono::seconds(30)));
  }
  meet(transport);  // rank 0 is here from the start
}

TEST(Deadline, OfOneTransportIsNotSeenByTheNext) {
  for (int i = 0; i < 50; ++i) {
    {
      MpiTransport stopped(world(), 0.0);
      if (is_root()) {
        EXPECT_TRUE(stopped.deadline_passed());
      }
      if (i % 3 == 0) meet(stopped);
    }
    MpiTransport next(world(), i % 2 == 0 ? std::nullopt : std::optional(3600.0));
    meet(next);
    for (int poll = 0; poll < 5; ++poll) EXPECT_FALSE(next.deadline_passed());
    meet(next);
    EXPECT_FALSE(next.deadline_passed());
  }
}

TEST(Deadline, TransportsEndWithoutMeeting) {
  for (int i = 0; i < 20; ++i) {
    try {
      MpiTransport transport(world(), i % 2 == 0 ? std::optional(0.0) : std::nullopt);
      if (is_root() && i % 4 == 0) (void)transport.deadline_passed();
      throw std::runtime_error("the run failed");
    } catch (const std::runtime_error&) {
      continue;
    }
  }
}

}  // namespace
}  // namespace shoal::cluster

// A rank that is slow does not count as one that hangs. (One that hangs: tests/app/fault_test.cpp.)
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "cluster/mpi_transport.hpp"

namespace shoal::cluster {
namespace {

using std::chrono::milliseconds;

World& world() { return *World::shared(); }

class HangLimit : public testing::Test {
 protected:
  HangLimit() { world().set_hang_limit(1.0); }
  ~HangLimit() override { world().set_hang_limit(0.0); }

  static void meet(MpiTransport& transport) {
    std::vector<double> nothing{0.0};
    transport.allreduce_max(nothing);
  }
};

TEST_F(HangLimit, IsNotReachedByARankThatIsSlowFromTokenToToken) {
  MpiTransport transport(world(), std::nullopt);
  if (world().rank().value() == world().size() - 1) {
    for (int token = 0; token < 8; ++token) {
      std::this_thread::sleep_for(milliseconds(200));
      EXPECT_FALSE(transport.deadline_passed());
    }
  }
  meet(transport);
}

TEST_F(HangLimit, IsNotReachedByRanksThatWaitForAnother) {
  world().together([&] {
    if (world().rank() == Rank{0}) std::this_thread::sleep_for(milliseconds(600));
  });
}

}  // namespace
}  // namespace shoal::cluster

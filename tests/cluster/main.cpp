// Runs the same tests on every rank. Rank 0 prints as usual, the others only what fails on them.
#include <gtest/gtest.h>

#include <iostream>
#include <sstream>

#include "cluster/world.hpp"

namespace {

class FailurePrinter final : public testing::EmptyTestEventListener {
 public:
  explicit FailurePrinter(int rank) : rank_(rank) {}
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::ostringstream line;
    line << "rank " << rank_ << ": " << result << '\n';
    std::cerr << line.str();
  }

 private:
  int rank_;
};

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const auto world = shoal::cluster::World::shared();
  if (const int rank = world->rank().value(); rank != 0) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailurePrinter(rank));
  }
  return RUN_ALL_TESTS();
}

#include "base/parallel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace shoal {
namespace {

/// Restores the number of worker threads.
class ParallelFor : public testing::Test {
 protected:
  void TearDown() override { set_worker_threads(before_); }

 private:
  int before_ = worker_threads();
};

TEST_F(ParallelFor, CallsEveryIndexOnce) {
  for (const int threads : {1, 2, 5}) {
    set_worker_threads(threads);
    EXPECT_EQ(worker_threads(), threads);
    for (const std::size_t n : {0U, 1U, 2U, 1000U}) {
      std::vector<std::atomic<int>> calls(n);
      parallel_for(n, [&](std::size_t i) { ++calls[i]; });
      for (const auto& count : calls) EXPECT_EQ(count, 1);
    }
  }
}

TEST_F(ParallelFor, RethrowsAfterAllHaveEnded) {
  for (const int threads : {1, 4}) {
    set_worker_threads(threads);
    std::atomic<int> calls = 0;
    const auto body = [&](std::size_t i) {
      ++calls;
      if (i % 10 == 3) throw std::runtime_error("index " + std::to_string(i));
    };
    EXPECT_THROW(parallel_for(100, body), std::runtime_error);
    EXPECT_EQ(calls, 100);
  }
}

TEST(IndicesAtOnce, KeepWorkersBusy) {
  for (std::size_t workers = 1; workers <= 64; ++workers)
    for (std::size_t n = 1; n <= 3000; ++n) {
      const std::size_t at_once = indices_at_once(n, workers);
      const std::size_t rounds = ((n + at_once - 1) / at_once + workers - 1) / workers;

      ASSERT_LE(rounds, 16U) << n << " by " << workers;
      if (at_once > 1) {
        ASSERT_GE(9 * n, 8 * rounds * at_once * workers) << n << " by " << workers;
      }
    }
}

}  // namespace
}  // namespace shoal

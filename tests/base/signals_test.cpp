#include "base/signals.hpp"

#include <gtest/gtest.h>

#include <csignal>

namespace shoal {
namespace {

TEST(Signals, FirstSignalOnlySetsTheFlag) {
  for (const int number : {SIGINT, SIGTERM, SIGUSR2}) {
    const ScopedSignals signals;
    EXPECT_EQ(received_signal(), 0);
    std::raise(number);
    EXPECT_EQ(received_signal(), number);
  }
  EXPECT_EQ(received_signal(), 0);
}

TEST(Signals, SecondSignalEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const ScopedSignals signals;
        std::raise(SIGINT);
        std::raise(SIGTERM);
      },
      testing::ExitedWithCode(128 + SIGTERM), "");
}

TEST(Signals, SigUsr1AsksForOneCheckpointAndNoEnd) {
  const ScopedSignals signals;
  EXPECT_FALSE(take_checkpoint_request());
  std::raise(SIGUSR1);
  std::raise(SIGUSR1);
  EXPECT_EQ(received_signal(), 0);
  EXPECT_TRUE(take_checkpoint_request());
  EXPECT_FALSE(take_checkpoint_request());
}

TEST(Signals, EarlierHandlersComeBack) {
  std::signal(SIGTERM, SIG_IGN);
  { const ScopedSignals signals; }
  EXPECT_EQ(std::signal(SIGTERM, SIG_DFL), SIG_IGN);
}

}  // namespace
}  // namespace shoal

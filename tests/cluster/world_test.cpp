#include "cluster/world.hpp"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include "cluster/links.hpp"
#include "smc/transport.hpp"

namespace shoal::cluster {
namespace {

World& world() { return *World::shared(); }
int my_rank() { return world().rank().value(); }

/// The error that together throws here, or an "exit code" of 0 if it throws none.
template <class Action>
AgreedError error_of(const Action& action) {
  try {
    world().together(action);
  } catch (const AgreedError& e) {
    return e;
  }
  return {ExitCode::done, "no error"};
}

TEST(World, IsOne) {
  EXPECT_EQ(World::shared(), World::shared());
  EXPECT_GE(my_rank(), 0);
  EXPECT_LT(my_rank(), world().size());
  EXPECT_EQ(world().ranks_on_node(), world().size());
}

TEST(Broadcast, GivesEveryRankTheBytesOfRankZero) {
  const std::string long_text(5'000'000, 'x');
  for (const std::string& text : {std::string(), std::string("hello"), std::string("a\0b\xff", 4), long_text})
    EXPECT_EQ(world().broadcast(my_rank() == 0 ? text : "other " + std::to_string(my_rank())), text);
}

TEST(Together, ReturnsEachRanksOwnResult) {
  EXPECT_EQ(world().together([] { return my_rank() + 10; }), my_rank() + 10);
  EXPECT_EQ(*world().together([] { return std::make_unique<int>(my_rank()); }), my_rank());
  bool called = false;
  world().together([&] { called = true; });
  EXPECT_TRUE(called);
}

TEST(Together, AnyFailingRankFailsAllWithItsLineAndCode) {
  for (int failing = 0; failing < world().size(); ++failing) {
    const AgreedError error = error_of([&] {
      if (my_rank() == failing) throw IoError("disk " + std::to_string(failing) + " is full");
    });
    EXPECT_EQ(error.what(), "disk " + std::to_string(failing) + " is full");
    EXPECT_EQ(error.code(), ExitCode::io);
  }
}

TEST(Together, TheLowestFailingRankSpeaks) {
  const AgreedError error = error_of([] {
    if (my_rank() > 0 || world().size() == 1) throw UsageError("from " + std::to_string(my_rank()));
  });
  EXPECT_STREQ(error.what(), world().size() == 1 ? "from 0" : "from 1");
  EXPECT_EQ(error.code(), ExitCode::usage);
}

TEST(Together, TheCauseIsToldAndNotWhatFollowedFromIt) {
  for (int failing = 0; failing < world().size(); ++failing) {
    const AgreedError error = error_of([&] {
      if (my_rank() == failing) throw ModelError("the cause");
      throw smc::PeerError("rank " + std::to_string(failing) + " failed");
    });
    EXPECT_STREQ(error.what(), "the cause");
    EXPECT_EQ(error.code(), ExitCode::model);
  }
}

TEST(Together, ForeignExceptionsBecomeErrors) {
  const int last = world().size() - 1;
  const auto thrown_by_last = [&](const auto& exception) {
    return error_of([&] {
      if (my_rank() == last) throw exception;
    });
  };
  const std::string rank = "rank " + std::to_string(last);

  const AgreedError memory = thrown_by_last(std::bad_alloc());
  EXPECT_EQ(memory.code(), ExitCode::internal);
  EXPECT_NE(std::string(memory.what()).find("out of memory (" + rank), std::string::npos) << memory.what();
  const AgreedError logic = thrown_by_last(std::logic_error("odd"));
  EXPECT_EQ(logic.code(), ExitCode::internal);
  EXPECT_NE(std::string(logic.what()).find(rank + ": odd"), std::string::npos) << logic.what();
  EXPECT_EQ(thrown_by_last(42).code(), ExitCode::internal);
}

TEST(Together, Nests) {
  const AgreedError error = error_of([] {
    world().together([] {
      if (my_rank() == world().size() - 1) throw IoError("inner");
    });
  });
  EXPECT_STREQ(error.what(), "inner");
  EXPECT_EQ(error.code(), ExitCode::io);
}

TEST(Message, TravelsInPieces) {
  const Communicator& comm = world().links().data;
  const Rank next{(my_rank() + 1) % world().size()};
  const Rank previous{(my_rank() + world().size() - 1) % world().size()};
  for (const std::size_t size : {0U, 1U, 999U, 1000U, 1001U, 123'456U}) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 1000);
    Message in = Message::receive(std::string(size, '\0'), previous, 7, comm, 1000);
    Message out = Message::send(text, next, 7, comm, 1000);
    while (!in.done() || !out.done()) {
    }
    EXPECT_EQ(in.bytes(), text);
  }
}

}  // namespace
}  // namespace shoal::cluster

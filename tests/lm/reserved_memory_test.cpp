// Addresses are reserved, pages come in the background before they are used.
#include "lm/reserved_memory.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <thread>
#include <vector>

#include "lm/block_memory.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

constexpr std::size_t megabyte = std::size_t{1} << 20U;

std::size_t resident_bytes(const std::byte* begin, std::size_t bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages(bytes / page);
  EXPECT_EQ(mincore(const_cast<std::byte*>(begin), bytes, pages.data()), 0);
  std::size_t resident = 0;
  for (const unsigned char one : pages) resident += (one & 1U) != 0 ? page : 0;
  return resident;
}

bool comes_to(const ReservedMemory& memory, std::size_t bytes) {
  for (int i = 0; i < 10'000 && memory.populated() < bytes; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return memory.populated() >= bytes;
}

TEST(ReservedMemory, ProvidesThePagesThatAreAskedForAndNoOthers) {
#ifndef MADV_POPULATE_WRITE
  GTEST_SKIP() << "this system cannot populate pages";
#endif
  ReservedMemory memory(256 * megabyte);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.data()) % (2 * megabyte), 0U);
  EXPECT_EQ(resident_bytes(memory.data(), memory.size()), 0U);

  for (const std::size_t wanted : {20 * megabyte, 50 * megabyte}) {
    memory.populate(wanted);
    ASSERT_TRUE(comes_to(memory, wanted));
    EXPECT_EQ(resident_bytes(memory.data(), wanted), wanted);
    EXPECT_EQ(resident_bytes(memory.data() + 64 * megabyte, 192 * megabyte), 0U);
  }
  EXPECT_EQ(memory.data()[50 * megabyte - 1], std::byte{0});
}

TEST(ReservedMemory, ChangesNothingThatHasBeenWritten) {
  ReservedMemory memory(64 * megabyte);
  for (std::size_t i = 0; i < memory.size(); i += megabyte) {
    memory.populate(i + 8 * megabyte);
    memory.data()[i] = std::byte{7};
  }
  for (std::size_t i = 0; i < memory.size(); i += megabyte) EXPECT_EQ(memory.data()[i], std::byte{7});
}

TEST(ReservedMemory, WhatTheSystemDoesNotGrantIsOneClearLine) {
  EXPECT_THROW(ReservedMemory(std::size_t{1} << 60U), std::bad_alloc);
  try {
    HostBlockMemory refused(std::size_t{1} << 60U);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("use fewer particles or tokens"), std::string::npos) << error.what();
  }
}

TEST(HostBlockMemory, GoesOnBeyondWhatWasExpected) {
  HostBlockMemory memory(megabyte);
  std::vector<std::byte*> pieces;
  for (int i = 0; i < 40; ++i) {
    pieces.push_back(memory.allocate(megabyte));
    for (std::size_t at = 0; at < megabyte; at += 4096) pieces.back()[at] = std::byte(i);
  }
  for (int i = 0; i < 40; ++i) EXPECT_EQ(pieces[static_cast<std::size_t>(i)][megabyte - 4096], std::byte(i));
}

TEST(HostBlockMemory, FreesPagesThatAreTooFewForIt) {
  SpareMemory spare;
  {
    HostBlockMemory memory(megabyte, &spare);
    (void)memory.allocate(megabyte);
  }
  ASSERT_NE(spare.memory, nullptr);
  HostBlockMemory larger(256 * megabyte, &spare);
  EXPECT_EQ(spare.memory, nullptr);
  EXPECT_EQ(spare.resident, 0U);
}

TEST(HostBlockMemory, LeavesItsPagesToTheNextOne) {
  SpareMemory spare;
  const std::byte* first = nullptr;
  {
    HostBlockMemory memory(64 * megabyte, &spare);
    std::byte* const at = memory.allocate(10 * megabyte);
    std::fill_n(at, 10 * megabyte, std::byte{1});
    first = at;
  }
  ASSERT_NE(spare.memory, nullptr);
  EXPECT_GE(spare.resident, 10 * megabyte);
  {
    HostBlockMemory memory(32 * megabyte, &spare);
    EXPECT_EQ(spare.memory, nullptr);
    EXPECT_EQ(spare.resident, 0U);
    EXPECT_EQ(memory.allocate(megabyte), first);
    EXPECT_EQ(resident_bytes(first, 10 * megabyte), 10 * megabyte);
    HostBlockMemory at_the_same_time(64 * megabyte, &spare);
    EXPECT_NE(at_the_same_time.allocate(megabyte), first);
  }
  ASSERT_NE(spare.memory, nullptr);
  const std::byte* const kept = spare.memory->data();
  HostBlockMemory a_little_larger(70 * megabyte, &spare);
  EXPECT_EQ(a_little_larger.allocate(megabyte), kept);
  EXPECT_EQ(spare.memory, nullptr);
}

}  // namespace
}  // namespace shoal::lm

// The links between GPUs on an NCCL that this file emulates for one process: what they ask of it, and that they end
// instead of waiting when a peer is lost.
#include "lm/cuda/nccl_links.hpp"

#include <gtest/gtest.h>
#include <nccl.h>

#include <cstring>
#include <deque>
#include <vector>

#include "shoal/error.hpp"

struct ncclComm {};

namespace {

/// What the emulated library does and has seen.
struct Nccl {
  ncclResult_t state = ncclSuccess;
  int joined = 0, aborted = 0, destroyed = 0;
  bool in_group = false;
  std::deque<std::pair<const void*, std::size_t>> sent;
  std::vector<ncclRedOp_t> reductions;
};
Nccl nccl;

}  // namespace

extern "C" {
const char* ncclGetErrorString(ncclResult_t) { return "a peer is gone"; }
ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  std::memset(id, 7, sizeof *id);
  return ncclSuccess;
}
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int, ncclUniqueId, int, ncclConfig_t* config) {
  EXPECT_EQ(config->blocking, 0);
  *comm = new ncclComm;
  ++nccl.joined;
  return ncclInProgress;
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* state) {
  *state = nccl.state;
  return ncclSuccess;
}
ncclResult_t ncclCommFinalize(ncclComm_t) { return ncclSuccess; }
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  delete comm;
  ++nccl.destroyed;
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  delete comm;
  ++nccl.aborted;
  return ncclSuccess;
}
ncclResult_t ncclAllReduce(const void*, void*, std::size_t, ncclDataType_t, ncclRedOp_t operation, ncclComm_t,
                           cudaStream_t) {
  nccl.reductions.push_back(operation);
  return ncclInProgress;
}
ncclResult_t ncclGroupStart() {
  nccl.in_group = true;
  return ncclSuccess;
}
/// Receives come first in a group; here they are fulfilled at its end, by what the rank sends to itself.
std::deque<std::pair<void*, std::size_t>> wanted;
ncclResult_t ncclRecv(void* to, std::size_t bytes, ncclDataType_t, int, ncclComm_t, cudaStream_t) {
  EXPECT_TRUE(nccl.in_group);
  wanted.emplace_back(to, bytes);
  return ncclSuccess;
}
ncclResult_t ncclSend(const void* from, std::size_t bytes, ncclDataType_t, int, ncclComm_t, cudaStream_t) {
  EXPECT_TRUE(nccl.in_group);
  nccl.sent.emplace_back(from, bytes);
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  nccl.in_group = false;
  for (; !wanted.empty() && !nccl.sent.empty(); wanted.pop_front(), nccl.sent.pop_front()) {
    EXPECT_EQ(wanted.front().second, nccl.sent.front().second);
    std::memcpy(wanted.front().first, nccl.sent.front().first, wanted.front().second);
  }
  return ncclInProgress;
}
}

namespace shoal::lm::cuda {
namespace {

const Meanwhile nothing = [] {};

class NcclLinks : public testing::Test {
 protected:
  void SetUp() override { nccl = {}; }
  static std::unique_ptr<GpuLinks> join() { return join_links(make_link_id(), 0, 1, 0, 0.05); }
  template <class Action>
  static void expect_lost(const Action& action) {
    try {
      action();
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::lost) << error.what();
    }
  }
};

TEST_F(NcclLinks, ReduceByMaximaOfAnyNumberOfValues) {
  const auto links = join();
  for (const std::size_t size : {2U, 1000U, 1U}) {
    std::vector<double> values(size, -0.5);
    values.back() = 7.0;
    const auto expected = values;

    links->allreduce_max(values, nothing);

    EXPECT_EQ(values, expected);
  }
  EXPECT_EQ(nccl.reductions, (std::vector{ncclMax, ncclMax, ncclMax}));
}

TEST_F(NcclLinks, ExchangeParcelsInOneGroup) {
  const auto links = join();
  std::vector<std::byte> from(100, std::byte{5}), to(100);
  const GpuParcel sends[] = {{0, from.data(), 60}, {0, from.data() + 60, 40}};
  const GpuParcel receives[] = {{0, to.data(), 60}, {0, to.data() + 60, 40}};

  links->start_exchange(sends, receives, nothing);

  EXPECT_TRUE(links->exchange_done());
  EXPECT_EQ(to, from);
}

TEST_F(NcclLinks, AreGivenBackAtTheEnd) {
  join().reset();

  EXPECT_EQ(nccl.destroyed, 1);
  EXPECT_EQ(nccl.aborted, 0);
}

TEST_F(NcclLinks, AreGivenUpIfAPeerDoesNotLeave) {
  auto links = join();
  nccl.state = ncclInProgress;

  links.reset();

  EXPECT_EQ(nccl.aborted, 1);
  EXPECT_EQ(nccl.destroyed, 0);
  nccl.state = ncclSuccess;
}

TEST_F(NcclLinks, ALostPeerEndsThemAtOnce) {
  const auto links = join();
  std::vector<double> values{1.0};
  nccl.state = ncclRemoteError;

  expect_lost([&] { links->allreduce_max(values, nothing); });
  EXPECT_EQ(nccl.aborted, 1);
  nccl.state = ncclSuccess;
  expect_lost([&] { links->allreduce_max(values, nothing); });
  expect_lost([&] { links->start_exchange({}, {}, nothing); });
  expect_lost([&] { (void)links->exchange_done(); });
}

TEST_F(NcclLinks, WhoeverWaitsMayGiveUp) {
  const auto links = join();
  std::vector<double> values{1.0};
  nccl.state = ncclInProgress;
  int looks = 0;
  const auto give_up = [&] {
    if (++looks == 3) throw Error(ExitCode::lost, "enough");
  };

  expect_lost([&] { links->allreduce_max(values, give_up); });
  EXPECT_EQ(looks, 3);
  EXPECT_EQ(nccl.aborted, 1);
}

TEST_F(NcclLinks, APeerThatDoesNotComeIsNotWaitedForLongerThanThePatience) {
  nccl.state = ncclInProgress;

  expect_lost([] { (void)join(); });
  EXPECT_EQ(nccl.joined, 1);
  EXPECT_EQ(nccl.aborted, 1);
}

}  // namespace
}  // namespace shoal::lm::cuda

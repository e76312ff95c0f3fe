#include "lm/cuda/nccl_links.hpp"

#include <nccl.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "lm/cuda/memory.hpp"

namespace shoal::lm::cuda {
namespace {

static_assert(sizeof(GpuLinkId) == sizeof(ncclUniqueId));

[[noreturn]] void fail(const char* what, const std::string& why) {
  throw Error(ExitCode::lost, std::string("the GPUs of the ranks cannot reach each other (") + what + ": " + why +
                                  ") see the messages of the other ranks; NCCL_DEBUG=INFO shows more");
}

/// Calls return at once and go on in the background (ncclInProgress); everything here polls, so that a lost peer is
/// noticed.
class NcclLinks final : public GpuLinks {
 public:
  NcclLinks(const GpuLinkId& id, int rank, int size, int gpu, double patience_s)
      : gpu_((use(gpu), gpu)), patience_s_(patience_s) {
    ncclUniqueId nccl_id;
    std::memcpy(&nccl_id, id.data(), sizeof nccl_id);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    const ncclResult_t result = ncclCommInitRankConfig(&comm_, size, nccl_id, rank, &config);
    try {
      require(result, "ncclCommInitRankConfig");
      wait_for_calls("joining");
    } catch (...) {
      abort();
      throw;
    }
  }
  ~NcclLinks() override {
    if (comm_ == nullptr) return;
    try {
      wait("leaving");
      require(ncclCommFinalize(comm_), "leaving");
      wait_for_calls("leaving");
      ncclCommDestroy(std::exchange(comm_, nullptr));
    } catch (...) {
      abort();
    }
  }
  NcclLinks(const NcclLinks&) = delete;
  NcclLinks& operator=(const NcclLinks&) = delete;

  void allreduce_sum(std::span<std::uint64_t> values) override { allreduce(values, ncclUint64, ncclSum); }
  void allreduce_max(std::span<double> values) override { allreduce(values, ncclFloat64, ncclMax); }

  void start_exchange(std::span<const GpuParcel> sends, std::span<const GpuParcel> receives) override {
    use(gpu_);
    call("exchange", [&] {
      ncclGroupStart();
      for (const GpuParcel& p : receives) ncclRecv(p.at, p.bytes, ncclInt8, p.peer, comm_, stream_.get());
      for (const GpuParcel& p : sends) ncclSend(p.at, p.bytes, ncclInt8, p.peer, comm_, stream_.get());
      return ncclGroupEnd();
    });
  }
  bool exchange_done() override {
    use(gpu_);
    check_peers("exchange");
    const cudaError_t state = cudaStreamQuery(stream_.get());
    if (state != cudaErrorNotReady) check(state, "exchange");
    return state == cudaSuccess;
  }
  void finish_exchange() override { wait("exchange"); }

 private:
  using Clock = std::chrono::steady_clock;

  static void use(int gpu) { check(cudaSetDevice(gpu), "cudaSetDevice"); }

  template <class T>
  void allreduce(std::span<T> values, ncclDataType_t type, ncclRedOp_t operation) {
    use(gpu_);
    if (scratch_.size() < values.size_bytes()) scratch_ = Array<std::byte>(values.size_bytes());
    const auto bytes = std::as_writable_bytes(values);
    copy_to_device(std::span<const std::byte>(bytes), scratch_.data(), stream_);
    call("allreduce", [&] {
      return ncclAllReduce(scratch_.data(), scratch_.data(), values.size(), type, operation, comm_, stream_.get());
    });
    wait("allreduce");  // before the copy, which would wait without looking at the peers
    copy_to_host(scratch_.data(), bytes, stream_);
    stream_.wait();
  }

  template <class Call>
  void call(const char* what, const Call& start) {
    if (comm_ == nullptr) fail(what, "the links are gone after an earlier error");
    guarded([&] {
      require(start(), what);
      wait_for_calls(what);
    });
  }
  void wait(const char* what) {
    guarded([&] {
      const auto end = deadline();
      while (!exchange_done()) rest(what, end);
    });
  }
  /// After an error nothing that is under way will end by itself.
  template <class Action>
  void guarded(const Action& action) {
    try {
      action();
    } catch (...) {
      abort();
      throw;
    }
  }
  void abort() {
    if (comm_ == nullptr) return;
    ncclCommAbort(std::exchange(comm_, nullptr));
    cudaStreamSynchronize(stream_.get());
  }

  static void require(ncclResult_t result, const char* what) {
    if (result != ncclSuccess && result != ncclInProgress) fail(what, ncclGetErrorString(result));
  }
  ncclResult_t check_peers(const char* what) const {
    if (comm_ == nullptr) fail(what, "the links are gone after an earlier error");
    ncclResult_t state = ncclSuccess;
    require(ncclCommGetAsyncError(comm_, &state), what);
    require(state, what);
    return state;
  }
  void wait_for_calls(const char* what) const {
    const auto end = deadline();
    while (check_peers(what) == ncclInProgress) rest(what, end);
  }
  [[nodiscard]] Clock::time_point deadline() const {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(patience_s_));
  }
  void rest(const char* what, Clock::time_point end) const {
    if (Clock::now() > end) fail(what, "a rank has not come within " + std::to_string(patience_s_) + " s");
    std::this_thread::yield();
  }

  int gpu_;
  double patience_s_;
  Stream stream_;
  ncclComm_t comm_ = nullptr;
  Array<std::byte> scratch_;
};

}  // namespace

GpuLinkId make_link_id() {
  ncclUniqueId nccl_id;
  if (const auto result = ncclGetUniqueId(&nccl_id); result != ncclSuccess)
    fail("ncclGetUniqueId", ncclGetErrorString(result));
  GpuLinkId id;
  std::memcpy(id.data(), &nccl_id, sizeof nccl_id);
  return id;
}

std::unique_ptr<GpuLinks> join_links(const GpuLinkId& id, int rank, int size, int gpu, double patience_s) {
  return std::make_unique<NcclLinks>(id, rank, size, gpu, patience_s);
}

}  // namespace shoal::lm::cuda

#include "lm/cuda/nccl_links.hpp"

#include <nccl.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "base/stopwatch.hpp"
#include "lm/cuda/memory.hpp"

namespace shoal::lm::cuda {
namespace {

static_assert(sizeof(GpuLinkId) == sizeof(ncclUniqueId));

/// Longest wait for the others at the end, when nothing depends on them any more.
constexpr double leaving_s = 10.0;

[[noreturn]] void fail(const char* what, const std::string& why) {
  throw Error(ExitCode::lost, std::string("the GPUs of the ranks cannot reach each other (") + what + ": " + why +
                                  ") see the messages of the other ranks; NCCL_DEBUG=INFO shows more");
}

/// Something to do while waiting that throws after @p seconds.
Meanwhile patience(double seconds, const char* what) {
  return [watch = Stopwatch(), seconds, what] {
    if (watch.seconds() > seconds) fail(what, "a rank has not come within " + std::to_string(seconds) + " s");
  };
}

/// Calls return at once and go on in the background (ncclInProgress); everything here polls, so that a lost peer is
/// noticed.
class NcclLinks final : public GpuLinks {
 public:
  NcclLinks(const GpuLinkId& id, int rank, int size, int gpu, double patience_s)
      : gpu_((use(gpu), gpu)), leaving_s_(std::min(patience_s, leaving_s)) {
    ncclUniqueId nccl_id;
    std::memcpy(&nccl_id, id.data(), sizeof nccl_id);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    guarded([&] {
      require(ncclCommInitRankConfig(&comm_, size, nccl_id, rank, &config), "ncclCommInitRankConfig");
      wait_for_calls("joining", patience(patience_s, "joining"));
    });
  }
  ~NcclLinks() override {
    if (comm_ == nullptr) return;
    try {
      use(gpu_);
      const Meanwhile meanwhile = patience(leaving_s_, "leaving");
      wait_for_stream("leaving", meanwhile);
      require(ncclCommFinalize(comm_), "leaving");
      wait_for_calls("leaving", meanwhile);
      ncclCommDestroy(std::exchange(comm_, nullptr));
    } catch (...) {
      abort();
    }
  }
  NcclLinks(const NcclLinks&) = delete;
  NcclLinks& operator=(const NcclLinks&) = delete;

  void allreduce_max(std::span<double> values, const Meanwhile& meanwhile) override {
    use(gpu_);
    scratch_.reserve(values.size());
    const auto host = scratch_.host(values.size());
    std::copy(values.begin(), values.end(), host.begin());
    scratch_.upload(values.size(), stream_);
    start("allreduce", meanwhile, [&] {
      return ncclAllReduce(scratch_.device(), scratch_.device(), values.size(), ncclFloat64, ncclMax, comm_,
                           stream_.get());
    });
    guarded([&] {
      wait_for_calls("allreduce", meanwhile);
      copy_to_host(scratch_.device(), host, stream_);
      wait_for_stream("allreduce", meanwhile);
    });
    std::copy(host.begin(), host.end(), values.begin());
  }

  void start_exchange(std::span<const GpuParcel> sends, std::span<const GpuParcel> receives,
                      const Meanwhile& meanwhile) override {
    use(gpu_);
    start("exchange", meanwhile, [&] {
      ncclGroupStart();
      for (const GpuParcel& p : receives) ncclRecv(p.at, p.bytes, ncclInt8, p.peer, comm_, stream_.get());
      for (const GpuParcel& p : sends) ncclSend(p.at, p.bytes, ncclInt8, p.peer, comm_, stream_.get());
      return ncclGroupEnd();  // tells of the others' errors too
    });
  }
  bool exchange_done() override {
    use(gpu_);
    bool done = false;
    guarded([&] { done = check_peers("exchange") != ncclInProgress && stream_is_done("exchange"); });
    return done;
  }

  double time_exchange(int to, int from, std::size_t bytes, const Meanwhile& meanwhile) override {
    use(gpu_);
    const Array<std::byte> outgoing(bytes), incoming(bytes);
    const GpuParcel send{to, outgoing.data(), bytes}, receive{from, incoming.data(), bytes};
    const Stopwatch watch;
    start_exchange({&send, 1}, {&receive, 1}, meanwhile);
    guarded([&] {
      wait_for_calls("exchange", meanwhile);
      wait_for_stream("exchange", meanwhile);
    });
    return watch.seconds();
  }

 private:
  static void use(int gpu) { check(cudaSetDevice(gpu), "cudaSetDevice"); }

  /// Waits for the call before, which may have to wait for peers whom it has never met, not for this one.
  template <class Call>
  void start(const char* what, const Meanwhile& meanwhile, const Call& call) {
    guarded([&] {
      wait_for_calls(what, meanwhile);
      require(call(), what);
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
  bool stream_is_done(const char* what) const {
    const cudaError_t state = cudaStreamQuery(stream_.get());
    if (state != cudaErrorNotReady)
      check(state, what);
    else
      (void)cudaGetLastError();  // which must not look like the next kernel's
    return state == cudaSuccess;
  }
  void wait_for_calls(const char* what, const Meanwhile& meanwhile) const {
    while (check_peers(what) == ncclInProgress) rest(meanwhile);
  }
  void wait_for_stream(const char* what, const Meanwhile& meanwhile) const {
    while (!stream_is_done(what)) {
      check_peers(what);
      rest(meanwhile);
    }
  }
  static void rest(const Meanwhile& meanwhile) {
    meanwhile();
    std::this_thread::yield();
  }

  int gpu_;
  double leaving_s_;
  Stream stream_;
  ncclComm_t comm_ = nullptr;
  StepList<double> scratch_;
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

// EmulatedBlock: a block of GPU threads on one thread of the host, so that kernels' bodies (src/lm/cuda/kernels) run
// and are checked where there is no GPU. Every GPU thread is a fiber that runs until it waits for others: at a barrier,
// or in an operation of its warp. Between two waits the order of the threads is free, as on a GPU; the tests run bodies
// in several orders, so that a missing barrier shows as different results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "lm/cuda/kernels/reductions.hpp"

namespace shoal::lm::cuda {

/// In which order threads run between two waits.
enum class ThreadOrder { forward, backward, shuffled };

class FiberTeam;

class EmulatedBlock {
 public:
  [[nodiscard]] int thread() const;
  [[nodiscard]] int threads() const { return threads_; }
  [[nodiscard]] int index() const { return index_; }
  [[nodiscard]] int blocks() const { return blocks_; }
  void sync();
  template <class T>
  T* shared(int count) {
    return reinterpret_cast<T*>(shared_bytes(static_cast<std::size_t>(count) * sizeof(T)));
  }

  template <class T>
  T shuffle_xor(T value, int mask) {
    return from_lane(value, lane() ^ mask);
  }
  template <class T>
  T shuffle(T value, int from) {
    return from_lane(value, from);
  }
  template <class T>
  T shuffle_up(T value, int distance) {
    return from_lane(value, lane() < distance ? lane() : lane() - distance);
  }
  std::uint32_t ballot(bool value) {
    exchange(&value, sizeof value);
    std::uint32_t bits = 0;
    for (int i = 0; i < warp_size; ++i) bits |= (of_lane<bool>(i) ? 1U : 0U) << i;
    return bits;
  }
  /// c += A B of a warp, as mma.sync.m16n8k16 with bf16 operands: A 16 x 16, B 16 x 8.
  void mma(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1);

 private:
  friend class FiberTeam;
  EmulatedBlock(FiberTeam* team, int threads, int index, int blocks)
      : team_(team), threads_(threads), index_(index), blocks_(blocks) {}
  [[nodiscard]] int lane() const { return thread() % warp_size; }
  std::byte* shared_bytes(std::size_t bytes);
  /// Shows @p value to the warp; when it returns, all of the warp's are there until the next but one exchange.
  void exchange(const void* value, std::size_t bytes);
  [[nodiscard]] const std::byte* shown(int lane) const;
  template <class T>
  T of_lane(int lane) const {
    T value;
    __builtin_memcpy(&value, shown(lane), sizeof value);
    return value;
  }
  template <class T>
  T from_lane(T value, int lane) {
    exchange(&value, sizeof value);
    return of_lane<T>(lane);
  }

  FiberTeam* team_;
  int threads_, index_, blocks_;
};

/// Runs @p body on every thread of every block, one block after the other. Shared memory begins filled with NaNs.
/// @param threads a multiple of 32 @throws std::logic_error if threads wait for each other in different places
void emulate(int blocks, int threads, ThreadOrder order, const std::function<void(EmulatedBlock&)>& body);

}  // namespace shoal::lm::cuda

// Key/value blocks on the GPU. Copies of forked sequences' blocks are gathered, and made by one kernel before anything
// reads or writes blocks. The kernel makes them in any order: one that needs another done before begins the next lot.
#pragma once

#include <memory>
#include <unordered_set>
#include <vector>

#include "lm/block_memory.hpp"
#include "lm/cuda/memory.hpp"

namespace shoal::lm::cuda {

class BlockCopies {
 public:
  explicit BlockCopies(const Stream& stream) : stream_(stream) {}
  void add(const std::byte* from, std::byte* to, std::size_t bytes);
  /// Starts them.
  void flush();
  [[nodiscard]] const Stream& stream() const { return stream_; }

 private:
  const Stream& stream_;
  std::vector<const std::byte*> from_;
  std::vector<std::byte*> to_;
  std::unordered_set<const std::byte*> read_, written_;
  std::size_t bytes_ = 0;  ///< of each
  StepList<const std::byte*> from_list_;
  StepList<std::byte*> to_list_;
};

/// Memory of pools that have ended, kept for the next ones: a GPU's driver takes long to hand it out and to take it
/// back.
class SpareSlabs {
 public:
  /// @return of @p bytes; as it was left
  Array<std::byte> take(std::size_t bytes);
  void keep(Array<std::byte> slab);
  [[nodiscard]] std::size_t bytes() const;

 private:
  std::vector<Array<std::byte>> slabs_;
};

class DeviceBlockMemory final : public BlockMemory {
 public:
  /// @param copies outlives this object, as does @p spare
  DeviceBlockMemory(int gpu, BlockCopies* copies, SpareSlabs* spare) : gpu_(gpu), copies_(copies), spare_(spare) {}
  ~DeviceBlockMemory() override;
  [[nodiscard]] std::size_t slab_bytes() const override { return std::size_t{64} << 20U; }
  /// Zeros: weights of 0 on positions not yet taken must not meet a NaN.
  std::byte* allocate(std::size_t bytes) override;
  void copy(const std::byte* from, std::byte* to, std::size_t bytes) override { copies_->add(from, to, bytes); }
  void read(const std::byte* from, std::span<std::byte> host) const override;
  void write(std::span<const std::byte> host, std::byte* to) override;
  void settle() override;

 private:
  int gpu_;
  BlockCopies* copies_;
  SpareSlabs* spare_;
  std::vector<Array<std::byte>> slabs_;
};

}  // namespace shoal::lm::cuda

// BlockMemory: where key/value blocks lie. Addresses are the owning processor's own: on a GPU the host may hand them
// around but not follow them.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "lm/reserved_memory.hpp"

namespace shoal::lm {

class BlockMemory {
 public:
  virtual ~BlockMemory() = default;
  /// What the pool asks for at a time, if a block is smaller.
  [[nodiscard]] virtual std::size_t slab_bytes() const = 0;
  /// Begins on a cache line and stays until this object ends.
  virtual std::byte* allocate(std::size_t bytes) = 0;
  virtual void copy(const std::byte* from, std::byte* to, std::size_t bytes) = 0;
  virtual void read(const std::byte* from, std::span<std::byte> host) const = 0;
  virtual void write(std::span<const std::byte> host, std::byte* to) = 0;
  /// Returns when all that was asked for is done: others may read and write the addresses then.
  virtual void settle() {}
};

/// Memory of a pool that has ended, kept for the next one: its pages need not be provided again.
struct SpareMemory {
  std::unique_ptr<ReservedMemory> memory;  ///< or null
  std::size_t resident = 0;                ///< bytes whose pages are there, from the first on
};

/// Of this process.
class HostBlockMemory final : public BlockMemory {
 public:
  /// @param most bytes that will be asked for; more come in further pieces
  /// @param spare if something is there, it is taken, used if it is about large enough, and left there in the end;
  ///   outlives this object. Or null
  /// @throws UsageError if the system does not grant them
  explicit HostBlockMemory(std::size_t most = 0, SpareMemory* spare = nullptr);
  HostBlockMemory(const HostBlockMemory&) = delete;
  HostBlockMemory& operator=(const HostBlockMemory&) = delete;
  ~HostBlockMemory() override;

  [[nodiscard]] std::size_t slab_bytes() const override { return std::size_t{16} << 20U; }
  std::byte* allocate(std::size_t bytes) override;
  void copy(const std::byte* from, std::byte* to, std::size_t bytes) override;
  void read(const std::byte* from, std::span<std::byte> host) const override;
  void write(std::span<const std::byte> host, std::byte* to) override;

 private:
  void add_piece(std::size_t bytes);
  void populate();
  [[nodiscard]] std::size_t resident() const;

  SpareMemory* spare_;
  std::vector<std::unique_ptr<ReservedMemory>> pieces_;
  std::size_t resident_ = 0;  ///< bytes of the last piece whose pages were there when it was taken
  bool core_to_spare_;        ///< that the workers leave for providing pages
  std::size_t used_ = 0;      ///< of the last piece
};

}  // namespace shoal::lm

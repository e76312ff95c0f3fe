#include "lm/weight_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace shoal::lm {
namespace {

constexpr std::uint64_t page = 4096;
constexpr std::uint64_t huge_page = std::uint64_t{2} << 20U;

std::uint64_t round_up(std::uint64_t bytes, std::uint64_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

WeightMemory::WeightMemory(NodeShare node) : node_(node), to_fill_(static_cast<std::size_t>(node.processes)) {}

PackedBytes WeightMemory::take(std::size_t bytes) {
  const std::size_t size = round_up(std::max<std::size_t>(bytes, 1), bytes < huge_page ? page : huge_page);
  const bool shared = node_.file >= 0;
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS,
                    node_.file, static_cast<off_t>(end_));
  if (at == MAP_FAILED) throw std::bad_alloc();
  (void)::madvise(at, size, MADV_HUGEPAGE);  // where the system has them: fewer misses of the address cache
  PackedBytes taken{{static_cast<std::byte*>(at), [size](std::byte* begin) { ::munmap(begin, size); }}};
  if (!shared) return taken;
  end_ += size;
  const auto filler = std::min_element(to_fill_.begin(), to_fill_.end());
  *filler += size;
  taken.ours = filler - to_fill_.begin() == node_.process;
  return taken;
}

void WeightMemory::populate(std::span<std::byte> piece) {
#ifdef MADV_POPULATE_WRITE
  (void)::madvise(piece.data(), piece.size(), MADV_POPULATE_WRITE);
#else
  (void)piece;
#endif
}

}  // namespace shoal::lm

// Memory that begins on a cache line, so that no vector register straddles two; left as it comes, not zeroed.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace shoal::lm {

inline constexpr std::align_val_t cache_line{64};

template <class T>
struct AlignedAllocator {
  using value_type = T;

  AlignedAllocator() = default;
  template <class U>
  explicit(false) AlignedAllocator(const AlignedAllocator<U>&) {}

  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), cache_line)); }
  void deallocate(T* at, std::size_t) { ::operator delete(at, cache_line); }
  template <class U>
  void construct(U* at) {
    ::new (static_cast<void*>(at)) U;
  }
  bool operator==(const AlignedAllocator&) const = default;
};

template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

struct AlignedDelete {
  void operator()(std::byte* at) const { ::operator delete(at, cache_line); }
};
/// For what is too large to walk through once, even in a build without optimization.
using AlignedBytes = std::unique_ptr<std::byte[], AlignedDelete>;
inline AlignedBytes allocate_aligned(std::size_t size) {
  return AlignedBytes(static_cast<std::byte*>(::operator new(size, cache_line)));
}

}  // namespace shoal::lm

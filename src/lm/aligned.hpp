// Memory that begins on a cache line, so that no vector register straddles two; left as it comes, not zeroed.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace shoal::lm {

template <class T>
struct AlignedAllocator {
  using value_type = T;
  static constexpr std::align_val_t cache_line{64};

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

}  // namespace shoal::lm

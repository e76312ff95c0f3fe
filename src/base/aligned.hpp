// Memory that begins on a cache line, so that no vector register straddles two; left as it comes, not zeroed. What is
// large lies on huge pages where the system has them: fewer page faults, and fewer misses of the address cache.
#pragma once

#include <cstddef>
#include <vector>

namespace shoal {

/// @throws std::bad_alloc
void* allocate_aligned(std::size_t bytes);
/// @param bytes as they were asked for
void free_aligned(void* at, std::size_t bytes);

template <class T>
struct AlignedAllocator {
  using value_type = T;

  AlignedAllocator() = default;
  template <class U>
  explicit(false) AlignedAllocator(const AlignedAllocator<U>&) {}

  T* allocate(std::size_t n) { return static_cast<T*>(allocate_aligned(n * sizeof(T))); }
  void deallocate(T* at, std::size_t n) { free_aligned(at, n * sizeof(T)); }
  template <class U>
  void construct(U* at) {
    ::new (static_cast<void*>(at)) U;
  }
  bool operator==(const AlignedAllocator&) const = default;
};

template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

}  // namespace shoal

// Memory that begins on a cache line, so that no vector register straddles two; left as it comes, not zeroed.
#pragma once

#include <cstddef>
#include <cstdlib>
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
  void operator()(std::byte* at) const { std::free(at); }  // NOLINT(cppcoreguidelines-no-malloc)
};
using AlignedBytes = std::unique_ptr<std::byte[], AlignedDelete>;
/// For what is large: on huge pages where the system has them, and not walked through even without optimization.
AlignedBytes allocate_aligned(std::size_t size);

}  // namespace shoal::lm

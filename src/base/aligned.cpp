#include "base/aligned.hpp"

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <cstdlib>
#include <new>

namespace shoal {
namespace {

constexpr std::align_val_t cache_line{64};
constexpr std::size_t huge_page = std::size_t{2} << 20U;

}  // namespace

void* allocate_aligned(std::size_t bytes) {
  if (bytes < huge_page) return ::operator new(bytes, cache_line);
  const std::size_t rounded = (bytes + huge_page - 1) / huge_page * huge_page;
  void* at = std::aligned_alloc(huge_page, rounded);
  if (at == nullptr) throw std::bad_alloc();
#ifdef __linux__
  (void)madvise(at, rounded, MADV_HUGEPAGE);
#endif
  return at;
}

void free_aligned(void* at, std::size_t bytes) {
  if (bytes < huge_page)
    ::operator delete(at, cache_line);
  else
    std::free(at);  // NOLINT(cppcoreguidelines-no-malloc)
}

}  // namespace shoal

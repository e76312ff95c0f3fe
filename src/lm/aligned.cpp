#include "lm/aligned.hpp"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace shoal::lm {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20U;

}  // namespace

AlignedBytes allocate_aligned(std::size_t size) {
  const std::size_t rounded = (size + huge_page - 1) / huge_page * huge_page;
  AlignedBytes bytes(static_cast<std::byte*>(std::aligned_alloc(huge_page, rounded)));
  if (!bytes) throw std::bad_alloc();
#ifdef __linux__
  madvise(bytes.get(), rounded, MADV_HUGEPAGE);
#endif
  return bytes;
}

}  // namespace shoal::lm

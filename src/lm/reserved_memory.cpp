#include "lm/reserved_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <limits>
#include <new>

namespace shoal::lm {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20U;
constexpr std::size_t at_once = 4 * huge_page;
constexpr std::size_t no_more = std::numeric_limits<std::size_t>::max();

}  // namespace

ReservedMemory::ReservedMemory(std::size_t bytes) : size_((bytes + huge_page - 1) / huge_page * huge_page) {
  void* at = ::mmap(nullptr, size_ + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  mapping_ = static_cast<std::byte*>(at);
  data_ = mapping_ + (huge_page - reinterpret_cast<std::uintptr_t>(at) % huge_page) % huge_page;
#ifdef MADV_HUGEPAGE
  (void)::madvise(data_, size_, MADV_HUGEPAGE);
#endif
}

ReservedMemory::~ReservedMemory() {
  wanted_ = no_more;
  wanted_.notify_one();
  if (thread_.joinable()) thread_.join();
  ::munmap(mapping_, size_ + huge_page);
}

void ReservedMemory::populate(std::size_t bytes) {
  const std::size_t wanted = std::min(bytes, size_);
  if (wanted <= wanted_) return;
  wanted_ = wanted;
  wanted_.notify_one();
  if (!thread_.joinable()) thread_ = std::thread([this] { provide_pages(); });
}

void ReservedMemory::provide_pages() {
#ifdef MADV_POPULATE_WRITE
  for (std::size_t done = 0; done < size_;) {
    const std::size_t wanted = wanted_;
    if (wanted == no_more) return;
    if (wanted == done) {
      wanted_.wait(wanted);
      continue;
    }
    const std::size_t bytes = std::min(wanted - done, at_once);
    if (::madvise(data_ + done, bytes, MADV_POPULATE_WRITE) != 0) return;  // then the pages come as they are used
    done += bytes;
    populated_ = done;
  }
#endif
}

}  // namespace shoal::lm

#include "lm/block_memory.hpp"

#include <cstring>

#include "lm/available_memory.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {

std::byte* HostBlockMemory::allocate(std::size_t bytes) {
  if (bytes > available_memory())
    throw Error(
        ExitCode::internal,
        "out of memory in the middle of the run (other programs have taken what was free at its start) end them, "
        "or use fewer particles or tokens");
  slabs_.push_back(allocate_aligned(bytes));
  return slabs_.back().get();
}

void HostBlockMemory::copy(const std::byte* from, std::byte* to, std::size_t bytes) { std::memcpy(to, from, bytes); }

void HostBlockMemory::read(const std::byte* from, std::span<std::byte> host) const {
  std::memcpy(host.data(), from, host.size());
}

void HostBlockMemory::write(std::span<const std::byte> host, std::byte* to) {
  std::memcpy(to, host.data(), host.size());
}

}  // namespace shoal::lm

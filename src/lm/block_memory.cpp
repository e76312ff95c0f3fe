#include "lm/block_memory.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/cores.hpp"
#include "base/parallel.hpp"
#include "lm/available_memory.hpp"
#include "shoal/error.hpp"

namespace shoal::lm {
namespace {

constexpr std::size_t cache_line = 64;
constexpr std::size_t least_ahead = std::size_t{64} << 20U;
constexpr std::size_t most_ahead = std::size_t{1} << 30U;

}  // namespace

HostBlockMemory::HostBlockMemory(std::size_t most, SpareMemory* spare)
    : spare_(spare), core_to_spare_(worker_threads() < available_cores().usable()) {
  if (most == 0) return;
  const std::size_t bytes = most + slab_bytes();
  if (spare_ != nullptr && spare_->memory) {
    SpareMemory kept = std::exchange(*spare_, {});
    if (kept.memory->size() >= bytes - bytes / 4) {  // what is missing comes in further pieces
      pieces_.push_back(std::move(kept.memory));
      resident_ = kept.resident;
    }
  }
  if (pieces_.empty()) add_piece(bytes);
  populate();
}

HostBlockMemory::~HostBlockMemory() {
  if (spare_ == nullptr || pieces_.empty()) return;
  if (spare_->memory && spare_->memory->size() >= pieces_.front()->size()) return;
  spare_->resident = pieces_.size() == 1 ? resident() : pieces_.front()->size();
  spare_->memory = std::move(pieces_.front());
}

/// Bytes of the last piece whose pages are there.
std::size_t HostBlockMemory::resident() const { return std::max({resident_, pieces_.back()->populated(), used_}); }

/// Contexts begin their next block together: if they go on as they are, each asks for one, of those that it has
/// already. Not at the cost of what workers, other ranks and programs need: where cores or memory are short, pages come
/// as they are used.
void HostBlockMemory::populate() {
  if (!core_to_spare_) return;
  const std::size_t ahead = std::clamp(used_, least_ahead, most_ahead);
  if (ahead <= available_memory() / 8) pieces_.back()->populate(used_ + ahead);
}

void HostBlockMemory::add_piece(std::size_t bytes) {
  try {
    pieces_.push_back(std::make_unique<ReservedMemory>(bytes));
  } catch (const std::bad_alloc&) {
    throw UsageError("no memory for keys and values (the system refuses " + std::to_string(bytes >> 20U) +
                     " MiB of addresses) raise ulimit -v, or use fewer particles or tokens");
  }
  used_ = resident_ = 0;
}

std::byte* HostBlockMemory::allocate(std::size_t bytes) {
  if (pieces_.empty() || used_ + bytes > pieces_.back()->size()) add_piece(bytes);
  ReservedMemory& piece = *pieces_.back();
  const std::size_t end = used_ + bytes;
  if (end > resident() && end - resident() > available_memory())
    throw Error(
        ExitCode::internal,
        "out of memory in the middle of the run (other programs have taken what was free at its start) end them, "
        "or use fewer particles or tokens");
  std::byte* const at = piece.data() + used_;
  used_ = (end + cache_line - 1) / cache_line * cache_line;
  if (used_ > slab_bytes()) populate();
  return at;
}

void HostBlockMemory::copy(const std::byte* from, std::byte* to, std::size_t bytes) { std::memcpy(to, from, bytes); }

void HostBlockMemory::read(const std::byte* from, std::span<std::byte> host) const {
  std::memcpy(host.data(), from, host.size());
}

void HostBlockMemory::write(std::span<const std::byte> host, std::byte* to) {
  std::memcpy(to, host.data(), host.size());
}

}  // namespace shoal::lm

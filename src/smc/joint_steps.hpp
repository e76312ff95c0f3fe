// JointSteps: what all ranks do at the same time, each for itself. If it fails on one, as where memory is short, all
// throw when they next tell each other something, so that none waits for another.
#pragma once

#include <exception>
#include <limits>
#include <string>

#include "smc/exact_gather.hpp"
#include "smc/transport.hpp"

namespace shoal::smc {

class JointSteps {
 public:
  explicit JointSteps(Transport* transport) : transport_(transport) {}

  /// Does what only this rank does, unless something has failed here before.
  template <class Action>
  void attempt(const Action& action) {
    if (failure_) return;
    try {
      action();
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  /// As smc::all_gather, of numbers below 2^128 - 1. Collective.
  /// @throws on all ranks if one has failed: there what it failed with, elsewhere a PeerError
  template <std::size_t count>
  std::vector<std::array<Uint128, count>> all_gather(std::array<Uint128, count> mine) {
    constexpr Uint128 failed = std::numeric_limits<Uint128>::max();
    if (failure_) mine.front() = failed;
    auto all = smc::all_gather<count>(mine, transport_);
    if (failure_) std::rethrow_exception(failure_);
    for (std::size_t r = 0; r < all.size(); ++r)
      if (all[r].front() == failed) throw PeerError("rank " + std::to_string(r) + " failed");
    return all;
  }
  void agree() { (void)all_gather<1>({0}); }

  [[nodiscard]] Transport& transport() const { return *transport_; }

 private:
  Transport* transport_;
  std::exception_ptr failure_;
};

}  // namespace shoal::smc

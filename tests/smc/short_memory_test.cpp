// A rank that runs out of memory, wherever that is, takes the others along: none waits for it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <utility>

#include "smc/run.hpp"
#include "smc/thread_cluster.hpp"
#include "smc/toy_worlds.hpp"

namespace {

constexpr std::size_t large = 1024;  // messages of the collectives are smaller

/// Of this thread: large allocations that are still granted. Negative: all are.
thread_local int granted = -1;

}  // namespace

__attribute__((noinline)) void* operator new(std::size_t size) {
  if (size >= large && granted >= 0 && granted-- == 0) throw std::bad_alloc();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
__attribute__((noinline)) void* operator new(std::size_t size, const std::nothrow_t& /*kind*/) noexcept {
  return std::malloc(size == 0 ? 1 : size);
}
__attribute__((noinline)) void operator delete(void* memory) noexcept { std::free(memory); }
__attribute__((noinline)) void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }

namespace shoal::smc {
namespace {

/// While a rank is in the transport, which is the test's own, it has memory.
class Grant {
 public:
  Grant() : before_(std::exchange(granted, -1)) {}
  ~Grant() { granted = before_; }
  Grant(const Grant&) = delete;
  Grant& operator=(const Grant&) = delete;

 private:
  int before_;
};

class WithMemory final : public Transport {
 public:
  explicit WithMemory(Transport* transport) : transport_(transport) {}
  [[nodiscard]] Rank rank() const override { return transport_->rank(); }
  [[nodiscard]] int size() const override { return transport_->size(); }
  void allreduce_max(std::span<double> values) override {
    const Grant grant;
    transport_->allreduce_max(values);
  }
  [[nodiscard]] MigrationPlan plan(std::span<const LogicalId> ancestors, std::span<const Rank> owners,
                                   double spare) const override {
    return transport_->plan(ancestors, owners, spare);
  }
  std::unique_ptr<Shipment> ship(std::vector<Parcel> outgoing, std::vector<Parcel> incoming) override {
    const Grant grant;
    return transport_->ship(std::move(outgoing), std::move(incoming));
  }
  std::vector<std::string> gather(std::string_view mine) override {
    const Grant grant;
    return transport_->gather(mine);
  }
  bool deadline_passed() override { return transport_->deadline_passed(); }

 private:
  Transport* transport_;
};

/// Two ranks, of which the second gets no more than so many large allocations.
std::vector<test::RankOutcome> run_short(const test::World& world, int allocations) {
  return test::run_on_ranks({test::no_deadline, test::no_deadline}, [&](Transport& transport) {
    WithMemory roomy(&transport);
    granted = transport.rank() == Rank{1} ? allocations : -1;
    const auto result = run(world.model, {}, world.potentials, world.options, roomy);
    granted = -1;
    return result;
  });
}

bool ran_out(const test::RankOutcome& outcome) {
  try {
    if (outcome.failure) std::rethrow_exception(outcome.failure);
  } catch (const std::bad_alloc&) {
    return true;
  } catch (...) {
  }
  return false;
}

void expect_common_end(test::World world) {
  world.options.particles = 20'000;
  world.options.most_in_vectors = 0;
  world.options.batch_size = 1;
  world.options.ess_threshold = 2.0;
  int failures = 0;
  for (int allocations = 0;; ++allocations) {
    const auto outcomes = run_short(world, allocations);
    if (outcomes[0].message().empty() && outcomes[1].message().empty()) break;
    ++failures;
    ASSERT_TRUE(ran_out(outcomes[1])) << allocations << ": " << outcomes[1].message();
    ASSERT_EQ(outcomes[0].message(), PeerError("rank 1 failed").what()) << allocations;
    ASSERT_LT(allocations, 2000);
  }
  EXPECT_GT(failures, 5);
}

TEST(ShortOfMemory, InBlocksIsToldToAllRanks) {
  for (const Resampling scheme : {Resampling::systematic, Resampling::residual}) {
    test::World world = test::all_worlds().front();
    world.options.resampling = scheme;
    expect_common_end(world);
  }
}

}  // namespace
}  // namespace shoal::smc

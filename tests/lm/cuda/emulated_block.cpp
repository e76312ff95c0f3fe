#include "lm/cuda/emulated_block.hpp"

#include <ucontext.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <random>
#include <stdexcept>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace shoal::lm::cuda {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif
constexpr std::size_t stack_bytes = std::size_t{256} << 10U;
constexpr std::size_t largest_shown = 64;

/// What a thread waits for.
enum class Wait { nothing, warp, block, end };

struct Fiber {
  std::unique_ptr<std::byte[]> stack = std::make_unique_for_overwrite<std::byte[]>(stack_bytes);
  ucontext_t context{};
  jmp_buf jump{};  ///< where it goes on, once it has begun
  bool is_new = true;
  Wait wait = Wait::nothing;
  std::array<std::array<std::byte, largest_shown>, 2> shown{};  ///< of this exchange and the one before
  unsigned exchanges = 0;
};

}  // namespace

/// The threads of one block.
class FiberTeam {
 public:
  FiberTeam(int threads, ThreadOrder order) : fibers_(static_cast<std::size_t>(threads)), order_(order) {}

  void run(int index, int blocks, const std::function<void(EmulatedBlock&)>& body) {
    block_.emplace_back(EmulatedBlock(this, static_cast<int>(fibers_.size()), index, blocks));
    body_ = &body;
    shared_.clear();
    for (std::size_t i = 0; i < fibers_.size(); ++i) start(i);
    while (!ended()) {
      for (const std::size_t i : next_order())
        if (fibers_[i].wait == Wait::nothing) resume(i);
      if (failure_) break;  // the others would wait for ever
      release();
    }
    if (failure_) std::rethrow_exception(failure_);
    block_.clear();
  }

  [[nodiscard]] int current() const { return static_cast<int>(current_); }
  std::byte* shared(std::size_t bytes) {
    // Reserved once, so that it never moves under a thread's pointer.
    constexpr std::size_t largest = std::size_t{256} << 10U;
    if (bytes > largest) throw std::logic_error("more shared memory than a GPU has");
    if (shared_.empty()) shared_.assign(largest + 16, std::byte{0xFF});
    return shared_.data() + (16 - reinterpret_cast<std::uintptr_t>(shared_.data()) % 16);
  }
  void wait(Wait what) {
    fibers_[current_].wait = what;
    yield();
  }
  void show(const void* value, std::size_t bytes) {
    Fiber& fiber = fibers_[current_];
    std::memcpy(fiber.shown[++fiber.exchanges % 2].data(), value, bytes);
    wait(Wait::warp);
  }
  [[nodiscard]] const std::byte* shown(int lane) const {
    const std::size_t first = current_ / warp_size * warp_size;
    const Fiber& fiber = fibers_[first + static_cast<std::size_t>(lane)];
    return fiber.shown[fibers_[current_].exchanges % 2].data();
  }

 private:
  static void enter(unsigned high, unsigned low) {
    const auto address = static_cast<std::uintptr_t>(high) << 32U | low;
    reinterpret_cast<FiberTeam*>(address)->body_of_fiber();
  }
  void body_of_fiber() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &main_bottom_, &main_size_);
#endif
    try {
      (*body_)(block_.front());
    } catch (...) {
      failure_ = std::current_exception();
    }
    wait(Wait::end);
  }
  void start(std::size_t i) {
    Fiber& fiber = fibers_[i];
    fiber.wait = Wait::nothing;
    fiber.exchanges = 0;
    fiber.is_new = true;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = stack_bytes;
    fiber.context.uc_link = nullptr;
    const auto address = reinterpret_cast<std::uintptr_t>(this);
    makecontext(&fiber.context, reinterpret_cast<void (*)()>(&FiberTeam::enter), 2,
                static_cast<unsigned>(address >> 32U), static_cast<unsigned>(address));
  }
  void resume(std::size_t i) {
    current_ = i;
    if (fibers_[i].is_new || sanitized)
      enter_context(i);
    else if (_setjmp(main_jump_) == 0)
      _longjmp(fibers_[i].jump, 1);
  }
  /// The first time, and always under sanitizers, which know these calls: each costs two system calls.
  void enter_context(std::size_t i) {
    fibers_[i].is_new = false;
#if defined(__SANITIZE_ADDRESS__)
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, fibers_[i].stack.get(), stack_bytes);
#endif
    if (sanitized || _setjmp(main_jump_) == 0) swapcontext(&main_, &fibers_[i].context);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
  }
  void yield() {
    Fiber& fiber = fibers_[current_];
    if (!sanitized) {
      if (_setjmp(fiber.jump) == 0) _longjmp(main_jump_, 1);
      return;
    }
#if defined(__SANITIZE_ADDRESS__)
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, main_bottom_, main_size_);
#endif
    swapcontext(&fiber.context, &main_);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
  }
  [[nodiscard]] bool ended() const {
    return std::all_of(fibers_.begin(), fibers_.end(), [](const Fiber& f) { return f.wait == Wait::end; });
  }
  std::vector<std::size_t> next_order() {
    std::vector<std::size_t> order(fibers_.size());
    for (std::size_t i = 0; i < order.size(); ++i)
      order[i] = order_ == ThreadOrder::backward ? order.size() - 1 - i : i;
    if (order_ == ThreadOrder::shuffled) std::shuffle(order.begin(), order.end(), generator_);
    return order;
  }
  /// Lets go on whoever waits for others that have all come.
  void release() {
    bool any = false;
    for (std::size_t w = 0; w < fibers_.size(); w += warp_size) any = release_all(w, w + warp_size, Wait::warp) || any;
    any = release_all(0, fibers_.size(), Wait::block) || any;
    if (!any && !ended()) throw std::logic_error("threads wait for each other in different places");
  }
  bool release_all(std::size_t begin, std::size_t end, Wait what) {
    for (std::size_t i = begin; i < end; ++i)
      if (fibers_[i].wait != what) return false;
    for (std::size_t i = begin; i < end; ++i) fibers_[i].wait = Wait::nothing;
    return true;
  }

  std::vector<Fiber> fibers_;
  ThreadOrder order_;
  std::vector<EmulatedBlock> block_;
  const std::function<void(EmulatedBlock&)>* body_ = nullptr;
  std::vector<std::byte> shared_;
  std::size_t current_ = 0;
  ucontext_t main_{};
  jmp_buf main_jump_{};
  const void* main_bottom_ = nullptr;
  std::size_t main_size_ = 0;
  std::exception_ptr failure_;
  std::mt19937 generator_{1};
};

int EmulatedBlock::thread() const { return team_->current(); }
void EmulatedBlock::sync() { team_->wait(Wait::block); }
std::byte* EmulatedBlock::shared_bytes(std::size_t bytes) { return team_->shared(bytes); }
void EmulatedBlock::exchange(const void* value, std::size_t bytes) { team_->show(value, bytes); }
const std::byte* EmulatedBlock::shown(int lane) const { return team_->shown(lane); }

void EmulatedBlock::mma(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  const std::uint32_t mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
  exchange(mine, sizeof mine);
  const auto element = [&](int lane, int word, int half) {
    std::uint32_t words[6];
    std::memcpy(words, shown(lane), sizeof words);
    return Bf16{static_cast<std::uint16_t>(words[word] >> (16 * half))}.to_float();
  };
  for (int i = 0; i < 4; ++i) {
    const int m = lane() / 4 + i / 2 * 8, n = lane() % 4 * 2 + i % 2;
    for (int k = 0; k < 16; ++k) {
      const int inner = k % 8 / 2;
      c[i] += element(m % 8 * 4 + inner, m / 8 + k / 8 * 2, k % 2) * element(n * 4 + inner, 4 + k / 8, k % 2);
    }
  }
}

void emulate(int blocks, int threads, ThreadOrder order, const std::function<void(EmulatedBlock&)>& body) {
  if (threads % warp_size != 0) throw std::logic_error("a block must have whole warps");
  FiberTeam team(threads, order);
  for (int i = 0; i < blocks; ++i) team.run(i, blocks, body);
}

}  // namespace shoal::lm::cuda

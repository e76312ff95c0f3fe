// PartCount: in how many parts a token step is computed: one, or several so that the CPU's work on a part runs beside
// the next one's pass. Several passes read the model's weights several times, so which is faster depends on model, GPU
// and potentials: both are tried, and again now and then.
#pragma once

#include <array>
#include <optional>

namespace shoal::smc {

class PartCount {
 public:
  /// @param several how many the choice is against one
  explicit PartCount(int several) : several_(several) {}

  /// Of the next step.
  [[nodiscard]] int parts() const { return split_ && several_ > 1 ? several_ : 1; }
  /// What the step took.
  void took(double seconds) {
    if (++steps_ < settling) return;  // began with what the other way had left under way
    std::optional<double>& mine = seconds_[split_ ? 1 : 0];
    mine = mine && steps_ > settling ? 0.75 * *mine + 0.25 * seconds : seconds;
    const auto& other = seconds_[split_ ? 0 : 1];
    if (other && *other >= *mine && steps_ < retry) return;
    split_ = !split_;
    steps_ = 0;
  }

 private:
  static constexpr int settling = 2;
  static constexpr int retry = 64;

  int several_;
  bool split_ = false;
  int steps_ = 0;                                   ///< in a row, in this way
  std::array<std::optional<double>, 2> seconds_{};  ///< of a step: in one part, in several
};

}  // namespace shoal::smc

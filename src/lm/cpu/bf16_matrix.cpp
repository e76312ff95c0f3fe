#include "lm/cpu/bf16_matrix.hpp"

#include <algorithm>
#include <array>

#include "base/assert.hpp"
#include "base/parallel.hpp"
#include "lm/cpu/bf16_product.hpp"

namespace shoal::lm::cpu {
namespace {

using Pair = std::array<Bf16, 2>;

Pair pair_at(const float* from) { return {Bf16::from_float(from[0]), Bf16::from_float(from[1])}; }
Pair pair_at(const Bf16* from) { return {from[0], from[1]}; }

class Bf16Matrix final : public PackedMatrix {
 public:
  Bf16Matrix(int outputs, int inputs) : outputs_(outputs), inputs_(inputs) { SHOAL_EXPECT(inputs % 16 == 0); }

  [[nodiscard]] std::size_t bytes() const override { return panels() * panel_pairs() * sizeof(Pair); }
  void place(std::shared_ptr<std::byte[]> data) override { data_ = std::move(data); }
  void fill(const MatrixView& matrix) override {
    if (matrix.type == OperandType::f32)
      fill_from(static_cast<const float*>(matrix.data));
    else
      fill_from(static_cast<const Bf16*>(matrix.data));
  }

  /// A worker gets panels that follow each other, so that what it fetches ahead is its own. Where there are more
  /// workers than panels, several share one, each for some of the rows.
  void multiply(const void* x, int rows, float* y) const override {
    if (rows == 0) return;
    const auto workers = static_cast<std::size_t>(worker_threads());
    const std::size_t parts =
        std::max<std::size_t>(1, std::min(workers / panels(), static_cast<std::size_t>(rows) / fewest_rows));
    const std::size_t tasks = panels() * parts;
    const std::size_t share = (tasks + workers - 1) / workers;
    const std::size_t at_once = share <= longest_share ? share : (share + 7) / 8;
    parallel_for(
        tasks,
        [&](std::size_t task) {
          const auto begin = static_cast<int>(static_cast<std::size_t>(rows) * (task % parts) / parts);
          const auto end = static_cast<int>(static_cast<std::size_t>(rows) * (task % parts + 1) / parts);
          multiply_panel(task / parts, static_cast<const Bf16*>(x), begin, end, y);
        },
        at_once);
  }

 private:
  static constexpr std::size_t fewest_rows = 12;    ///< that are worth a pass over a panel of their own
  static constexpr std::size_t longest_share = 64;  ///< of panels, that is not dealt out bit by bit

  [[nodiscard]] std::size_t panels() const {
    return (static_cast<std::size_t>(outputs_) + panel_outputs - 1) / panel_outputs;
  }
  [[nodiscard]] std::size_t panel_pairs() const { return static_cast<std::size_t>(inputs_) / 2 * panel_outputs; }
  [[nodiscard]] Pair* panel(std::size_t p) const { return reinterpret_cast<Pair*>(data_.get()) + p * panel_pairs(); }
  [[nodiscard]] int outputs_of(std::size_t p) const {
    return std::min(panel_outputs, outputs_ - static_cast<int>(p) * panel_outputs);
  }

  void multiply_panel(std::size_t p, const Bf16* x, int begin, int end, float* y) const {
    multiply_bf16({.x = x + static_cast<std::ptrdiff_t>(begin) * inputs_,
                   .rows = end - begin,
                   .inputs = inputs_,
                   .panel = panel(p)->data(),
                   .outputs = outputs_of(p),
                   .y = y + static_cast<std::ptrdiff_t>(begin) * outputs_ + static_cast<int>(p) * panel_outputs,
                   .stride = outputs_});
  }

  /// Some pairs at a time, whose cache lines are then complete. Outputs beyond the last stay zero.
  template <class T>
  void fill_from(const T* matrix) {
    constexpr int pairs_at_once = 16;
    parallel_for(panels(), [&](std::size_t p) {
      const T* rows = matrix + p * panel_outputs * static_cast<std::size_t>(inputs_);
      for (int first = 0; first < inputs_ / 2; first += pairs_at_once)
        for (int output = 0; output < outputs_of(p); ++output)
          for (int k = first; k < std::min(first + pairs_at_once, inputs_ / 2); ++k)
            panel(p)[k * panel_outputs + output] =
                pair_at(rows + static_cast<std::ptrdiff_t>(output) * inputs_ + std::ptrdiff_t{2} * k);
    });
  }

  int outputs_;
  int inputs_;
  std::shared_ptr<std::byte[]> data_;
};

}  // namespace

std::unique_ptr<PackedMatrix> make_bf16_matrix(int outputs, int inputs) {
  return std::make_unique<Bf16Matrix>(outputs, inputs);
}

}  // namespace shoal::lm::cpu

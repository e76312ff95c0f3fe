#include "lm/cpu/bf16_matrix.hpp"

#include <algorithm>
#include <array>

#include "base/assert.hpp"
#include "lm/cpu/panels.hpp"

namespace shoal::lm::cpu {
namespace {

using Pair = std::array<Bf16, 2>;

Pair pair_at(const float* from) { return {Bf16::from_float(from[0]), Bf16::from_float(from[1])}; }
Pair pair_at(const Bf16* from) { return {from[0], from[1]}; }

class Bf16Matrix final : public PackedMatrix {
 public:
  Bf16Matrix(int outputs, int inputs) : inputs_(inputs), panels_(outputs, inputs / 2) {
    SHOAL_EXPECT(inputs % 16 == 0);
  }

  [[nodiscard]] std::size_t bytes() const override { return panels_.count() * panels_.size() * sizeof(Pair); }
  void place(std::shared_ptr<std::byte[]> data) override { data_ = std::move(data); }
  void fill(const MatrixView& matrix) override {
    if (matrix.type == OperandType::f32)
      fill_from(static_cast<const float*>(matrix.data));
    else
      fill_from(static_cast<const Bf16*>(matrix.data));
  }

  void multiply(const void* x, int rows, float* y) const override {
    if (rows == 0) return;
    panels_.for_each(reinterpret_cast<const std::uint32_t*>(data_.get()), static_cast<const std::uint32_t*>(x), rows, y,
                     products_.parts, [&](int, int, const PanelProduct& product) { products_.bf16(product); });
  }

 private:
  /// Some pairs at a time, whose cache lines are then complete. Outputs beyond the last stay zero.
  template <class T>
  void fill_from(const T* matrix) {
    constexpr int pairs_at_once = 16;
    parallel_for(panels_.count(), [&](std::size_t p) {
      const T* rows = matrix + p * panel_outputs * static_cast<std::size_t>(inputs_);
      Pair* const panel = reinterpret_cast<Pair*>(data_.get()) + p * panels_.size();
      for (int first = 0; first < inputs_ / 2; first += pairs_at_once)
        for (int output = 0; output < panels_.outputs_of(p); ++output)
          for (int k = first; k < std::min(first + pairs_at_once, inputs_ / 2); ++k)
            panel[k * panel_outputs + output] =
                pair_at(rows + static_cast<std::ptrdiff_t>(output) * inputs_ + std::ptrdiff_t{2} * k);
    });
  }

  int inputs_;
  Panels panels_;
  PanelProducts products_ = panel_products();
  std::shared_ptr<std::byte[]> data_;
};

}  // namespace

std::unique_ptr<PackedMatrix> make_bf16_matrix(int outputs, int inputs) {
  return std::make_unique<Bf16Matrix>(outputs, inputs);
}

}  // namespace shoal::lm::cpu

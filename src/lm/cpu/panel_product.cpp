#include "lm/cpu/panel_product.hpp"

#include <cpuid.h>

#include <vector>

#include "base/aligned.hpp"
#include "base/isa.hpp"
#include "lm/number_formats.hpp"
#include "shoal/error.hpp"

namespace shoal::lm::cpu {
namespace {

/// More than one group of rows, panels of which not all outputs are wanted, words of several blocks and some beyond.
constexpr int rows = 45, words = 280, outputs = 40, stride = outputs + 3;
constexpr float untouched = -1.0F;

/// Integers, whose sums are exact in any order. In 8 bits they go near the ends of what rows and weights can be.
struct Numbers {
  const char* type;
  int per_word;
  int row_step, weight_step;

  [[nodiscard]] int of_row(int row, int input) const { return (row * 7 + input * 5) % 11 * row_step; }
  [[nodiscard]] int of_weight(int output, int input) const { return ((output * 3 + input * 2) % 13 - 6) * weight_step; }
};
constexpr Numbers in_bf16{"bf16", 2, 1, 1}, in_int8{"8 bits", 4, 25, 21};

/// Numbers of one input after the other.
struct Operands {
  AlignedVector<std::uint32_t> x, panel;

  template <class Pack>
  Operands(const Numbers& numbers, const Pack& pack)
      : x(std::size_t{rows} * words, 0), panel(std::size_t{words} * panel_outputs, 0) {
    for (int k = 0; k < words * numbers.per_word; ++k) {
      const int word = k / numbers.per_word, shift = 32 / numbers.per_word * (k % numbers.per_word);
      for (int row = 0; row < rows; ++row) x.data()[row * words + word] |= pack(numbers.of_row(row, k)) << shift;
      for (int output = 0; output < panel_outputs; ++output)
        panel.data()[word * panel_outputs + output] |= pack(numbers.of_weight(output, k)) << shift;
    }
  }
  [[nodiscard]] PanelProduct task(float* y) const { return {x.data(), rows, words, panel.data(), outputs, y, stride}; }
};

void compare(const std::vector<float>& y, const Numbers& numbers) {
  for (int row = 0; row < rows; ++row)
    for (int output = 0; output < stride; ++output) {
      int sum = 0;
      for (int k = 0; k < words * numbers.per_word; ++k) sum += numbers.of_row(row, k) * numbers.of_weight(output, k);
      const float expected = output < outputs ? static_cast<float>(sum) : untouched;
      if (y.data()[row * stride + output] != expected)
        throw ModelError(std::string("products in ") + numbers.type +
                         " are wrong (a test of this processor's AMX instructions failed) use --isa avx512_bf16");
    }
}

}  // namespace

/// __builtin_cpu_supports of clang 14 does not know it.
bool has_avx_vnni() {
  constexpr unsigned avx_vnni = 1U << 4U;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 &&
         (eax & avx_vnni) != 0;
}

PanelProducts panel_products() {
#ifdef SHOAL_AMX
  if (used_isa() >= Isa::amx) {
    constexpr PanelProducts amx{multiply_bf16_amx, multiply_int8_amx, PanelParts::outputs};
    [[maybe_unused]] static const bool checked = (check_products(amx), true);
    return amx;
  }
#endif
  if (used_isa() >= Isa::avx512_vnni) return {multiply_bf16, multiply_int8, PanelParts::rows};
  const auto int8 = has_avx_vnni() ? multiply_int8_avx2_vnni : multiply_int8_avx2;
  return {nullptr, int8, PanelParts::rows};
}

void check_products(const PanelProducts& products) {
  std::vector<float> y(std::size_t{rows} * stride, untouched);
  const Operands pairs(in_bf16,
                       [](int number) { return std::uint32_t{Bf16::from_float(static_cast<float>(number)).bits}; });
  products.bf16(pairs.task(y.data()));
  compare(y, in_bf16);

  y.assign(y.size(), untouched);
  const Operands quads(in_int8, [](int number) { return std::uint32_t{static_cast<std::uint8_t>(number)}; });
  const std::vector<float> ones(panel_outputs, 1.0F);
  const std::vector<std::int32_t> zeros(panel_outputs, 0);
  static_assert(rows <= panel_outputs);
  products.int8(quads.task(y.data()), {ones.data(), ones.data(), zeros.data()});
  compare(y, in_int8);
}

}  // namespace shoal::lm::cpu

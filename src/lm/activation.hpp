// Activation: what an MLP makes of its first product.
#pragma once

namespace shoal::lm {

/// silu(gate) * up or gelu(gate) * up, or gelu of a single product; exact or in its tanh form.
enum class Activation { gated_silu, gated_gelu_tanh, gelu, gelu_tanh };

constexpr bool is_gated(Activation a) { return a == Activation::gated_silu || a == Activation::gated_gelu_tanh; }

}  // namespace shoal::lm

// Rotary: how far the pairs of a head's dimensions turn from one position to the next (Su et al. 2021), and how a
// checkpoint stretches its context: linear, llama3, yarn (Peng et al. 2023) or longrope (Ding et al. 2024), each as
// transformers computes it.
#pragma once

#include <string>
#include <vector>

namespace shoal::lm {

class ConfigReader;

enum class RotaryScaling { none, linear, llama3, yarn, longrope };

struct Rotary {
  int dimensions = 0;  ///< of a head that turn, the first ones; even
  double theta = 10000.0;
  RotaryScaling scaling = RotaryScaling::none;
  double factor = 1.0;
  double original_context = 0.0;                                   ///< positions before it was stretched; not linear
  double low_frequency_factor = 1.0, high_frequency_factor = 4.0;  ///< llama3
  double beta_fast = 32.0, beta_slow = 1.0;                        ///< yarn
  bool truncate = true;                                            ///< yarn: its range ends at whole dimensions
  std::vector<double> short_factors = {};                          ///< longrope: of the wavelengths, up to that context
  double attention_factor = 1.0;                                   ///< of turned queries and keys

  bool operator==(const Rotary&) const = default;
};

/// Of what config.json need not say.
struct RotaryDefaults {
  int head_dim = 0;
  int max_position = 0;
  double part = 1.0;  ///< of a head's dimensions that turn
  double theta = 10000.0;
  int original_context = 0;     ///< 0: max_position
  std::string layer_type = {};  ///< whose parameters are wanted, where rope_parameters has some for each
};

/// From `rope_parameters` or its older spelling `rope_scaling` and `rope_theta`. The type `dynamic` is read as default:
/// it is the same up to max_position_embeddings, and longer texts are refused anyway. So are they with `longrope`
/// beyond its original context, where other factors hold for the whole text.
/// @throws ModelError
Rotary read_rotary(const ConfigReader& in, const RotaryDefaults& defaults);

/// Angle per position, in radians, of every pair.
std::vector<double> rotary_frequencies(const Rotary& rotary);

}  // namespace shoal::lm

#include "lm/rotary.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "lm/config_reader.hpp"
#include "lm/json_file.hpp"

namespace shoal::lm {
namespace {

using nlohmann::json;

/// The object that holds the parameters; entries beside it in config.json stand in for those that it lacks.
class RotaryEntries {
 public:
  RotaryEntries(const ConfigReader& in, const std::string& layer_type) : in_(in) {
    for (const char* key : {"rope_scaling", "rope_parameters"}) {
      if (!in.has(key)) continue;
      if (!in.at(key).is_object()) in.wrong_type(key);
      if (in.at(key).contains(layer_type) && !entries_.empty())
        in.unsupported("rope_scaling beside rope_parameters of layers", "a config.json with one of them");
      if (in.at(key).empty() || !entries_.empty()) continue;
      key_ = key;
      entries_ = in.at(key);
      if (is_of_layers_ = has(layer_type.c_str()); !is_of_layers_) continue;
      if (!entries_.at(layer_type).is_object()) in.wrong_type(key);
      entries_ = json(entries_.at(layer_type));
    }
  }

  [[nodiscard]] std::string type() const {
    for (const char* name : {"rope_type", "type"}) {
      if (!has(name)) continue;
      if (!entries_.at(name).is_string()) in_.wrong_type(key_);
      return entries_.at(name).get<std::string>();
    }
    return "default";
  }
  [[nodiscard]] bool has(const char* name) const { return entries_.contains(name) && !entries_.at(name).is_null(); }
  [[nodiscard]] double positive(const char* name, double fallback) const {
    const double value = has(name) ? number(name) : is_of_layers_ ? fallback : in_.get<double>(name, fallback);
    if (!(value > 0.0 && std::isfinite(value))) in_.fail(std::string(name) + " is not positive");
    return value;
  }
  [[nodiscard]] double positive(const char* name) const {
    if (!has(name)) in_.fail(key_ + " has no " + name);
    return positive(name, 0.0);
  }
  [[nodiscard]] std::vector<double> all_positive(const char* name, std::size_t count) const {
    if (!has(name)) in_.fail(key_ + " has no " + name);
    std::vector<double> values;
    for (const json& value : entries_.at(name)) {
      if (!value.is_number()) in_.wrong_type(key_);
      values.push_back(value.get<double>());
      if (!(values.back() > 0.0 && std::isfinite(values.back()))) in_.fail(std::string(name) + " is not positive");
    }
    if (values.size() != count)
      in_.fail(std::string(name) + " has " + std::to_string(values.size()) + " entries instead of " +
               std::to_string(count));
    return values;
  }
  [[nodiscard]] bool flag(const char* name, bool fallback) const {
    if (!has(name)) return fallback;
    if (!entries_.at(name).is_boolean()) in_.wrong_type(key_);
    return entries_.at(name).get<bool>();
  }

 private:
  [[nodiscard]] double number(const char* name) const {
    if (!entries_.at(name).is_number()) in_.wrong_type(key_);
    return entries_.at(name).get<double>();
  }
  const ConfigReader& in_;
  std::string key_;
  json entries_ = json::object();
  bool is_of_layers_ = false;
};

RotaryScaling scaling_of(const ConfigReader& in, const std::string& type) {
  if (type == "default" || type == "dynamic") return RotaryScaling::none;
  if (type == "linear") return RotaryScaling::linear;
  if (type == "llama3") return RotaryScaling::llama3;
  if (type == "yarn") return RotaryScaling::yarn;
  if (type == "longrope" || type == "su") return RotaryScaling::longrope;  // older files of Phi-3 say su
  in.unsupported("rotary position scaling " + shown(type),
                 "a checkpoint with scaling default, linear, dynamic, llama3, yarn or longrope");
}

/// What yarn multiplies turned queries and keys by, unless the configuration says it.
double yarn_attention_factor(const RotaryEntries& entries, double factor) {
  const auto scale = [&](double weight) { return factor <= 1.0 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0; };
  if (entries.has("mscale") && entries.has("mscale_all_dim"))
    return scale(entries.positive("mscale")) / scale(entries.positive("mscale_all_dim"));
  return scale(1.0);
}

void read_llama3(const ConfigReader& in, const RotaryEntries& entries, Rotary* rotary) {
  rotary->low_frequency_factor = entries.positive("low_freq_factor");
  rotary->high_frequency_factor = entries.positive("high_freq_factor");
  if (rotary->high_frequency_factor <= rotary->low_frequency_factor)
    in.fail("high_freq_factor is not greater than low_freq_factor");
}

void read_yarn(const ConfigReader& in, const RotaryEntries& entries, Rotary* rotary) {
  rotary->beta_fast = entries.positive("beta_fast", rotary->beta_fast);
  rotary->beta_slow = entries.positive("beta_slow", rotary->beta_slow);
  rotary->truncate = entries.flag("truncate", true);
  rotary->attention_factor = entries.positive("attention_factor", yarn_attention_factor(entries, rotary->factor));
  if (rotary->theta <= 1.0) in.fail("rope_theta is not greater than 1");
}

void read_longrope(const ConfigReader& in, const RotaryEntries& entries, int max_position, Rotary* rotary) {
  rotary->factor = entries.positive("factor", max_position / rotary->original_context);
  rotary->short_factors = entries.all_positive("short_factor", static_cast<std::size_t>(rotary->dimensions / 2));
  if (rotary->factor > 1.0 && rotary->original_context <= 1.0) in.fail("the original context is not greater than 1");
  const double usual =
      rotary->factor <= 1.0 ? 1.0 : std::sqrt(1.0 + std::log(rotary->factor) / std::log(rotary->original_context));
  rotary->attention_factor = entries.positive("attention_factor", usual);
}

double llama3_frequency(const Rotary& r, double frequency) {
  const double turns = r.original_context * frequency / (2.0 * std::numbers::pi);  // in the original context
  if (turns > r.high_frequency_factor) return frequency;
  if (turns < r.low_frequency_factor) return frequency / r.factor;
  const double kept = (turns - r.low_frequency_factor) / (r.high_frequency_factor - r.low_frequency_factor);
  return (1.0 - kept) * frequency / r.factor + kept * frequency;
}

/// The pair, counted in fractions, that turns @p turns times in the original context.
double yarn_pair(const Rotary& r, double turns) {
  return r.dimensions * std::log(r.original_context / (turns * 2.0 * std::numbers::pi)) / (2.0 * std::log(r.theta));
}

double yarn_frequency(const Rotary& r, int pair, double frequency) {
  double low = yarn_pair(r, r.beta_fast), high = yarn_pair(r, r.beta_slow);
  if (r.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0);
  high = std::min(high, r.dimensions - 1.0);
  if (low == high) high += 0.001;
  const double stretched = std::clamp((pair - low) / (high - low), 0.0, 1.0);
  return frequency / r.factor * stretched + frequency * (1.0 - stretched);
}

}  // namespace

Rotary read_rotary(const ConfigReader& in, const RotaryDefaults& defaults) {
  const RotaryEntries entries(in, defaults.layer_type);
  Rotary rotary;
  const double part = entries.positive("partial_rotary_factor", defaults.part);
  if (part > 1.0) in.fail("partial_rotary_factor is greater than 1");
  rotary.dimensions = static_cast<int>(defaults.head_dim * part);
  if (rotary.dimensions < 2 || rotary.dimensions % 2 != 0)
    in.fail("partial_rotary_factor leaves " + std::to_string(rotary.dimensions) + " dimensions to turn");
  rotary.theta = entries.positive("rope_theta", defaults.theta);
  rotary.scaling = scaling_of(in, entries.type());
  if (rotary.scaling == RotaryScaling::none) return rotary;
  if (rotary.scaling != RotaryScaling::longrope) rotary.factor = entries.positive("factor");
  if (rotary.scaling == RotaryScaling::linear) return rotary;
  constexpr const char* original = "original_max_position_embeddings";  // beside the object it has precedence
  rotary.original_context = in.has(original)
                                ? in.positive(original)
                                : entries.positive(original, defaults.original_context > 0 ? defaults.original_context
                                                                                           : defaults.max_position);
  if (rotary.scaling == RotaryScaling::llama3) read_llama3(in, entries, &rotary);
  if (rotary.scaling == RotaryScaling::yarn) read_yarn(in, entries, &rotary);
  if (rotary.scaling == RotaryScaling::longrope) read_longrope(in, entries, defaults.max_position, &rotary);
  return rotary;
}

std::vector<double> rotary_frequencies(const Rotary& rotary) {
  std::vector<double> frequencies;
  for (int pair = 0; pair < rotary.dimensions / 2; ++pair) {
    double frequency = std::pow(rotary.theta, -2.0 * pair / rotary.dimensions);
    if (rotary.scaling == RotaryScaling::linear) frequency /= rotary.factor;
    if (rotary.scaling == RotaryScaling::llama3) frequency = llama3_frequency(rotary, frequency);
    if (rotary.scaling == RotaryScaling::yarn) frequency = yarn_frequency(rotary, pair, frequency);
    if (rotary.scaling == RotaryScaling::longrope) frequency /= rotary.short_factors[static_cast<std::size_t>(pair)];
    frequencies.push_back(frequency);
  }
  return frequencies;
}

}  // namespace shoal::lm

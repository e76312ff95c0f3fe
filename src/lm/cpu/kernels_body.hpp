// The kernels' one source, compiled once per instruction set. Included only by kernels_*.cpp, each inside a namespace
// of its own; calls nothing that another translation unit could share.
#pragma once

#include "lm/cpu/attention_body.hpp"
#include "lm/cpu/kernels.hpp"
#include "lm/cpu/multiply_body.hpp"
#include "lm/cpu/vectors_body.hpp"

namespace shoal::lm::cpu {
namespace {

template <class T>
void rms_norm(const float* x, const float* weight, int n, float epsilon, T* out) {
  Floats squares{};
  for (int i = 0; i < n; i += lanes) squares += load(x + i) * load(x + i);
  const float scale = 1.0F / __builtin_sqrtf(sum(squares) / static_cast<float>(n) + epsilon);
  for (int i = 0; i < n; i += lanes) store(load(x + i) * scale * load(weight + i), out + i);
}

void rms_norm_in_place(float* x, const float* weight, int n, float epsilon) { rms_norm(x, weight, n, epsilon, x); }

template <class T>
void copy(const float* x, int n, T* out) {
  for (int i = 0; i < n; i += lanes) store(load(x + i), out + i);
}

template <class T>
void layer_norm(const float* x, const NormParameters& parameters, int n, T* out) {
  Floats total{};
  for (int i = 0; i < n; i += lanes) total += load(x + i);
  const float mean = sum(total) / static_cast<float>(n);
  Floats squares{};
  for (int i = 0; i < n; i += lanes) squares += (load(x + i) - mean) * (load(x + i) - mean);
  const float scale = 1.0F / __builtin_sqrtf(sum(squares) / static_cast<float>(n) + parameters.epsilon);
  for (int i = 0; i < n; i += lanes)
    store((load(x + i) - mean) * scale * load(parameters.weight + i) + load(parameters.bias + i), out + i);
}

void rotate(float* x, const float* cosines, const float* sines, int half) {
  for (int i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[i + half];
    x[i] = a * cosines[i] - b * sines[i];
    x[i + half] = b * cosines[i] + a * sines[i];
  }
}

template <int registers, class T>
SHOAL_KERNEL void swiglu_at(const float* gate, const float* up, T* out) {
  Floats g[registers], e[registers];
  for (int i = 0; i < registers; ++i) g[i] = load(gate + i * lanes);
  for (int i = 0; i < registers; ++i) e[i] = -g[i];
  exponential(e);
  for (int i = 0; i < registers; ++i) store(g[i] / (1.0F + e[i]) * load(up + i * lanes), out + i * lanes);
}

template <class T>
void swiglu(const float* gate, const float* up, int n, T* out) {
  int i = 0;
  for (; i + abreast * lanes <= n; i += abreast * lanes) swiglu_at<abreast>(gate + i, up + i, out + i);
  for (; i < n; i += lanes) swiglu_at<1>(gate + i, up + i, out + i);
}

/// With (1 + tanh(u)) / 2 = 1 / (1 + exp(-2 u)).
template <int registers>
SHOAL_KERNEL void gelu_tanh_in_place(Floats (&v)[registers]) {
  Floats e[registers];
  for (int i = 0; i < registers; ++i) e[i] = -2.0F * (0.7978845608F * (v[i] + 0.044715F * v[i] * v[i] * v[i]));
  exponential(e);
  for (int i = 0; i < registers; ++i) v[i] = v[i] / (1.0F + e[i]);
}

template <int registers, class T>
SHOAL_KERNEL void gelu_tanh_at(const float* x, T* out) {
  Floats v[registers];
  for (int i = 0; i < registers; ++i) v[i] = load(x + i * lanes);
  gelu_tanh_in_place(v);
  for (int i = 0; i < registers; ++i) store(v[i], out + i * lanes);
}

template <class T>
void gelu_tanh(const float* x, int n, T* out) {
  int i = 0;
  for (; i + abreast * lanes <= n; i += abreast * lanes) gelu_tanh_at<abreast>(x + i, out + i);
  for (; i < n; i += lanes) gelu_tanh_at<1>(x + i, out + i);
}

template <int registers, class T>
SHOAL_KERNEL void geglu_tanh_at(const float* gate, const float* up, T* out) {
  Floats v[registers];
  for (int i = 0; i < registers; ++i) v[i] = load(gate + i * lanes);
  gelu_tanh_in_place(v);
  for (int i = 0; i < registers; ++i) store(v[i] * load(up + i * lanes), out + i * lanes);
}

template <class T>
void geglu_tanh(const float* gate, const float* up, int n, T* out) {
  int i = 0;
  for (; i + abreast * lanes <= n; i += abreast * lanes) geglu_tanh_at<abreast>(gate + i, up + i, out + i);
  for (; i < n; i += lanes) geglu_tanh_at<1>(gate + i, up + i, out + i);
}

/// The normal distribution's share beyond |x| is exp(-x^2 / 2) times a polynomial of 1 / (1 + p |x|) (Abramowitz &
/// Stegun 7.1.26): to 1e-7.
template <class T>
void gelu(const float* x, int n, T* out) {
  constexpr float rest[] = {-1.453152027F / 2, 1.421413741F / 2, -0.284496736F / 2, 0.254829592F / 2};
  for (int i = 0; i < n; i += lanes) {
    const Floats v = load(x + i);
    const Floats t = 1.0F / (1.0F + (0.3275911F * 0.7071067812F) * larger(v, -v));
    Floats beyond = Floats{} + 1.061405429F / 2;
    for (const float c : rest) beyond = beyond * t + c;
    beyond = beyond * t * exponential(-0.5F * v * v);
    store(v * select(v < 0.0F, beyond, 1.0F - beyond), out + i);
  }
}

void soft_cap(float* x, int n, float cap) {
  int i = 0;
  for (; i + lanes <= n; i += lanes) store(capped(load(x + i), cap), x + i);
  if (i == n) return;
  float rest[lanes] = {};
  __builtin_memcpy(rest, x + i, sizeof(float) * static_cast<std::size_t>(n - i));
  store(capped(load(rest), cap), rest);
  __builtin_memcpy(x + i, rest, sizeof(float) * static_cast<std::size_t>(n - i));
}

void add(const float* from, int n, float* to) {
  int i = 0;
  for (; i + lanes <= n; i += lanes) store(load(to + i) + load(from + i), to + i);
  for (; i < n; ++i) to[i] += from[i];
}

template <class T>
float round_row(const T* x, int n, std::uint8_t* out) {
  constexpr float shift = 0x1.8p23F;  // adding it rounds to an integer in the lowest bits
  Floats largest{};
  for (int i = 0; i < n; i += lanes) largest = larger(larger(load(x + i), -load(x + i)), largest);
  const float scale = maximum(largest) / 127.0F;
  const float inverse = scale > 0.0F ? 1.0F / scale : 0.0F;
  for (int i = 0; i < n; i += lanes) {
    narrow(to_words(load(x + i) * inverse + shift) + 128U, out + i);
  }
  return scale;
}

#undef SHOAL_KERNEL
#undef SHOAL_METHOD

template <class T>
constexpr Kernels<T> this_table{{store_key<T>, store_value<T>, attend<T, T>},
                                rms_norm<T>,
                                rms_norm_in_place,
                                copy<T>,
                                layer_norm<T>,
                                rotate,
                                swiglu<T>,
                                geglu_tanh<T>,
                                gelu<T>,
                                gelu_tanh<T>,
                                soft_cap,
                                add,
                                multiply<T>,
                                round_row<T>};

}  // namespace
}  // namespace shoal::lm::cpu

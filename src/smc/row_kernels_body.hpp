// The passes over a row, written once and included once per instruction set: row_kernels.cpp. No include guard.

/// a * b + c, rounded once.
SHOAL_INLINE Floats fused(Floats a, Floats b, Floats c) {
#ifdef __FMA__
  return _mm256_fmadd_ps(a, b, c);
#else
  for (std::size_t i = 0; i < lanes; ++i) c[i] = std::fma(a[i], b[i], c[i]);
  return c;
#endif
}

/// exp(x) for x <= 0, 0 below -87: reduction to |r| <= ln2/2, polynomial of degree 7, scaling by 2^k.
SHOAL_INLINE Floats exp_nonpositive(Floats x) {
  const auto all = [](float value) { return Floats{} + value; };
  const Floats shift = all(0x1.8p23F);  // adding it rounds to an integer in the lowest bits
  const Floats shifted = fused(x, all(0x1.715476p0F), shift);
  const Floats k = shifted - shift;
  const Floats r = fused(k, all(-0x1.7f7d1cp-20F), fused(k, all(-0x1.62e4p-1F), x));
  Floats p = fused(r, all(1.0F / 5040), all(1.0F / 720));
  for (const float c : {1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F}) p = fused(p, r, all(c));
  p = fused(r * r, p, r) + 1.0F;
  const Bits scale = (reinterpret_cast<Bits>(shifted) << 23U) + (127U << 23U);
  return x < -87.0F ? Floats{} : p * reinterpret_cast<Floats>(scale);
}

#ifdef __AVX512F__
/// As exp_nonpositive above, of twice as many.
SHOAL_INLINE __m512 exp_nonpositive(__m512 x) {
  const __m512 shift = _mm512_set1_ps(0x1.8p23F);
  const __m512 shifted = _mm512_fmadd_ps(x, _mm512_set1_ps(0x1.715476p0F), shift);
  const __m512 k = shifted - shift;
  const __m512 r =
      _mm512_fmadd_ps(k, _mm512_set1_ps(-0x1.7f7d1cp-20F), _mm512_fmadd_ps(k, _mm512_set1_ps(-0x1.62e4p-1F), x));
  __m512 p = _mm512_fmadd_ps(r, _mm512_set1_ps(1.0F / 5040), _mm512_set1_ps(1.0F / 720));
  for (const float c : {1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F}) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
  p = _mm512_fmadd_ps(r * r, p, r) + _mm512_set1_ps(1.0F);
  const __m512i scale =
      _mm512_add_epi32(_mm512_slli_epi32(_mm512_castps_si512(shifted), 23), _mm512_set1_epi32(127 << 23));
  const __mmask16 gone = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.0F), _CMP_LT_OQ);
  return _mm512_maskz_mov_ps(static_cast<__mmask16>(~gone), p * _mm512_castsi512_ps(scale));
}
#endif

SHOAL_INLINE void raise_to_max(const float* group, std::uint64_t tokens, Floats* max) {
  const Floats lowest = Floats{} - std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < group_tokens && tokens != 0; i += lanes) {
    Floats x;
    load(group + i, &x);
    if (tokens != whole_group) select(tokens, i, lowest, &x);
    *max = x > *max ? x : *max;
  }
}

SHOAL_INLINE float largest(const Floats& x) {
  float max = x[0];
  for (std::size_t i = 1; i < lanes; ++i) max = std::max(max, x[i]);
  return max;
}

SHOAL_INLINE RowMaxima maxima(std::span<const float> logits, TokenBits real, TokenBits allowed) {
  const Groups groups(logits);
  Floats max_of_equal = Floats{} - std::numeric_limits<float>::infinity();  // over groups where the sets are the same
  Floats max_real = max_of_equal;
  Floats max_allowed = max_of_equal;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (real[g] == allowed[g]) {
      raise_to_max(groups[g], real[g], &max_of_equal);
    } else {
      raise_to_max(groups[g], real[g], &max_real);
      raise_to_max(groups[g], allowed[g], &max_allowed);
    }
  }
  const float equal = largest(max_of_equal);
  return {std::max(equal, largest(max_real)), std::max(equal, largest(max_allowed))};
}

/// Weights of a group, 0 outside @p tokens; adds them to @p sums.
SHOAL_INLINE void exp_group(const float* group, std::uint64_t tokens, Scaling scaling, float* weights, Sums* sums) {
#ifdef __AVX512F__
  __m512d sum = _mm512_insertf64x4(_mm512_castpd256_pd512(sums->low), sums->high, 1);
  for (std::size_t i = 0; i < group_tokens; i += 2 * lanes) {
    __m512 w = _mm512_loadu_ps(group + i);
    w = (w - _mm512_set1_ps(scaling.reference)) * _mm512_set1_ps(scaling.inverse_temperature);
    w = exp_nonpositive(w);
    if (tokens != whole_group) w = _mm512_maskz_mov_ps(static_cast<__mmask16>(tokens >> i), w);
    sum += _mm512_cvtps_pd(_mm512_castps512_ps256(w));
    sum += _mm512_cvtps_pd(_mm512_extractf32x8_ps(w, 1));
    if (weights != nullptr) _mm512_storeu_ps(weights + i, w);
  }
  sums->low = _mm512_castpd512_pd256(sum);
  sums->high = _mm512_extractf64x4_pd(sum, 1);
#else
  for (std::size_t i = 0; i < group_tokens; i += lanes) {
    Floats w;
    load(group + i, &w);
    w = (w - scaling.reference) * scaling.inverse_temperature;
    w = exp_nonpositive(w);
    if (tokens != whole_group) select(tokens, i, Floats{}, &w);
    sums->add(w);
    if (weights != nullptr) store(w, weights + i);
  }
#endif
}

/// Sets the weights outside @p tokens to 0; adds the others to @p sums.
SHOAL_INLINE void mask_group(std::uint64_t tokens, float* weights, Sums* sums) {
  for (std::size_t i = 0; i < group_tokens; i += lanes) {
    Floats w;
    load(weights + i, &w);
    select(tokens, i, Floats{}, &w);
    sums->add(w);
    store(w, weights + i);
  }
}

SHOAL_INLINE double exp_sum(std::span<const float> logits, TokenBits real, Scaling scaling) {
  const Groups groups(logits);
  Sums sums;
  for (std::size_t g = 0; g < groups.size(); ++g) exp_group(groups[g], real[g], scaling, nullptr, &sums);
  return sums.total();
}

SHOAL_INLINE double exp_sums(std::span<const float> logits, TokenBits real, TokenBits allowed, Scaling scaling,
                             std::span<double> chunk_sums, std::span<float> row_weights) {
  constexpr std::size_t chunk_groups = chunk_tokens / group_tokens;
  const Groups groups(logits);
  std::array<float, group_tokens> here;
  double total = 0.0;
  for (std::size_t c = 0; c < chunk_sums.size(); ++c) {
    Sums sum_real;
    Sums sum_allowed;
    for (std::size_t g = c * chunk_groups; g < std::min((c + 1) * chunk_groups, groups.size()); ++g) {
      float* const weights =
          !row_weights.empty() && groups.is_whole(g) ? row_weights.data() + g * group_tokens : here.data();
      Sums sum_group;
      exp_group(groups[g], real[g], scaling, weights, &sum_group);
      sum_real.add(sum_group);
      if (allowed[g] == real[g])
        sum_allowed.add(sum_group);
      else
        mask_group(allowed[g], weights, &sum_allowed);
    }
    chunk_sums[c] = sum_allowed.total();
    total += sum_real.total();
  }
  const std::size_t rest = row_weights.size() % group_tokens;
  std::copy_n(here.begin(), rest, row_weights.end() - static_cast<std::ptrdiff_t>(rest));
  return total;
}

const Kernels kernels = {
    [](std::span<const float> logits, TokenBits real, TokenBits allowed) { return maxima(logits, real, allowed); },
    [](std::span<const float> logits, TokenBits real, Scaling scaling) { return exp_sum(logits, real, scaling); },
    [](std::span<const float> logits, TokenBits real, TokenBits allowed, Scaling scaling, std::span<double> chunk_sums,
       std::span<float> row_weights) { return exp_sums(logits, real, allowed, scaling, chunk_sums, row_weights); }};

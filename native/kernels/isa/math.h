// Vector exponential, sigmoid, normal distribution and the counter hash behind dropout.
#pragma once
#include "vector.h"

namespace tunesmith::TUNESMITH_ISA {

// p * 2^n for a normal result, where n + rounding is `shifted`.
TUNESMITH_INLINE Register with_exponent(Register p, Register shifted) {
#if defined(__AVX512F__)
  return as<Register>(_mm512_scalef_ps(as<__m512>(p), as<__m512>(shifted - rounding)));
#else
  return as<Register>(as<Ints>(p) + ((as<Ints>(shifted) - as<Ints>(splat(rounding))) << 23));
#endif
}

// Relative error below 2e-7 on [-87, 88]; clamped outside, NaN stays NaN.
TUNESMITH_INLINE Register exponential(Register x) {
  x = minimum(splat(88.0f), x);  // this order of operands keeps a NaN
  x = maximum(splat(-87.3f), x);
  Register shifted = x * 1.44269504f + rounding;
  Register n = shifted - rounding;
  Register f = x - n * 0.693145752f;
  f = f - n * 1.42860677e-6f;
  Register p = splat(1.3930436e-3f);
  p = p * f + 8.3606489e-3f;
  p = p * f + 4.1666608e-2f;
  p = p * f + 1.6666661e-1f;
  p = p * f + 0.5f;
  p = p * f + 1.0f;
  p = p * f + 1.0f;
  return with_exponent(p, shifted);
}

// 2^x for results that are rounded to bf16: relative error below 3e-6 for x from -125 to 0. Clamped below, so that the
// processor computes no denormal numbers; NaN stays NaN.
TUNESMITH_INLINE Register power_of_two(Register x) {
  x = maximum(splat(-125.0f), x);
  Register shifted = x + rounding;
  Register f = x - (shifted - rounding);
  Register p = splat(9.570102e-3f);
  p = p * f + 5.591787e-2f;
  p = p * f + 2.4024744e-1f;
  p = p * f + 6.931218e-1f;
  p = p * f + 9.999993e-1f;
  return with_exponent(p, shifted);
}

TUNESMITH_INLINE Register sigmoid(Register x) { return 1.0f / (1.0f + exponential(-x)); }

// Relative error below 3e-7. @source Cephes, tanhf: a polynomial near zero, where the exponential would cancel
TUNESMITH_INLINE Register hyperbolic_tangent(Register x) {
  const Register magnitude = as<Register>(as<Ints>(x) & 0x7fffffff), square = x * x;
  Register p = splat(-5.70498872745e-3f);
  p = p * square + 2.06390887954e-2f;
  p = p * square - 5.37397155531e-2f;
  p = p * square + 1.33314422036e-1f;
  p = p * square - 3.33332819422e-1f;
  const Register far = 1.0f - 2.0f / (exponential(x + x) + 1.0f);
  return select(Ints(magnitude < splat(0.625f)), p * square * x + x, far);
}

// Scores between -cap and cap, and the slope of that at the capped score.
TUNESMITH_INLINE Register capped(Register x, float cap) { return hyperbolic_tangent(x * (1.0f / cap)) * cap; }
TUNESMITH_INLINE Register capped_slope(Register y, float cap) {
  const Register t = y * (1.0f / cap);
  return (1.0f - t) * (1.0f + t);
}

// Cumulative and density of the standard normal distribution; Abramowitz and Stegun 7.1.26, absolute error 1.5e-7.
TUNESMITH_INLINE void normal(Register x, Register& cumulative, Register& density) {
  Register magnitude = as<Register>(as<Ints>(x) & 0x7fffffff);
  Register gauss = exponential(x * x * -0.5f);
  Register t = 1.0f / (magnitude * (0.3275911f * 0.70710678f) + 1.0f);
  Register p = splat(1.061405429f);
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  Register tail = p * t * gauss * 0.5f;
  cumulative = select(Ints(x < Register{}), tail, 1.0f - tail);
  density = gauss * 0.39894228f;
}

// 64 well mixed bits. @source splitmix64's finalizer
TUNESMITH_INLINE uint64_t mix_wide(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
// The seed of a row of random numbers, from the key of the row and the seed of the call.
TUNESMITH_INLINE uint64_t row_seed(uint64_t seed, uint64_t key) {
  return mix_wide(mix_wide(key + 0x9e3779b97f4a7c15u) ^ seed);
}
// 32 well mixed bits from a counter and the seed of a row (two rounds of a xorshift-multiply mixer, keyed between).
template <class W> TUNESMITH_INLINE W mix(W x) {
  x = x ^ (x >> 16);
  x = x * 0x21f0aaadu;
  x = x ^ (x >> 15);
  x = x * 0xd35a2d97u;
  return x ^ (x >> 15);
}
TUNESMITH_INLINE Words random_words(uint64_t seed, Words column) {
  return mix<Words>(mix<Words>(column ^ uint32_t(seed)) + uint32_t(seed >> 32));
}
TUNESMITH_INLINE int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }
TUNESMITH_INLINE int64_t greater(int64_t a, int64_t b) { return a > b ? a : b; }

TUNESMITH_INLINE Words lane_numbers() {
  Words x;
  for (int i = 0; i < lanes; i++) x[i] = uint32_t(i);
  return x;
}

}  // namespace tunesmith::TUNESMITH_ISA

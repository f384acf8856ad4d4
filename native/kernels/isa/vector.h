// One vector type for all instruction sets: GCC vector extensions with as many lanes as the target has. Loads, stores
// and bf16 conversion, independent of operators. Include it outside of namespaces, and in ISA files only.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace tunesmith::TUNESMITH_ISA {

#if defined(__AVX512F__) || defined(TUNESMITH_EMULATE_AVX512BF16)
inline constexpr int lanes = 16;
#elif defined(__AVX2__)
inline constexpr int lanes = 8;
#else
inline constexpr int lanes = 4;
#endif

typedef float Vector __attribute__((vector_size(lanes * 4), aligned(4), may_alias));
typedef float Register __attribute__((vector_size(lanes * 4)));
typedef int32_t Ints __attribute__((vector_size(lanes * 4)));
typedef uint32_t Words __attribute__((vector_size(lanes * 4)));
typedef uint16_t Halves __attribute__((vector_size(lanes * 2)));

#define TUNESMITH_INLINE static inline __attribute__((always_inline))

TUNESMITH_INLINE Register splat(float x) { return x - Register{}; }
TUNESMITH_INLINE Words splat_word(uint32_t x) { return x - Words{}; }

template <class To, class From> TUNESMITH_INLINE To as(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof(to));
  return to;
}

// Adding it rounds a number to an integer, which is then in the low bits: 1.5 * 2^23.
inline constexpr float rounding = 12582912.0f;

TUNESMITH_INLINE float widen(uint16_t x) { return as<float>(uint32_t(x) << 16); }

TUNESMITH_INLINE uint16_t narrow(float x) {
  uint32_t bits = as<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fc0;
  return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

TUNESMITH_INLINE Register widen(Halves x) {
#if defined(__AVX2__) && !defined(__AVX512F__) && !defined(TUNESMITH_EMULATE_AVX512BF16)
  return as<Register>(_mm256_slli_epi32(_mm256_cvtepu16_epi32(as<__m128i>(x)), 16));
#elif defined(__AVX512F__)
  return as<Register>(_mm512_slli_epi32(_mm512_cvtepu16_epi32(as<__m256i>(x)), 16));
#elif defined(__aarch64__)
  return as<Register>(vshll_n_u16(as<uint16x4_t>(x), 16));
#else
  return as<Register>(__builtin_convertvector(x, Words) << 16);
#endif
}

// Round to nearest even; a NaN stays one.
TUNESMITH_INLINE Halves narrow(Register x) {
#if defined(__AVX512BF16__)
  return as<Halves>(_mm512_cvtneps_pbh(as<__m512>(x)));
#else
  Words bits = as<Words>(x);
  Words rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  Words number = Words(x == x);  // all ones where not a NaN
  rounded = (rounded & number) | (~number & 0x7fc0u);
#if defined(__AVX2__) && !defined(__AVX512F__) && !defined(TUNESMITH_EMULATE_AVX512BF16)
  __m256i packed = _mm256_packus_epi32(as<__m256i>(rounded), as<__m256i>(rounded));
  return as<Halves>(_mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08)));
#else
  return __builtin_convertvector(rounded, Halves);
#endif
#endif
}

TUNESMITH_INLINE Register load(const float* p) {
  Register x;
  __builtin_memcpy(&x, p, sizeof(x));
  return x;
}
TUNESMITH_INLINE Register load(const uint16_t* p) {
  Halves x;
  __builtin_memcpy(&x, p, sizeof(x));
  return widen(x);
}
TUNESMITH_INLINE void store(float* p, Register x) { __builtin_memcpy(p, &x, sizeof(x)); }
TUNESMITH_INLINE void store(uint16_t* p, Register x) {
  Halves narrowed = narrow(x);
  __builtin_memcpy(p, &narrowed, sizeof(narrowed));
}

// The first `count` lanes only, the others read as `fill`; for the ends of rows.
template <class T> TUNESMITH_INLINE Register load_part(const T* p, int64_t count, float fill = 0) {
  float lane[lanes];
  for (int i = 0; i < lanes; i++) lane[i] = fill;
  for (int64_t i = 0; i < count; i++) {
    if constexpr (sizeof(T) == 2)
      lane[i] = widen(p[i]);
    else
      lane[i] = p[i];
  }
  return load(lane);
}
template <class T> TUNESMITH_INLINE void store_part(T* p, Register x, int64_t count) {
  float lane[lanes];
  store(lane, x);
  for (int64_t i = 0; i < count; i++) {
    if constexpr (sizeof(T) == 2)
      p[i] = narrow(lane[i]);
    else
      p[i] = lane[i];
  }
}
template <class T> TUNESMITH_INLINE Register load_upto(const T* p, int64_t count, float fill = 0) {
  return count >= lanes ? load(p) : load_part(p, count, fill);
}
template <class T> TUNESMITH_INLINE void store_upto(T* p, Register x, int64_t count) {
  if (count >= lanes)
    store(p, x);
  else
    store_part(p, x, count);
}

// a * b + c with one rounding where the processor can. The compiler fuses some sums and not others, so sums that must
// have the same bits in several loops use this.
TUNESMITH_INLINE Register fused(Register a, Register b, Register c) {
#if defined(__AVX512F__)
  return as<Register>(_mm512_fmadd_ps(as<__m512>(a), as<__m512>(b), as<__m512>(c)));
#elif defined(__FMA__) && !defined(TUNESMITH_EMULATE_AVX512BF16)
  return as<Register>(_mm256_fmadd_ps(as<__m256>(a), as<__m256>(b), as<__m256>(c)));
#elif defined(__aarch64__)
  return as<Register>(vfmaq_f32(as<float32x4_t>(c), as<float32x4_t>(a), as<float32x4_t>(b)));
#elif defined(__FMA__)
  for (int i = 0; i < lanes; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return c;
#else
  return a * b + c;
#endif
}

// As load_part, in one masked load where the processor has one.
TUNESMITH_INLINE Register load_end(const float* p, int64_t count) {
#if defined(__AVX512F__)
  return as<Register>(_mm512_maskz_loadu_ps(__mmask16((1u << count) - 1), p));
#else
  return load_part(p, count);
#endif
}
TUNESMITH_INLINE Register load_end(const uint16_t* p, int64_t count) {
#if defined(__AVX512F__)
  return widen(as<Halves>(_mm256_maskz_loadu_epi16(__mmask16((1u << count) - 1), p)));
#else
  return load_part(p, count);
#endif
}

TUNESMITH_INLINE Register select(Ints mask, Register yes, Register no) {
  return as<Register>((mask & as<Ints>(yes)) | (~mask & as<Ints>(no)));
}
TUNESMITH_INLINE Register maximum(Register a, Register b) {
#if defined(__AVX512F__)
  return as<Register>(_mm512_max_ps(as<__m512>(a), as<__m512>(b)));
#elif defined(__AVX2__) && !defined(TUNESMITH_EMULATE_AVX512BF16)
  return as<Register>(_mm256_max_ps(as<__m256>(a), as<__m256>(b)));
#else
  return select(Ints(a > b), a, b);
#endif
}
TUNESMITH_INLINE Register minimum(Register a, Register b) {
#if defined(__AVX512F__)
  return as<Register>(_mm512_min_ps(as<__m512>(a), as<__m512>(b)));
#elif defined(__AVX2__) && !defined(TUNESMITH_EMULATE_AVX512BF16)
  return as<Register>(_mm256_min_ps(as<__m256>(a), as<__m256>(b)));
#else
  return select(Ints(a < b), a, b);
#endif
}
TUNESMITH_INLINE Register square_root(Register x) {
#if defined(__AVX512F__)
  return as<Register>(_mm512_sqrt_ps(as<__m512>(x)));
#elif defined(__AVX2__) && !defined(TUNESMITH_EMULATE_AVX512BF16)
  return as<Register>(_mm256_sqrt_ps(as<__m256>(x)));
#elif defined(__aarch64__)
  return as<Register>(vsqrtq_f32(as<float32x4_t>(x)));
#else
  float lane[lanes];
  store(lane, x);
  for (int i = 0; i < lanes; i++) lane[i] = __builtin_sqrtf(lane[i]);
  return load(lane);
#endif
}
// Lanes become one number: the upper half is combined with the lower one until one is left, on every processor.
template <class Combine> TUNESMITH_INLINE float reduced(Register x, Combine combine) {
#if defined(__AVX2__) && !defined(TUNESMITH_EMULATE_AVX512BF16)
#if defined(__AVX512F__)
  const __m512d all = as<__m512d>(x);
  const __m256 eight = combine(as<__m256>(_mm512_castpd512_pd256(all)), as<__m256>(_mm512_extractf64x4_pd(all, 1)));
#else
  const __m256 eight = as<__m256>(x);
#endif
  const __m128 four = combine(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = combine(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(combine(two, _mm_movehdup_ps(two)));
#else
  float lane[lanes];
  store(lane, x);
#pragma GCC unroll 4
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) lane[i] = combine(lane[i], lane[i + width]);
  return lane[0];
#endif
}

struct Sum {
  template <class X> X operator()(X a, X b) const { return a + b; }
};
// Of a NaN and a number, what the comparison b > a leaves.
struct Largest {
  float operator()(float a, float b) const { return b > a ? b : a; }
#if defined(__AVX2__)
  __m128 operator()(__m128 a, __m128 b) const { return _mm_max_ps(b, a); }
  __m256 operator()(__m256 a, __m256 b) const { return _mm256_max_ps(b, a); }
#endif
};

TUNESMITH_INLINE float total(Register x) {
#if defined(__aarch64__)
  const float32x4_t all = as<float32x4_t>(x);
  return vaddv_f32(vadd_f32(vget_low_f32(all), vget_high_f32(all)));
#else
  return reduced(x, Sum());
#endif
}
TUNESMITH_INLINE float largest(Register x) { return reduced(x, Largest()); }

}  // namespace tunesmith::TUNESMITH_ISA

// How the processor adds products of bytes, of which at least one side is signed.
#pragma once
#include "vector.h"

namespace tunesmith::TUNESMITH_ISA {

#if (defined(__AVX512VNNI__) || defined(__AVXVNNI__)) && !defined(TUNESMITH_EMULATE_AVX512BF16)
// By fours to int32, the left side unsigned.
#define TUNESMITH_VNNI
#elif defined(__AVX2__) && !defined(TUNESMITH_EMULATE_AVX512BF16)
// By twos to int16, so codes of 8 bits must be signed to leave room.
#define TUNESMITH_BYTE_PAIRS
#elif defined(__ARM_FEATURE_DOTPROD)
// By fours to int32, both sides signed.
#define TUNESMITH_DOT_PRODUCTS
#endif
#if defined(__ARM_FEATURE_MATMUL_INT8)
#define TUNESMITH_BYTE_MATRICES
inline constexpr bool byte_matrices = true;
#else
inline constexpr bool byte_matrices = false;
#endif
#if defined(TUNESMITH_BYTE_PAIRS) || defined(TUNESMITH_DOT_PRODUCTS)
#define TUNESMITH_SIGNED_CODES
#endif

#if defined(TUNESMITH_VNNI)
TUNESMITH_INLINE __m256i dot_bytes(__m256i sum, __m256i left, __m256i right) {
#if defined(__AVX512VNNI__)
  return _mm256_dpbusd_epi32(sum, left, right);
#else
  // The same instruction in the encoding of AVX2.
  return _mm256_dpbusd_avx_epi32(sum, left, right);
#endif
}
#if defined(__AVX512VNNI__)
TUNESMITH_INLINE __m512i dot_bytes(__m512i sum, __m512i left, __m512i right) {
  return _mm512_dpbusd_epi32(sum, left, right);
}
using Bits = __m512i;
#else
using Bits = __m256i;
#endif
#endif

}  // namespace tunesmith::TUNESMITH_ISA

// Multiply-add instructions on registers alone, as many as hide their latency: the most that a thread can compute.
#pragma once
#include "../table.h"
#include "byte-dots.h"
#include "vector.h"

namespace tunesmith::TUNESMITH_ISA {

// The operations of `rounds` rounds, two for each multiply-add, or 0 where the processor has no such instruction.
// `numbers` has 16 values, and gets results, so that no round can be left out.
static double peak_rounds(Peak kind, int64_t rounds, float* numbers) {
  constexpr int chains = 12;
  if (kind == Peak::float32) {
    Register sums[chains];
    for (int i = 0; i < chains; i++) sums[i] = splat(numbers[i]);
    const Register a = splat(numbers[12]), b = splat(numbers[13]);
    for (int64_t round = 0; round < rounds; round++)
#pragma GCC unroll 12
      for (int i = 0; i < chains; i++) sums[i] = fused(a, b, sums[i]);
    for (int i = 0; i < chains; i++) numbers[i] = total(sums[i]);
    return 2.0 * lanes * chains * double(rounds);
  }
#if defined(__AVX512BF16__)
  if (kind == Peak::bfloat16) {
    __m512 sums[chains];
    for (int i = 0; i < chains; i++) sums[i] = _mm512_set1_ps(numbers[i]);
    const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(numbers[12]), _mm512_set1_ps(numbers[13])), b = a;
    for (int64_t round = 0; round < rounds; round++)
#pragma GCC unroll 12
      for (int i = 0; i < chains; i++) sums[i] = _mm512_dpbf16_ps(sums[i], a, b);
    for (int i = 0; i < chains; i++) numbers[i] = _mm512_reduce_add_ps(sums[i]);
    return 2.0 * 32 * chains * double(rounds);
  }
#endif
#if defined(TUNESMITH_VNNI)
  if (kind == Peak::int8) {
    Bits sums[chains];
    for (int i = 0; i < chains; i++) sums[i] = as<Bits>(splat_word(uint32_t(numbers[i])));
    const Bits a = as<Bits>(splat_word(0x01010101u * uint8_t(numbers[12])));
    const Bits b = as<Bits>(splat_word(0x01010101u * uint8_t(numbers[13])));
    for (int64_t round = 0; round < rounds; round++)
#pragma GCC unroll 12
      for (int i = 0; i < chains; i++) sums[i] = dot_bytes(sums[i], a, b);
    for (int i = 0; i < chains; i++) numbers[i] = float(as<Ints>(sums[i])[0]);
    return 2.0 * 4 * lanes * chains * double(rounds);
  }
#elif defined(__AVX2__) && !defined(TUNESMITH_EMULATE_AVX512BF16) && !defined(__AVX512F__)
  if (kind == Peak::int8) {
    __m256i sums[chains];
    for (int i = 0; i < chains; i++) sums[i] = _mm256_set1_epi16(short(numbers[i]));
    const __m256i a = _mm256_set1_epi8(char(numbers[12]));
    __m256i b = _mm256_set1_epi8(char(numbers[13]));
    for (int64_t round = 0; round < rounds; round++) {
      // Or the product would be computed once.
      asm volatile("" : "+x"(b));
#pragma GCC unroll 12
      for (int i = 0; i < chains; i++) sums[i] = _mm256_add_epi16(sums[i], _mm256_maddubs_epi16(a, b));
    }
    for (int i = 0; i < chains; i++) numbers[i] = float(_mm256_extract_epi16(sums[i], 0));
    return 2.0 * 32 * chains * double(rounds);
  }
#endif
  return 0;
}

}  // namespace tunesmith::TUNESMITH_ISA

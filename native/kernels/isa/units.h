// The units that the tile of a product multiplies: fp32 values, or pairs of bf16 values that are adjacent in depth, for
// processors with bf16 dot products. Both are four bytes, so both have the same layout; only the depth is counted in
// units.
#pragma once
#include "vector.h"

namespace tunesmith::TUNESMITH_ISA {

#if defined(__AVX512BF16__) || defined(TUNESMITH_EMULATE_AVX512BF16)
#define TUNESMITH_PAIRS
#endif

struct Pair {
  uint32_t bits;  // the value that comes first in the low half
};

// Pairs for the matrix tiles of the processor (AMX), which take a depth of 16 units at once: depths are filled up with
// zeros.
struct TilePair : Pair {};

TUNESMITH_INLINE int64_t round_up(int64_t x, int64_t step) { return (x + step - 1) / step * step; }

template <class Unit> inline constexpr int64_t unit_depth = 1;
template <> inline constexpr int64_t unit_depth<Pair> = 2;
template <> inline constexpr int64_t unit_depth<TilePair> = 2;
// The depth of a product, in values, is a multiple of this.
template <class Unit> inline constexpr int64_t depth_step = unit_depth<Unit>;
template <> inline constexpr int64_t depth_step<TilePair> = 32;
template <class Unit> TUNESMITH_INLINE int64_t units_of(int64_t depth) {
  return round_up(depth, depth_step<Unit>) / unit_depth<Unit>;
}

TUNESMITH_INLINE Register operand(const float* p) { return load(p); }
TUNESMITH_INLINE Register spread(const float* p) { return splat(*p); }
TUNESMITH_INLINE Register multiply_add(Register sum, Register a, Register b) { return sum + a * b; }

#if defined(TUNESMITH_PAIRS)
TUNESMITH_INLINE Words operand(const Pair* p) {
  Words x;
  __builtin_memcpy(&x, p, sizeof(x));
  return x;
}
TUNESMITH_INLINE Words spread(const Pair* p) { return splat_word(p->bits); }
TUNESMITH_INLINE Register multiply_add(Register sum, Words a, Words b) {
#if defined(__AVX512BF16__)
  return as<Register>(_mm512_dpbf16_ps(as<__m512>(sum), as<__m512bh>(a), as<__m512bh>(b)));
#else
  sum += as<Register>(a << 16) * as<Register>(b << 16);
  return sum + as<Register>(a & 0xffff0000u) * as<Register>(b & 0xffff0000u);
#endif
}

// Values of two rows, lane by lane.
#if defined(__AVX512BF16__)
// The halves of a register: lane i of each becomes a pair.
TUNESMITH_INLINE Words interleaved(__m512i both) {
  alignas(64) static constexpr uint16_t order[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return as<Words>(_mm512_permutexvar_epi16(_mm512_load_si512(order), both));
}
TUNESMITH_INLINE Words paired(Halves first, Halves second) {
  return interleaved(_mm512_inserti64x4(_mm512_castsi256_si512(as<__m256i>(first)), as<__m256i>(second), 1));
}
// The two rows rounded, and as pairs.
TUNESMITH_INLINE Words paired(Register first, Register second, Halves& one, Halves& two) {
  const __m512i both = as<__m512i>(_mm512_cvtne2ps_pbh(as<__m512>(second), as<__m512>(first)));
  one = as<Halves>(_mm512_castsi512_si256(both));
  two = as<Halves>(_mm512_extracti64x4_epi64(both, 1));
  return interleaved(both);
}
#else
TUNESMITH_INLINE Words paired(Halves first, Halves second) {
  return __builtin_convertvector(first, Words) | (__builtin_convertvector(second, Words) << 16);
}
TUNESMITH_INLINE Words paired(Register first, Register second, Halves& one, Halves& two) {
  one = narrow(first), two = narrow(second);
  return paired(one, two);
}
#endif
TUNESMITH_INLINE void store(Pair* p, Words x) { __builtin_memcpy(p, &x, sizeof(x)); }
TUNESMITH_INLINE Halves halves_upto(const uint16_t* p, int64_t count) {
  Halves x = {};
  __builtin_memcpy(&x, p, size_t(count >= lanes ? lanes : count < 0 ? 0 : count) * sizeof(uint16_t));
  return x;
}
// Fewer than 2 * lanes values as pairs, then zeros.
TUNESMITH_INLINE Words words_end(const uint16_t* p, int64_t count) {
#if defined(__AVX512BF16__)
  return as<Words>(_mm512_maskz_loadu_epi16(__mmask32((uint32_t(1) << count) - 1), p));
#else
  Words x = {};
  __builtin_memcpy(&x, p, size_t(count) * sizeof(uint16_t));
  return x;
#endif
}
#endif

}  // namespace tunesmith::TUNESMITH_ISA

// The block formats of GGUF files: 32 codes at a time as unsigned bytes, with their scales and offsets as floats.
// A value is scale * (code - zero) + least.
// @source https://github.com/ggml-org/ggml, struct definitions of its quantised blocks
#pragma once
#include "../table.h"
#include "vector.h"

namespace tunesmith::TUNESMITH_ISA {

inline constexpr int group_size = 32;

typedef uint8_t Bytes16 __attribute__((vector_size(16)));
typedef uint8_t Bytes32 __attribute__((vector_size(32)));

template <class T> TUNESMITH_INLINE T load_bytes(const uint8_t* p) {
  T x;
  __builtin_memcpy(&x, p, sizeof(x));
  return x;
}

TUNESMITH_INLINE float half_value(const uint8_t* p) {
  uint16_t bits;
  __builtin_memcpy(&bits, p, 2);
#if defined(__F16C__)
  return _cvtsh_ss(bits);
#elif defined(__aarch64__)
  return float(as<__fp16>(bits));
#else
  const uint32_t sign = uint32_t(bits & 0x8000) << 16, rest = bits & 0x7fff;
  // Infinity and NaN keep their exponent of ones, and subnormal numbers are multiples of 2^-24.
  if (rest >= 0x7c00) return as<float>(sign | 0x7f800000u | ((rest & 0x3ff) << 13));
  if (rest < 0x400) return as<float>(sign | as<uint32_t>(float(rest) * 0x1p-24f));
  return as<float>(sign | ((rest << 13) + ((127u - 15u) << 23)));
#endif
}

// Sixteen bytes with two codes each: the low halves, then the high ones.
TUNESMITH_INLINE Bytes32 nibbles(const uint8_t* p) {
  const Bytes16 both = load_bytes<Bytes16>(p);
#if defined(__AVX2__)
  const __m128i pair = as<__m128i>(both);
  const __m256i wide = _mm256_inserti128_si256(_mm256_castsi128_si256(pair), _mm_srli_epi16(pair, 4), 1);
  return as<Bytes32>(_mm256_and_si256(wide, _mm256_set1_epi8(15)));
#else
  Bytes32 out;
  const Bytes16 low = both & 15, high = both >> 4;
  __builtin_memcpy(&out, &low, 16);
  __builtin_memcpy((uint8_t*)&out + 16, &high, 16);
  return out;
#endif
}

#if defined(__AVX2__)
// The same of two rows at once: the low codes of both, then the high ones.
TUNESMITH_INLINE void nibble_pairs(const uint8_t* a, const uint8_t* b, __m256i& low, __m256i& high) {
  const __m256i both = _mm256_loadu2_m128i((const __m128i*)b, (const __m128i*)a);
  low = _mm256_and_si256(both, _mm256_set1_epi8(15));
  high = _mm256_and_si256(_mm256_srli_epi16(both, 4), _mm256_set1_epi8(15));
}

// The fifth bits of the codes of `nibble_pairs`.
TUNESMITH_INLINE void fifth_pairs(const uint8_t* a, const uint8_t* b, __m256i& low, __m256i& high) {
  int32_t bits[2];
  __builtin_memcpy(bits, a, 4);
  __builtin_memcpy(bits + 1, b, 4);
  const __m256i all = _mm256_set_m128i(_mm_set1_epi32(bits[1]), _mm_set1_epi32(bits[0]));
  const __m256i places = _mm256_setr_epi64x(0, 0x0101010101010101, 0, 0x0101010101010101);
  const __m256i mask = _mm256_set1_epi64x(int64_t(0x8040201008040201)), fifth = _mm256_set1_epi8(16);
  const auto spread = [&](__m256i at) {
    const __m256i own = _mm256_and_si256(_mm256_shuffle_epi8(all, at), mask);
    return _mm256_and_si256(_mm256_cmpeq_epi8(own, mask), fifth);
  };
  low = spread(places);
  high = spread(_mm256_add_epi8(places, _mm256_set1_epi8(2)));
}
#endif

// 32 bits as the fifth bits of 32 codes.
TUNESMITH_INLINE Bytes32 fifth_bits(const uint8_t* p) {
  uint32_t bits;
  __builtin_memcpy(&bits, p, 4);
#if defined(__AVX2__)
  const __m256i places = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(int(bits)), places);
  const __m256i mask = _mm256_set1_epi64x(int64_t(0x8040201008040201));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, mask), mask);
  return as<Bytes32>(_mm256_and_si256(set, _mm256_set1_epi8(16)));
#elif defined(__aarch64__)
  const uint8x16_t all = vreinterpretq_u8_u32(vdupq_n_u32(bits)), fifth = vdupq_n_u8(16);
  const uint8x16_t places = vcombine_u8(vdup_n_u8(0), vdup_n_u8(1));
  const uint8x16_t mask = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
  const auto spread = [&](uint8x16_t at) { return vandq_u8(vtstq_u8(vqtbl1q_u8(all, at), mask), fifth); };
  const uint8x16_t low = spread(places), high = spread(vaddq_u8(places, vdupq_n_u8(2)));
  Bytes32 out;
  __builtin_memcpy(&out, &low, 16);
  __builtin_memcpy((uint8_t*)&out + 16, &high, 16);
  return out;
#else
  Bytes32 out;
  for (int i = 0; i < group_size; i++) out[i] = uint8_t((bits >> i & 1) << 4);
  return out;
#endif
}

// Eight scales and eight minima of 6 bits each in 12 bytes.
struct SixBits {
  uint32_t scale[2], least[2];
};
TUNESMITH_INLINE SixBits six_bits(const uint8_t* p) {
  constexpr uint32_t low = 0x3f3f3f3f, nibble = 0x0f0f0f0f, pair = 0x03030303;
  uint32_t w[3];
  __builtin_memcpy(w, p, 12);
  return {{w[0] & low, (w[2] & nibble) | ((w[0] >> 6 & pair) << 4)},
          {w[1] & low, (w[2] >> 4 & nibble) | ((w[1] >> 6 & pair) << 4)}};
}

// What is known of a format: codes of `bits`, with `zero` taken off, and a scale for every `run` of them. A block of
// 256 has eight groups. Where a group has 16 bytes of two codes each, `nibbles_at` is their place, and `fifth_at` that
// of their fifth bits, if they have any.
template <int values, int block_bytes, int code_bits, int code_zero, bool has_least, int scale_run = group_size>
struct Format {
  static constexpr int groups = values / group_size;
  static constexpr int bytes = block_bytes;
  static constexpr int bits = code_bits;
  static constexpr int zero = code_zero;
  static constexpr bool least = has_least;
  static constexpr int halves = group_size / scale_run;
  static constexpr int nibbles_at = -1, fifth_at = -1;
};

// Scales and minima of the groups of one block, `halves` of each for a group.
struct Scales {
  float scale[16];
  float least[8];
};

template <Code code> struct Blocks;

template <> struct Blocks<Code::q4_0> : Format<32, 18, 4, 8, false> {
  static constexpr int nibbles_at = 2;
  TUNESMITH_INLINE Bytes32 codes(const uint8_t* block, int) { return nibbles(block + nibbles_at); }
  TUNESMITH_INLINE void scales(const uint8_t* block, Scales& s) { s.scale[0] = half_value(block); }
};
template <> struct Blocks<Code::q4_1> : Format<32, 20, 4, 0, true> {
  static constexpr int nibbles_at = 4;
  TUNESMITH_INLINE Bytes32 codes(const uint8_t* block, int) { return nibbles(block + nibbles_at); }
  TUNESMITH_INLINE void scales(const uint8_t* block, Scales& s) {
    s.scale[0] = half_value(block);
    s.least[0] = half_value(block + 2);
  }
};
template <> struct Blocks<Code::q5_0> : Format<32, 22, 5, 16, false> {
  static constexpr int nibbles_at = 6, fifth_at = 2;
  TUNESMITH_INLINE Bytes32 codes(const uint8_t* block, int) {
    return nibbles(block + nibbles_at) | fifth_bits(block + fifth_at);
  }
  TUNESMITH_INLINE void scales(const uint8_t* block, Scales& s) { s.scale[0] = half_value(block); }
};
template <> struct Blocks<Code::q5_1> : Format<32, 24, 5, 0, true> {
  static constexpr int nibbles_at = 8, fifth_at = 4;
  TUNESMITH_INLINE Bytes32 codes(const uint8_t* block, int) {
    return nibbles(block + nibbles_at) | fifth_bits(block + fifth_at);
  }
  TUNESMITH_INLINE void scales(const uint8_t* block, Scales& s) {
    s.scale[0] = half_value(block);
    s.least[0] = half_value(block + 2);
  }
};
template <> struct Blocks<Code::q8_0> : Format<32, 34, 8, 128, false> {
  TUNESMITH_INLINE Bytes32 codes(const uint8_t* block, int) { return load_bytes<Bytes32>(block + 2) ^ 0x80; }
  TUNESMITH_INLINE void scales(const uint8_t* block, Scales& s) { s.scale[0] = half_value(block); }
};
// Groups 2i and 2i+1 are the low and the high halves of the same 32 bytes.
template <> struct Blocks<Code::q4_k> : Format<256, 144, 4, 0, true> {
  TUNESMITH_INLINE Bytes32 codes(const uint8_t* block, int group) {
    const Bytes32 both = load_bytes<Bytes32>(block + 16 + 32 * (group >> 1));
    return group & 1 ? both >> 4 : both & 15;
  }
  TUNESMITH_INLINE void scales(const uint8_t* block, Scales& s) {
    const float scale = half_value(block), least = half_value(block + 2);
    const SixBits six = six_bits(block + 4);
    for (int i = 0; i < 8; i++) s.scale[i] = scale * float(six.scale[i >> 2] >> (8 * (i & 3)) & 255);
    for (int i = 0; i < 8; i++) s.least[i] = -(least * float(six.least[i >> 2] >> (8 * (i & 3)) & 255));
  }
#if defined(__AVX2__)
  // The same in registers.
  TUNESMITH_INLINE void scale_vectors(const uint8_t* block, __m256* scales, __m256& least) {
    const SixBits six = six_bits(block + 4);
    const auto widened = [](const uint32_t* bytes) {
      const __m128i eight = _mm_setr_epi32(int(bytes[0]), int(bytes[1]), 0, 0);
      return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight));
    };
    scales[0] = _mm256_mul_ps(_mm256_set1_ps(half_value(block)), widened(six.scale));
    least = _mm256_mul_ps(_mm256_set1_ps(-half_value(block + 2)), widened(six.least));
  }
#endif
};
template <> struct Blocks<Code::q5_k> : Format<256, 176, 5, 0, true> {
  TUNESMITH_INLINE Bytes32 codes(const uint8_t* block, int group) {
    const Bytes32 both = load_bytes<Bytes32>(block + 48 + 32 * (group >> 1));
    const Bytes32 fifth = (load_bytes<Bytes32>(block + 16) >> uint8_t(group)) & 1;
    return (group & 1 ? both >> 4 : both & 15) | (fifth << 4);
  }
  TUNESMITH_INLINE void scales(const uint8_t* block, Scales& s) { Blocks<Code::q4_k>::scales(block, s); }
#if defined(__AVX2__)
  TUNESMITH_INLINE void scale_vectors(const uint8_t* block, __m256* scales, __m256& least) {
    Blocks<Code::q4_k>::scale_vectors(block, scales, least);
  }
#endif
};
// Low four and high two bits are apart; a signed 8-bit scale for every 16 codes.
template <> struct Blocks<Code::q6_k> : Format<256, 210, 6, 32, false, 16> {
  TUNESMITH_INLINE Bytes32 codes(const uint8_t* block, int group) {
    const int part = group >> 2, quarter = group & 3;
    const Bytes32 both = load_bytes<Bytes32>(block + 64 * part + 32 * (quarter & 1));
    const Bytes32 high = load_bytes<Bytes32>(block + 128 + 32 * part) >> uint8_t(2 * quarter);
    return (quarter < 2 ? both & 15 : both >> 4) | ((high & 3) << 4);
  }
  TUNESMITH_INLINE void scales(const uint8_t* block, Scales& s) {
    const float scale = half_value(block + 208);
    const int8_t* factor = (const int8_t*)block + 192;
    for (int i = 0; i < 16; i++) s.scale[i] = scale * float(factor[i]);
  }
#if defined(__AVX2__)
  TUNESMITH_INLINE void scale_vectors(const uint8_t* block, __m256* scales, __m256&) {
    const __m256 scale = _mm256_set1_ps(half_value(block + 208));
    for (int i = 0; i < 2; i++) {
      const __m128i eight = _mm_loadl_epi64((const __m128i*)(block + 192 + 8 * i));
      scales[i] = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight)));
    }
  }
#endif
};

// Calls `body` with the format of a code as a type.
template <class Body> TUNESMITH_INLINE void with_format(Code code, const Body& body) {
  switch (code) {
    case Code::q4_0: return body(Blocks<Code::q4_0>{});
    case Code::q4_1: return body(Blocks<Code::q4_1>{});
    case Code::q5_0: return body(Blocks<Code::q5_0>{});
    case Code::q5_1: return body(Blocks<Code::q5_1>{});
    case Code::q8_0: return body(Blocks<Code::q8_0>{});
    case Code::q4_k: return body(Blocks<Code::q4_k>{});
    case Code::q5_k: return body(Blocks<Code::q5_k>{});
    case Code::q6_k: return body(Blocks<Code::q6_k>{});
    default: return;
  }
}

// Dequantises columns of one row. Every product is exact in fp32, so there is one rounding at most, as in ggml.
template <class F>
TUNESMITH_INLINE void unpack_blocks(F, const uint8_t* row, int64_t column, int64_t columns, float* out) {
  Scales s = {};
  int64_t known = -1;
  for (int64_t group = column / group_size, done = 0; done < columns; group++) {
    const uint8_t* block = row + group / F::groups * F::bytes;
    const int in_block = int(group % F::groups);
    if (group / F::groups != known) {
      F::scales(block, s);
      known = group / F::groups;
    }
    uint8_t codes[group_size];
    const Bytes32 bytes = F::codes(block, in_block);
    __builtin_memcpy(codes, &bytes, group_size);
    float values[group_size];
    for (int half = 0; half < F::halves; half++) {
      const float scale = s.scale[in_block * F::halves + half], least = F::least ? s.least[in_block] : 0;
      for (int i = half * group_size / F::halves; i < (half + 1) * group_size / F::halves; i++) {
        const float value = scale * float(int(codes[i]) - F::zero);
        values[i] = F::least ? value + least : value;
      }
    }
    const int64_t skip = column + done - group * group_size, left = group_size - skip;
    const int64_t count = left < columns - done ? left : columns - done;
    __builtin_memcpy(out + done, values + skip, size_t(count) * sizeof(float));
    done += count;
  }
}

}  // namespace tunesmith::TUNESMITH_ISA

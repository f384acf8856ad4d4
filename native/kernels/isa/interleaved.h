// Matrices of blocks in the layout of their products: for 16 rows, one after another, the words of their codes lie side
// by side, and so do their scales. A vector then takes a word of as many rows as it has lanes, and nothing is moved
// while it is multiplied. Codes and scales are those of the blocks, so are the sums and their order.
#pragma once
#include "block-formats.h"

namespace tunesmith::TUNESMITH_ISA {

inline constexpr int side_rows = 16;

// Where the words of codes are in a block, and which bytes of scales a row has in the layout.
struct CodeBytes {
  int from, count, scale_bytes;
};

// Sixteen float16 numbers, those of the rows from `part * lanes` on.
TUNESMITH_INLINE Register half_lanes(const uint8_t* p, int part) {
  p += part * lanes * 2;
#if defined(__AVX512F__)
  return as<Register>(_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)));
#elif defined(__AVX2__) && !defined(TUNESMITH_EMULATE_AVX512BF16)
  return as<Register>(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)));
#elif defined(__aarch64__)
  return as<Register>(vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))));
#else
  Register out;
  for (int i = 0; i < lanes; i++) out[i] = half_value(p + 2 * i);
  return out;
#endif
}

// Sixteen bytes as numbers, those of the rows from `part * lanes` on.
template <class Byte> TUNESMITH_INLINE Register byte_lanes(const uint8_t* p, int part) {
  p += part * lanes;
  constexpr bool with_sign = Byte(-1) < Byte(0);
#if defined(__AVX512F__)
  const __m128i bytes = _mm_loadu_si128((const __m128i*)p);
  return as<Register>(_mm512_cvtepi32_ps(with_sign ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes)));
#elif defined(__AVX2__) && !defined(TUNESMITH_EMULATE_AVX512BF16)
  const __m128i bytes = _mm_loadl_epi64((const __m128i*)p);
  return as<Register>(_mm256_cvtepi32_ps(with_sign ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes)));
#else
  Register out;
  for (int i = 0; i < lanes; i++) out[i] = float(with_sign ? int(int8_t(p[i])) : int(p[i]));
  return out;
#endif
}

// Word `number` of the codes of the rows from `part * lanes` on.
TUNESMITH_INLINE Words side_words(const uint8_t* codes, int number, int part) {
  return load_bytes<Words>(codes + (number * side_rows + part * lanes) * 4);
}

// Bits `at` of the bytes of words become the fifth bits of four codes.
TUNESMITH_INLINE Words fifth_words(Words bits, int at) {
  return (at < 4 ? bits << (4 - at) : bits >> (at - 4)) & 0x10101010u;
}

// For each format: its bytes in a block, four codes of a group, and its scales and minima.
template <Code code> struct Sides;

// Codes 4t to 4t + 3 are the low or high halves of a word, and bits t of the bytes of the word before these.
template <bool with_fifth> struct NibbleSides {
  static constexpr int first = with_fifth ? 1 : 0;
  TUNESMITH_INLINE Words word(const uint8_t* codes, int, int t, int part) {
    const Words both = side_words(codes, first + (t & 3), part);
    const Words own = (t < 4 ? both : both >> 4) & 0x0f0f0f0fu;
    return with_fifth ? own | fifth_words(side_words(codes, 0, part), t) : own;
  }
  // Fifth bits are stored as those of 32 codes in turn.
  TUNESMITH_INLINE uint32_t stored(uint32_t word, int number) {
    if (!with_fifth || number > 0) return word;
    uint32_t out = 0;
    for (int i = 0; i < group_size; i++) out |= (word >> i & 1) << (8 * (i & 3) + (i >> 2));
    return out;
  }
};

template <class F> struct HalfScales {
  TUNESMITH_INLINE void scales(const uint8_t* s, int, int part, Register* scale, Register& least) {
    *scale = half_lanes(s, part);
    if (F::least) least = half_lanes(s + 2 * side_rows, part);
  }
  // The scales of row `row` of the layout.
  TUNESMITH_INLINE void store_scales(const uint8_t* block, int row, uint8_t* s) {
    for (int i = 0; i < (F::least ? 2 : 1); i++) __builtin_memcpy(s + (i * side_rows + row) * 2, block + 2 * i, 2);
  }
};

template <> struct Sides<Code::q4_0> : NibbleSides<false>, HalfScales<Blocks<Code::q4_0>> {
  static constexpr CodeBytes bytes = {2, 16, 2};
};
template <> struct Sides<Code::q4_1> : NibbleSides<false>, HalfScales<Blocks<Code::q4_1>> {
  static constexpr CodeBytes bytes = {4, 16, 4};
};
template <> struct Sides<Code::q5_0> : NibbleSides<true>, HalfScales<Blocks<Code::q5_0>> {
  static constexpr CodeBytes bytes = {2, 20, 2};
};
template <> struct Sides<Code::q5_1> : NibbleSides<true>, HalfScales<Blocks<Code::q5_1>> {
  static constexpr CodeBytes bytes = {4, 20, 4};
};
template <> struct Sides<Code::q8_0> : HalfScales<Blocks<Code::q8_0>> {
  static constexpr CodeBytes bytes = {2, 32, 2};
  TUNESMITH_INLINE Words word(const uint8_t* codes, int, int t, int part) { return side_words(codes, t, part); }
  // Codes are unsigned here.
  TUNESMITH_INLINE uint32_t stored(uint32_t word, int) { return word ^ 0x80808080u; }
};

// Scales and minima of 6 bits have a byte each.
struct SixBitSides {
  TUNESMITH_INLINE uint32_t stored(uint32_t word, int) { return word; }
  TUNESMITH_INLINE void scales(const uint8_t* s, int group, int part, Register* scale, Register& least) {
    const uint8_t* six = s + 4 * side_rows + group * side_rows;
    *scale = half_lanes(s, part) * byte_lanes<uint8_t>(six, part);
    least = -(half_lanes(s + 2 * side_rows, part) * byte_lanes<uint8_t>(six + 8 * side_rows, part));
  }
  TUNESMITH_INLINE void store_scales(const uint8_t* block, int row, uint8_t* s) {
    HalfScales<Blocks<Code::q4_1>>::store_scales(block, row, s);
    const SixBits six = six_bits(block + 4);
    for (int i = 0; i < 8; i++) {
      s[(4 + i) * side_rows + row] = uint8_t(six.scale[i >> 2] >> (8 * (i & 3)));
      s[(12 + i) * side_rows + row] = uint8_t(six.least[i >> 2] >> (8 * (i & 3)));
    }
  }
};
template <> struct Sides<Code::q4_k> : SixBitSides {
  static constexpr CodeBytes bytes = {16, 128, 20};
  TUNESMITH_INLINE Words word(const uint8_t* codes, int group, int t, int part) {
    const Words both = side_words(codes, 8 * (group >> 1) + t, part);
    return (group & 1 ? both >> 4 : both) & 0x0f0f0f0fu;
  }
};
template <> struct Sides<Code::q5_k> : SixBitSides {
  static constexpr CodeBytes bytes = {16, 160, 20};
  TUNESMITH_INLINE Words word(const uint8_t* codes, int group, int t, int part) {
    const Words four = Sides<Code::q4_k>::word(codes + 32 * side_rows, group, t, part);
    return four | fifth_words(side_words(codes, t, part), group);
  }
};
template <> struct Sides<Code::q6_k> {
  static constexpr CodeBytes bytes = {0, 192, 18};
  TUNESMITH_INLINE Words word(const uint8_t* codes, int group, int t, int part) {
    const int half = group >> 2, quarter = group & 3;
    const Words both = side_words(codes, 16 * half + 8 * (quarter & 1) + t, part);
    const Words high = side_words(codes, 32 + 8 * half + t, part);
    const Words low = (quarter < 2 ? both : both >> 4) & 0x0f0f0f0fu;
    return low | ((quarter < 2 ? high << (4 - 2 * quarter) : high >> (2 * quarter - 4)) & 0x30303030u);
  }
  TUNESMITH_INLINE uint32_t stored(uint32_t word, int) { return word; }
  TUNESMITH_INLINE void scales(const uint8_t* s, int group, int part, Register* scale, Register&) {
    for (int i = 0; i < 2; i++)
      scale[i] = half_lanes(s, part) * byte_lanes<int8_t>(s + (2 + 2 * group + i) * side_rows, part);
  }
  TUNESMITH_INLINE void store_scales(const uint8_t* block, int row, uint8_t* s) {
    __builtin_memcpy(s + 2 * row, block + 208, 2);
    for (int i = 0; i < 16; i++) s[(2 + i) * side_rows + row] = block[192 + i];
  }
};

template <Code code> TUNESMITH_INLINE Sides<code> sides_of(Blocks<code>) { return {}; }
template <class F> using SidesOf = decltype(sides_of(F{}));

// Sixteen rows: the codes of their blocks, then the scales of these. Whole cache lines.
template <class F> TUNESMITH_INLINE int64_t side_bytes(int64_t blocks) {
  constexpr CodeBytes bytes = SidesOf<F>::bytes;
  return (blocks * side_rows * (bytes.count + bytes.scale_bytes) + 63) / 64 * 64;
}
template <class F> TUNESMITH_INLINE int64_t side_scales_at(int64_t blocks) {
  return blocks * side_rows * SidesOf<F>::bytes.count;
}

// Sixteen rows of int8_rows: their codes, then their scales, then the sums of their codes.
TUNESMITH_INLINE int64_t int8_side_bytes(int64_t depth) { return side_rows * (depth + 8); }

static void interleave_int8(const PackedMatrix& m, int64_t rows, int64_t first, int64_t last, uint8_t* out) {
  const int64_t bytes = int8_side_bytes(m.columns);
  for (int64_t unit = first; unit < last; unit++) {
    uint8_t *codes = out + (unit - first) * bytes, *scales = codes + side_rows * m.columns;
    for (int i = 0; i < side_rows; i++) {
      const int64_t wanted = unit * side_rows + i, row = wanted < rows ? wanted : rows - 1;
      const uint8_t* from = (const uint8_t*)m.codes + (m.order == nullptr ? row : m.order[row]) * m.row_bytes;
      int32_t sum = 0;
      for (int64_t k = 0; k < m.columns; k++) sum += (int8_t)from[k];
      for (int64_t word = 0; word < m.columns / 4; word++) {
        uint32_t value;
        __builtin_memcpy(&value, from + 4 * word, 4);
        // Codes are unsigned here.
        value ^= 0x80808080u;
        __builtin_memcpy(codes + (word * side_rows + i) * 4, &value, 4);
      }
      __builtin_memcpy(scales + 4 * i, from + m.columns, 4);
      __builtin_memcpy(scales + 4 * (side_rows + i), &sum, 4);
    }
  }
}

// The bytes of sixteen rows of `depth` columns in the layout.
static int64_t interleaved_bytes(Code code, int64_t depth) {
  if (code == Code::int8_rows) return int8_side_bytes(depth);
  int64_t bytes = 0;
  with_format(code, [&](auto format) {
    using F = decltype(format);
    bytes = side_bytes<F>(depth / (F::groups * group_size));
  });
  return bytes;
}

// Lays out sixteens `first` to `last` of the rows in `out`; beyond the last row, the last one stands again.
static void interleave(const PackedMatrix& m, int64_t rows, int64_t first, int64_t last, uint8_t* out) {
  if (m.code == Code::int8_rows) return interleave_int8(m, rows, first, last, out);
  with_format(m.code, [&](auto format) {
    using F = decltype(format);
    using S = SidesOf<F>;
    const int64_t blocks = m.columns / (F::groups * group_size), bytes = side_bytes<F>(blocks);
    for (int64_t unit = first; unit < last; unit++) {
      uint8_t *codes = out + (unit - first) * bytes, *scales = codes + side_scales_at<F>(blocks);
      for (int i = 0; i < side_rows; i++) {
        const int64_t wanted = unit * side_rows + i, row = wanted < rows ? wanted : rows - 1;
        const uint8_t* from = (const uint8_t*)m.codes + (m.order == nullptr ? row : m.order[row]) * m.row_bytes;
        for (int64_t block = 0; block < blocks; block++, from += F::bytes) {
          uint8_t* to = codes + block * side_rows * S::bytes.count;
          for (int word = 0; word < S::bytes.count / 4; word++) {
            uint32_t value;
            __builtin_memcpy(&value, from + S::bytes.from + 4 * word, 4);
            value = S::stored(value, word);
            __builtin_memcpy(to + (word * side_rows + i) * 4, &value, 4);
          }
          S::store_scales(from, i, scales + block * side_rows * S::bytes.scale_bytes);
        }
      }
    }
  });
}

}  // namespace tunesmith::TUNESMITH_ISA

// Products with matrices in the block formats of GGUF files. Rows of the input are quantised to int8 in groups of 32;
// the codes of as many weight rows as a vector has lanes are laid out side by side, four columns of a row in each lane,
// so that one integer dot product multiplies a piece of all of them. Sums of integers are exact, and the floats are
// added group by group: a result depends neither on the number of rows nor on where a thread begins.
#pragma once
#include "../table.h"
#include "block-formats.h"
#include "byte-dots.h"
#include "quantize-rows.h"
#include "vector.h"

namespace tunesmith::TUNESMITH_ISA {

inline constexpr int steps = group_size / 4;  // words of a group in a lane
inline constexpr int chunk_groups = 32;       // groups of weight rows that are laid out at a time
// Rows of the input at a time. With 32 registers eight sums hide how long an integer dot product takes.
#if defined(__aarch64__)
inline constexpr int block_tile = 8;
#else
inline constexpr int block_tile = lanes == 16 ? 8 : 4;
#endif

// A number as a type.
template <int number> struct Count {
  static constexpr int value = number;
};

// Codes, scales and offsets of `lanes` weight rows, lane by lane.
struct BlockTile {
  alignas(64) uint32_t codes[chunk_groups * steps * lanes];
  alignas(64) float scales[chunk_groups * 2 * lanes];
  alignas(64) float offsets[chunk_groups * 2 * lanes];
};

// Lays out 32 codes of eight rows: word s of row i goes to out[s * lanes + i].
TUNESMITH_INLINE void turn_words(const Bytes32* rows, uint32_t* out) {
#if defined(__AVX2__)
  __m256i a[8], b[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    const __m256i first = as<__m256i>(rows[i]), second = as<__m256i>(rows[i + 1]);
    a[i] = _mm256_unpacklo_epi32(first, second);
    a[i + 1] = _mm256_unpackhi_epi32(first, second);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
    b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
    b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
    b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
  }
#pragma GCC unroll 4
  for (int s = 0; s < 4; s++) {
    _mm256_store_si256((__m256i*)(out + s * lanes), _mm256_permute2x128_si256(b[s], b[s + 4], 0x20));
    _mm256_store_si256((__m256i*)(out + (s + 4) * lanes), _mm256_permute2x128_si256(b[s], b[s + 4], 0x31));
  }
#elif defined(__aarch64__)
#pragma GCC unroll 2
  for (int half = 0; half < 2; half++) {
    uint32x4_t a[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) a[i] = vld1q_u32((const uint32_t*)&rows[i] + 4 * half);
    const uint32x4_t even = vtrn1q_u32(a[0], a[1]), odd = vtrn2q_u32(a[0], a[1]);
    const uint32x4_t even2 = vtrn1q_u32(a[2], a[3]), odd2 = vtrn2q_u32(a[2], a[3]);
    const auto low = [](uint32x4_t x, uint32x4_t y) { return vcombine_u32(vget_low_u32(x), vget_low_u32(y)); };
    const auto high = [](uint32x4_t x, uint32x4_t y) { return vcombine_u32(vget_high_u32(x), vget_high_u32(y)); };
    uint32_t* to = out + 4 * half * lanes;
    vst1q_u32(to, low(even, even2));
    vst1q_u32(to + lanes, low(odd, odd2));
    vst1q_u32(to + 2 * lanes, high(even, even2));
    vst1q_u32(to + 3 * lanes, high(odd, odd2));
  }
#else
  constexpr int count = lanes < 8 ? lanes : 8;
  for (int i = 0; i < count; i++) {
    uint32_t words[steps];
    __builtin_memcpy(words, &rows[i], sizeof(words));
    for (int s = 0; s < steps; s++) out[s * lanes + i] = words[s];
  }
#endif
}

// Signed codes where products of bytes are added in pairs or are of signed bytes, and unsigned ones elsewhere.
template <class F>
inline constexpr bool signed_codes =
#if defined(TUNESMITH_SIGNED_CODES)
    F::bits == 8;
#else
    false;
#endif
template <class F> inline constexpr bool has_offset = F::least || (F::zero != 0 && !signed_codes<F>);

#if defined(__AVX2__)
// The two float16 numbers at the beginning of a block of each of eight rows. A block has 16 bytes and more.
TUNESMITH_INLINE void half_values(const uint8_t* const* rows, int64_t at, __m256& first, __m256& second) {
  __m128i twos[4], fours[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++)
    twos[i] = _mm_unpacklo_epi16(_mm_loadu_si128((const __m128i*)(rows[2 * i] + at)),
                                 _mm_loadu_si128((const __m128i*)(rows[2 * i + 1] + at)));
  fours[0] = _mm_unpacklo_epi32(twos[0], twos[1]);
  fours[1] = _mm_unpacklo_epi32(twos[2], twos[3]);
  first = _mm256_cvtph_ps(_mm_unpacklo_epi64(fours[0], fours[1]));
  second = _mm256_cvtph_ps(_mm_unpackhi_epi64(fours[0], fours[1]));
}

// Eight rows of eight floats, column by column.
TUNESMITH_INLINE void turn_floats(const __m256* rows, int64_t stride, float* out) {
  __m256 a[8], b[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    a[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    a[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
    b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
    b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
    b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    _mm256_storeu_ps(out + i * stride, _mm256_permute2f128_ps(b[i], b[i + 4], 0x20));
    _mm256_storeu_ps(out + (i + 4) * stride, _mm256_permute2f128_ps(b[i], b[i + 4], 0x31));
  }
}
#endif

// Scales and offsets of the groups of one block of `part` rows, `stride` floats from group to group.
template <class F, int part>
TUNESMITH_INLINE void fill_scales(F, const uint8_t* const* rows, int64_t at, int64_t stride, float* scales,
                                  float* offsets) {
#if defined(__AVX2__)
  if constexpr (F::groups == 1 && part == 8) {
    __m256 scale, least;
    half_values(rows, at, scale, least);
    _mm256_storeu_ps(scales, scale);
    if constexpr (F::least)
      _mm256_storeu_ps(offsets, least);
    else if constexpr (has_offset<F>)
      _mm256_storeu_ps(offsets, _mm256_mul_ps(scale, _mm256_set1_ps(-float(F::zero))));
    return;
  }
  if constexpr (F::groups == 8 && part == 8) {
    __m256 own[F::halves][8], leasts[8];
#pragma GCC unroll 8
    for (int row = 0; row < 8; row++) {
      __m256 scale[F::halves];
      F::scale_vectors(rows[row] + at, scale, leasts[row]);
      for (int i = 0; i < F::halves; i++) own[i][row] = scale[i];
    }
    for (int i = 0; i < F::halves; i++) turn_floats(own[i], stride, scales + i * 8 * stride);
    if constexpr (F::least) {
      turn_floats(leasts, stride, offsets);
    } else if constexpr (has_offset<F>) {
      for (int i = 0; i < 8 * F::halves; i++) {
        const __m256 scale = _mm256_loadu_ps(scales + i * stride);
        _mm256_storeu_ps(offsets + i * stride, _mm256_mul_ps(scale, _mm256_set1_ps(-float(F::zero))));
      }
    }
    return;
  }
#endif
  for (int row = 0; row < part; row++) {
    Scales s;
    F::scales(rows[row] + at, s);
    for (int i = 0; i < F::groups * F::halves; i++) {
      scales[i * stride + row] = s.scale[i];
      if constexpr (has_offset<F>) offsets[i * stride + row] = F::least ? s.least[i] : -float(F::zero) * s.scale[i];
    }
  }
}

// Fetches what the next tile of `part` rows will read of a block.
template <class F, int part> TUNESMITH_INLINE void fetch(const uint8_t* from, int64_t block) {
  constexpr int64_t bytes = F::bytes * part;
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + block * bytes + i, 0, 2);
}

template <class F>
TUNESMITH_INLINE void fill_tile(F format, const uint8_t* const* rows, int64_t ahead, int64_t first, int64_t count,
                                BlockTile& tile) {
  constexpr int part = lanes < 8 ? lanes : 8;
  for (int64_t g = first; g < first + count; g++) {
    const int64_t at = g / F::groups * F::bytes;
    uint32_t* out = tile.codes + (g - first) * steps * lanes;
#pragma GCC unroll 2
    for (int row = 0; row < lanes; row += part) {
      Bytes32 codes[part];
#pragma GCC unroll 8
      for (int i = 0; i < part; i++) {
        codes[i] = F::codes(rows[row + i] + at, int(g % F::groups));
        if constexpr (signed_codes<F>) codes[i] ^= uint8_t(F::zero);
      }
      turn_words(codes, out + row);
    }
  }
  for (int64_t g = first; g < first + count; g += F::groups) {
    const int64_t block = g / F::groups, number = (g - first) * F::halves * lanes;
    if (ahead > 0) fetch<F, lanes>(rows[0] + ahead, block);
#pragma GCC unroll 2
    for (int row = 0; row < lanes; row += part)
      fill_scales<F, part>(format, rows + row, block * F::bytes, lanes, tile.scales + number + row,
                           tile.offsets + number + row);
  }
}

// Four columns of every lane: codes times the same four bytes of the input, added to int32.
TUNESMITH_INLINE Ints dot_words(Ints sum, Words codes, uint32_t x) {
#if defined(TUNESMITH_VNNI)
  return as<Ints>(dot_bytes(as<Bits>(sum), as<Bits>(codes), as<Bits>(splat_word(x))));
#elif defined(TUNESMITH_DOT_PRODUCTS)
  return as<Ints>(vdotq_s32(as<int32x4_t>(sum), as<int8x16_t>(codes), vreinterpretq_s8_u32(vdupq_n_u32(x))));
#else
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) sum += as<Ints>((codes >> (8 * i)) & 255u) * int32_t(int8_t(x >> (8 * i)));
  return sum;
#endif
}

#if defined(TUNESMITH_BYTE_PAIRS)
typedef int16_t Shorts __attribute__((vector_size(lanes * 4)));

// The same, where pairs of products become int16.
template <bool with_signs> TUNESMITH_INLINE Shorts pair_words(Words codes, Words sizes, uint32_t x) {
#if defined(__AVX512F__)
  const __m512i values = _mm512_set1_epi32(int(x));
  if constexpr (!with_signs) return as<Shorts>(_mm512_maddubs_epi16(as<__m512i>(codes), values));
  const __mmask64 below = _mm512_movepi8_mask(as<__m512i>(codes));
  const __m512i turned = _mm512_mask_sub_epi8(values, below, _mm512_setzero_si512(), values);
  return as<Shorts>(_mm512_maddubs_epi16(as<__m512i>(sizes), turned));
#else
  const __m256i values = _mm256_set1_epi32(int(x));
  if constexpr (!with_signs) return as<Shorts>(_mm256_maddubs_epi16(as<__m256i>(codes), values));
  return as<Shorts>(_mm256_maddubs_epi16(as<__m256i>(sizes), _mm256_sign_epi8(values, as<__m256i>(codes))));
#endif
}
TUNESMITH_INLINE Words sizes_of(Words codes) {
#if defined(__AVX512F__)
  return as<Words>(_mm512_abs_epi8(as<__m512i>(codes)));
#else
  return as<Words>(_mm256_abs_epi8(as<__m256i>(codes)));
#endif
}
TUNESMITH_INLINE Ints add_pairs(Shorts x) {
#if defined(__AVX512F__)
  return as<Ints>(_mm512_madd_epi16(as<__m512i>(x), _mm512_set1_epi16(1)));
#else
  return as<Ints>(_mm256_madd_epi16(as<__m256i>(x), _mm256_set1_epi16(1)));
#endif
}
#endif

TUNESMITH_INLINE Words load_words(const uint32_t* p) {
  Words x;
  __builtin_memcpy(&x, p, sizeof(x));
  return x;
}
TUNESMITH_INLINE uint32_t word_at(const int8_t* p) {
  uint32_t x;
  __builtin_memcpy(&x, p, 4);
  return x;
}

#if defined(TUNESMITH_BYTE_MATRICES)
// Sums of R rows of the input: an instruction multiplies two rows with two columns, eight bytes of each.
template <int R> struct RowPairs {
  // Of rows 2i and 2i + 1: the first two columns, and the last two.
  int32x4_t low[(R + 1) / 2], high[(R + 1) / 2];

  // Four codes of every lane and the next four, times the bytes from `at` on.
  __attribute__((always_inline)) void add(Words first, Words second, const int8_t* const* x, int64_t at) {
    const int8x16_t left = as<int8x16_t>(vzip1q_u32(as<uint32x4_t>(first), as<uint32x4_t>(second)));
    const int8x16_t right = as<int8x16_t>(vzip2q_u32(as<uint32x4_t>(first), as<uint32x4_t>(second)));
#pragma GCC unroll 4
    for (int i = 0; i < (R + 1) / 2; i++) {
      // The last row of an odd number stands twice.
      const int8_t* other = x[2 * i + 1 < R ? 2 * i + 1 : R - 1];
      const int8x16_t rows = vcombine_s8(vld1_s8(x[2 * i] + at), vld1_s8(other + at));
      low[i] = vmmlaq_s32(low[i], rows, left);
      high[i] = vmmlaq_s32(high[i], rows, right);
    }
  }

  __attribute__((always_inline)) void finish(Ints* sums) const {
#pragma GCC unroll 4
    for (int i = 0; i < (R + 1) / 2; i++) {
      const int64x2_t a = vreinterpretq_s64_s32(low[i]), b = vreinterpretq_s64_s32(high[i]);
      sums[2 * i] = as<Ints>(vzip1q_s64(a, b));
      if (2 * i + 1 < R) sums[2 * i + 1] = as<Ints>(vzip2q_s64(a, b));
    }
  }
};
#endif

// The integer sums of some steps of a group, for R rows of the input. `word_of(step)` has four codes of every lane.
template <class F, int R, class WordOf>
TUNESMITH_INLINE void group_sums(const WordOf& word_of, const int8_t* const* x, int64_t at, int first, Ints* sums) {
  constexpr int count = steps / F::halves;
#if defined(TUNESMITH_BYTE_PAIRS)
  // So many steps fit into int16: 2 * 127 * (2^bits - 1) each.
  constexpr int safe = F::bits == 4 ? 8 : F::bits == 5 ? 4 : F::bits == 6 ? 2 : 1;
  constexpr int run = safe < count ? safe : count;
#pragma GCC unroll 8
  for (int s = first; s < first + count; s += run) {
    Shorts part[R] = {};
#pragma GCC unroll 8
    for (int t = s; t < s + run; t++) {
      const Words word = word_of(t);
      const Words sizes = signed_codes<F> ? sizes_of(word) : word;
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        const Shorts product = pair_words<signed_codes<F>>(word, sizes, word_at(x[r] + at + 4 * t));
        part[r] = t == s ? product : part[r] + product;
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) sums[r] = s == first ? add_pairs(part[r]) : sums[r] + add_pairs(part[r]);
  }
#else
#if defined(TUNESMITH_BYTE_MATRICES)
  if constexpr (R > 1) {
    RowPairs<R> pairs{};
#pragma GCC unroll 4
    for (int t = first; t < first + count; t += 2) pairs.add(word_of(t), word_of(t + 1), x, at + 4 * t);
    return pairs.finish(sums);
  }
#endif
#pragma GCC unroll 8
  for (int t = first; t < first + count; t++) {
    const Words word = word_of(t);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) sums[r] = dot_words(t == first ? Ints{} : sums[r], word, word_at(x[r] + at + 4 * t));
  }
#endif
}

// R rows of the input times a tile; `sums` [R][lanes] holds what earlier groups gave.
template <class F, int R>
static void multiply_tile(const BlockTile& tile, const BlockProduct& job, int64_t row, int64_t first, int64_t count,
                          float* sums) {
  const int64_t groups = job.depth / group_size, row_bytes = quantized_row_bytes(job.depth);
  const int8_t* codes[R];
  const float *scales[R], *offsets[R];
  Register total[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
    codes[r] = (const int8_t*)job.x + (row + r) * row_bytes;
    scales[r] = (const float*)(codes[r] + job.depth);
    offsets[r] = scales[r] + groups * F::halves;
    total[r] = first == 0 ? Register{} : load(sums + r * lanes);
  }
  for (int64_t g = 0; g < count; g++) {
#pragma GCC unroll 2
    for (int half = 0; half < F::halves; half++) {
      Ints dots[R];
      const uint32_t* own = tile.codes + g * steps * lanes;
      group_sums<F, R>([&](int t) { return load_words(own + t * lanes); }, codes, (first + g) * group_size,
                       half * steps / F::halves, dots);
      const int64_t number = g * F::halves + half;
      const Register scale = load(tile.scales + number * lanes);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++)
        total[r] = fused(__builtin_convertvector(dots[r], Register), scale * splat(scales[r][first + g]), total[r]);
      if constexpr (has_offset<F>) {
        const Register offset = load(tile.offsets + number * lanes);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) total[r] = fused(offset, splat(offsets[r][first * F::halves + number]), total[r]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) store(sums + r * lanes, total[r]);
}

#if defined(__AVX2__) && !defined(TUNESMITH_EMULATE_AVX512BF16)
// Whether sums of four products of pairs, each at most 2 * 127 * (2^bits - 1), are int16.
template <class F>
inline constexpr bool short_sums =
#if defined(TUNESMITH_VNNI)
    false;
#else
    F::bits <= 5;
#endif

// Pairs of int16 become int32.
TUNESMITH_INLINE __m256i joined_pairs(__m256i x) { return _mm256_madd_epi16(x, _mm256_set1_epi16(1)); }

// Four registers with int16 or int32: lane i of each half of the result is the sum of that half of register i.
template <bool shorts> TUNESMITH_INLINE __m256i turn_four(const __m256i* x) {
  const auto add = [](__m256i a, __m256i b) { return shorts ? _mm256_add_epi16(a, b) : _mm256_add_epi32(a, b); };
  __m256i pairs[2];
#pragma GCC unroll 2
  for (int i = 0; i < 2; i++)
    pairs[i] = add(_mm256_unpacklo_epi32(x[2 * i], x[2 * i + 1]), _mm256_unpackhi_epi32(x[2 * i], x[2 * i + 1]));
  const __m256i sums = add(_mm256_unpacklo_epi64(pairs[0], pairs[1]), _mm256_unpackhi_epi64(pairs[0], pairs[1]));
  return shorts ? joined_pairs(sums) : sums;
}

// The same for eight: their sums in the lower halves, and in the upper ones.
template <bool shorts> TUNESMITH_INLINE void turn_eight(const __m256i* x, __m256i& first, __m256i& second) {
  const __m256i low = turn_four<shorts>(x), high = turn_four<shorts>(x + 4);
  first = _mm256_permute2x128_si256(low, high, 0x20);
  second = _mm256_permute2x128_si256(low, high, 0x31);
}

// Products of 32 codes with 32 bytes of the input, added by twos or fours.
template <class F> TUNESMITH_INLINE __m256i dot_group(Bytes32 codes, __m256i x) {
#if defined(TUNESMITH_VNNI)
  return dot_bytes(_mm256_setzero_si256(), as<__m256i>(codes), x);
#else
  __m256i left = as<__m256i>(codes);
  if constexpr (signed_codes<F>) {
    left = as<__m256i>(codes ^ uint8_t(F::zero));
    x = _mm256_sign_epi8(x, left);
    left = _mm256_abs_epi8(left);
  }
  const __m256i products = _mm256_maddubs_epi16(left, x);
  return short_sums<F> ? products : joined_pairs(products);
#endif
}

// The integer sums of a group of eight rows that store codes in twos. A register has codes of two rows, so that none of
// them moves to its other half.
template <class F> TUNESMITH_INLINE __m256i dot_pairs(const uint8_t* const* rows, int64_t at, const int8_t* x) {
  const __m256i low_x = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)x));
  const __m256i high_x = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)(x + group_size / 2)));
  // Four sums of two products of pairs each are int16 with codes of four bits.
  constexpr bool shorts = short_sums<F> && F::bits == 4;
  __m256i sums[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const uint8_t *a = rows[i] + at, *b = rows[i + 4] + at;
    __m256i low, high;
    nibble_pairs(a + F::nibbles_at, b + F::nibbles_at, low, high);
    if constexpr (F::fifth_at >= 0) {
      __m256i low_fifth, high_fifth;
      fifth_pairs(a + F::fifth_at, b + F::fifth_at, low_fifth, high_fifth);
      low = _mm256_or_si256(low, low_fifth);
      high = _mm256_or_si256(high, high_fifth);
    }
#if defined(TUNESMITH_VNNI)
    sums[i] = dot_bytes(dot_bytes(_mm256_setzero_si256(), low, low_x), high, high_x);
#else
    sums[i] = _mm256_add_epi16(_mm256_maddubs_epi16(low, low_x), _mm256_maddubs_epi16(high, high_x));
    if constexpr (!shorts) sums[i] = joined_pairs(sums[i]);
#endif
  }
  return turn_four<shorts>(sums);
}

// One row of the input times eight weight rows, read in place. Every sum is added as in a tile.
template <class F>
static void multiply_one(F format, const BlockProduct& job, const uint8_t* const* rows, int64_t ahead, float* sums) {
  const int64_t groups = job.depth / group_size;
  const int8_t* codes = (const int8_t*)job.x;
  const float* input_scales = (const float*)(codes + job.depth);
  const float* input_sums = input_scales + groups * F::halves;
  __m256 total = _mm256_setzero_ps();
  for (int64_t block = 0; block < groups / F::groups; block++) {
    const int64_t at = block * F::bytes;
    float scales[F::groups * F::halves * 8], offsets[F::groups * F::halves * 8];
    fill_scales<F, 8>(format, rows, at, 8, scales, offsets);
    if (ahead > 0) fetch<F, 8>(rows[0] + ahead, block);
#pragma GCC unroll 8
    for (int i = 0; i < F::groups; i++) {
      const int64_t group = block * F::groups + i;
      __m256i dots[8], halves[2];
      if constexpr (F::nibbles_at >= 0) {
        halves[0] = dot_pairs<F>(rows, at, codes + group * group_size);
      } else {
        const __m256i x = _mm256_loadu_si256((const __m256i*)(codes + group * group_size));
#pragma GCC unroll 8
        for (int row = 0; row < 8; row++) dots[row] = dot_group<F>(F::codes(rows[row] + at, i), x);
        turn_eight<short_sums<F>>(dots, halves[0], halves[1]);
        if constexpr (F::halves == 1) halves[0] = _mm256_add_epi32(halves[0], halves[1]);
      }
      const __m256 scale = _mm256_set1_ps(input_scales[group]);
#pragma GCC unroll 2
      for (int half = 0; half < F::halves; half++) {
        const int number = i * F::halves + half;
        total = _mm256_fmadd_ps(_mm256_cvtepi32_ps(halves[half]),
                                _mm256_mul_ps(_mm256_loadu_ps(scales + number * 8), scale), total);
        if constexpr (has_offset<F>)
          total = _mm256_fmadd_ps(_mm256_loadu_ps(offsets + number * 8),
                                  _mm256_set1_ps(input_sums[group * F::halves + half]), total);
      }
    }
  }
  _mm256_storeu_ps(sums, total);
}
#define TUNESMITH_ONE_ROW
inline constexpr int rows_of_one = 8;
#elif defined(TUNESMITH_DOT_PRODUCTS)
// The sums of four vectors.
TUNESMITH_INLINE int32x4_t turn_sums(const int32x4_t* x) {
  return vpaddq_s32(vpaddq_s32(x[0], x[1]), vpaddq_s32(x[2], x[3]));
}

// One row of the input times four weight rows, read in place. Every sum is added as in a tile.
template <class F>
static void multiply_one(F format, const BlockProduct& job, const uint8_t* const* rows, int64_t ahead, float* sums) {
  const int64_t groups = job.depth / group_size;
  const int8_t* codes = (const int8_t*)job.x;
  const float* input_scales = (const float*)(codes + job.depth);
  const float* input_sums = input_scales + groups * F::halves;
  Register total = {};
  for (int64_t block = 0; block < groups / F::groups; block++) {
    const int64_t at = block * F::bytes;
    float scales[F::groups * F::halves * lanes], offsets[F::groups * F::halves * lanes];
    fill_scales<F, lanes>(format, rows, at, lanes, scales, offsets);
    if (ahead > 0) fetch<F, lanes>(rows[0] + ahead, block);
#pragma GCC unroll 8
    for (int i = 0; i < F::groups; i++) {
      const int64_t group = block * F::groups + i;
      const int8x16_t first_x = vld1q_s8(codes + group * group_size),
                      second_x = vld1q_s8(codes + group * group_size + 16);
      int32x4_t first[lanes], second[lanes];
#pragma GCC unroll 4
      for (int row = 0; row < lanes; row++) {
        Bytes32 own = F::codes(rows[row] + at, i);
        if constexpr (signed_codes<F>) own ^= uint8_t(F::zero);
        int8x16_t part[2];
        __builtin_memcpy(part, &own, sizeof(part));
        first[row] = vdotq_s32(vdupq_n_s32(0), part[0], first_x);
        second[row] = vdotq_s32(F::halves == 1 ? first[row] : vdupq_n_s32(0), part[1], second_x);
      }
      const Ints dots[] = {as<Ints>(turn_sums(F::halves == 1 ? second : first)), as<Ints>(turn_sums(second))};
      const Register scale = splat(input_scales[group]);
#pragma GCC unroll 2
      for (int half = 0; half < F::halves; half++) {
        const int number = i * F::halves + half;
        total = fused(__builtin_convertvector(dots[half], Register), load(scales + number * lanes) * scale, total);
        if constexpr (has_offset<F>)
          total = fused(load(offsets + number * lanes), splat(input_sums[group * F::halves + half]), total);
      }
    }
  }
  store(sums, total);
}
#define TUNESMITH_ONE_ROW
inline constexpr int rows_of_one = lanes;
#endif

}  // namespace tunesmith::TUNESMITH_ISA

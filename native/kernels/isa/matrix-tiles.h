// Products by matrix tiles (AMX): 16 rows of 16 units times 16 units of 16 columns, added to fp32. Written with the
// operators of single tiles, which the emulation replaces by loops.
#pragma once
#include "units.h"

#if defined(TUNESMITH_EMULATE_AVX512BF16)
#define TUNESMITH_TILES
#define TUNESMITH_TILE_CODE
#elif defined(__AVX512BF16__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#include <immintrin.h>
#define TUNESMITH_TILES
#define TUNESMITH_TILE_CODE __attribute__((target("amx-tile,amx-bf16"), noinline))
#endif

#if defined(TUNESMITH_TILES)
namespace tunesmith::TUNESMITH_ISA {

inline constexpr int64_t matrix_tile = 16;

// What a processor without tiles would not know is behind these: loads, stores and products of numbered tiles.
#if defined(TUNESMITH_EMULATE_AVX512BF16)
static void begin_tiles() {}
static void end_tiles() {}

struct Tiles {
  uint32_t words[8][16][16];
};
#define TUNESMITH_TILE_STATE Tiles tiles
#define TUNESMITH_TILE_ZERO(t) __builtin_memset(tiles.words[t], 0, sizeof(tiles.words[t]))
#define TUNESMITH_TILE_LOAD(t, from, stride)      \
  for (int64_t row = 0; row < matrix_tile; row++) \
  __builtin_memcpy(tiles.words[t][row], (const char*)(from) + row * (stride), 64)
#define TUNESMITH_TILE_STORE(t, to, stride)       \
  for (int64_t row = 0; row < matrix_tile; row++) \
  __builtin_memcpy((char*)(to) + row * (stride), tiles.words[t][row], 64)
#define TUNESMITH_TILE_MULTIPLY(c, a, b) emulate_tile(tiles.words[c], tiles.words[a], tiles.words[b])

TUNESMITH_INLINE float half_of(uint32_t word, bool high) {
  const uint32_t bits = high ? word & 0xffff0000u : word << 16;
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}
static void emulate_tile(uint32_t (*c)[16], const uint32_t (*a)[16], const uint32_t (*b)[16]) {
  for (int r = 0; r < 16; r++) {
    float sums[16];
    __builtin_memcpy(sums, c[r], 64);
    for (int k = 0; k < 16; k++)
      for (int n = 0; n < 16; n++)
        sums[n] += half_of(a[r][k], false) * half_of(b[k][n], false) + half_of(a[r][k], true) * half_of(b[k][n], true);
    __builtin_memcpy(c[r], sums, 64);
  }
}
#else
// All tiles are whole. A thread's configuration belongs to one call: other libraries have theirs.
TUNESMITH_TILE_CODE static void begin_tiles() {
  alignas(64) static constexpr struct {
    uint8_t palette = 1, start = 0, unused[14] = {};
    uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } whole;
  _tile_loadconfig(&whole);
}
TUNESMITH_TILE_CODE static void end_tiles() { _tile_release(); }

#define TUNESMITH_TILE_STATE static_assert(true)
#define TUNESMITH_TILE_ZERO(t) _tile_zero(t)
#define TUNESMITH_TILE_LOAD(t, from, stride) _tile_loadd(t, from, stride)
#define TUNESMITH_TILE_STORE(t, to, stride) _tile_stored(t, to, stride)
#define TUNESMITH_TILE_MULTIPLY(c, a, b) _tile_dpbf16ps(c, a, b)
#endif

// c[16, 16 * vectors] (+)= a * b over `depth` units, a multiple of 16. A row of a tile of `a` is `a_row` units after
// the one before, the next tile in depth is `a_step` units after.
template <int vectors>
TUNESMITH_TILE_CODE static void multiply_tiles_of(const TilePair* a, int64_t a_row, int64_t a_step, const TilePair* b,
                                                  int64_t b_row, int64_t depth, float* c, int64_t c_row, bool add) {
  // GCC's intrinsics do not say which memory they read.
  __asm__ volatile("" ::: "memory");
  TUNESMITH_TILE_STATE;
  const int64_t a_bytes = a_row * 4, b_bytes = b_row * 4, c_bytes = c_row * 4;
  if (add) {
    TUNESMITH_TILE_LOAD(0, c, c_bytes);
    if constexpr (vectors > 1) TUNESMITH_TILE_LOAD(1, c + matrix_tile, c_bytes);
    if constexpr (vectors > 2) TUNESMITH_TILE_LOAD(2, c + 2 * matrix_tile, c_bytes);
    if constexpr (vectors > 3) TUNESMITH_TILE_LOAD(3, c + 3 * matrix_tile, c_bytes);
  } else {
    TUNESMITH_TILE_ZERO(0);
    if constexpr (vectors > 1) TUNESMITH_TILE_ZERO(1);
    if constexpr (vectors > 2) TUNESMITH_TILE_ZERO(2);
    if constexpr (vectors > 3) TUNESMITH_TILE_ZERO(3);
  }
  for (int64_t k = 0; k < depth; k += matrix_tile) {
    TUNESMITH_TILE_LOAD(4, a, a_bytes);
    TUNESMITH_TILE_LOAD(5, b, b_bytes);
    TUNESMITH_TILE_MULTIPLY(0, 4, 5);
    if constexpr (vectors > 1) {
      TUNESMITH_TILE_LOAD(6, b + matrix_tile, b_bytes);
      TUNESMITH_TILE_MULTIPLY(1, 4, 6);
    }
    if constexpr (vectors > 2) {
      TUNESMITH_TILE_LOAD(7, b + 2 * matrix_tile, b_bytes);
      TUNESMITH_TILE_MULTIPLY(2, 4, 7);
    }
    if constexpr (vectors > 3) {
      TUNESMITH_TILE_LOAD(5, b + 3 * matrix_tile, b_bytes);
      TUNESMITH_TILE_MULTIPLY(3, 4, 5);
    }
    a += a_step;
    b += matrix_tile * b_row;
  }
  TUNESMITH_TILE_STORE(0, c, c_bytes);
  if constexpr (vectors > 1) TUNESMITH_TILE_STORE(1, c + matrix_tile, c_bytes);
  if constexpr (vectors > 2) TUNESMITH_TILE_STORE(2, c + 2 * matrix_tile, c_bytes);
  if constexpr (vectors > 3) TUNESMITH_TILE_STORE(3, c + 3 * matrix_tile, c_bytes);
  __asm__ volatile("" ::: "memory");
}

// The same for as many columns as hold `columns`, at most 64.
static void multiply_tiles(const TilePair* a, int64_t a_row, int64_t a_step, const TilePair* b, int64_t b_row,
                           int64_t depth, float* c, int64_t c_row, bool add, int64_t columns) {
  if (columns <= matrix_tile) return multiply_tiles_of<1>(a, a_row, a_step, b, b_row, depth, c, c_row, add);
  if (columns <= 2 * matrix_tile) return multiply_tiles_of<2>(a, a_row, a_step, b, b_row, depth, c, c_row, add);
  if (columns <= 3 * matrix_tile) return multiply_tiles_of<3>(a, a_row, a_step, b, b_row, depth, c, c_row, add);
  multiply_tiles_of<4>(a, a_row, a_step, b, b_row, depth, c, c_row, add);
}

// A tile whose rows are the columns of the source: target[i * step + k] = source[k * stride + i].
static void turn_tile(const TilePair* source, int64_t stride, TilePair* target, int64_t step = matrix_tile) {
#if defined(__AVX512F__)
  __m512i x[16], y[16];
#pragma GCC unroll 16
  for (int k = 0; k < 16; k++) x[k] = _mm512_loadu_si512(source + k * stride);
#pragma GCC unroll 8
  for (int k = 0; k < 16; k += 2) {
    y[k] = _mm512_unpacklo_epi32(x[k], x[k + 1]);
    y[k + 1] = _mm512_unpackhi_epi32(x[k], x[k + 1]);
  }
  // Of four rows: columns 0, 1, 2, 3 of each group of four.
#pragma GCC unroll 4
  for (int k = 0; k < 16; k += 4) {
    x[k] = _mm512_unpacklo_epi64(y[k], y[k + 2]);
    x[k + 1] = _mm512_unpackhi_epi64(y[k], y[k + 2]);
    x[k + 2] = _mm512_unpacklo_epi64(y[k + 1], y[k + 3]);
    x[k + 3] = _mm512_unpackhi_epi64(y[k + 1], y[k + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const __m512i low = _mm512_shuffle_i32x4(x[i], x[4 + i], 0x88), high = _mm512_shuffle_i32x4(x[i], x[4 + i], 0xdd);
    const __m512i low2 = _mm512_shuffle_i32x4(x[8 + i], x[12 + i], 0x88);
    const __m512i high2 = _mm512_shuffle_i32x4(x[8 + i], x[12 + i], 0xdd);
    _mm512_storeu_si512(target + i * step, _mm512_shuffle_i32x4(low, low2, 0x88));
    _mm512_storeu_si512(target + (4 + i) * step, _mm512_shuffle_i32x4(high, high2, 0x88));
    _mm512_storeu_si512(target + (8 + i) * step, _mm512_shuffle_i32x4(low, low2, 0xdd));
    _mm512_storeu_si512(target + (12 + i) * step, _mm512_shuffle_i32x4(high, high2, 0xdd));
  }
#else
  for (int64_t k = 0; k < matrix_tile; k++)
    for (int64_t i = 0; i < matrix_tile; i++) target[i * step + k] = source[k * stride + i];
#endif
}

// Integer products of 16 rows of signed bytes with 16 columns of unsigned ones, 32 of each: what a group of codes
// needs. `words` [count][8][16]: four codes of a column in a word. `sums` [count * halves][16][16], each of its part of
// the 32.
#if defined(TUNESMITH_EMULATE_AVX512BF16)
template <int halves> static void begin_byte_tiles() {}

template <int halves>
static void multiply_groups(const int8_t* x, int64_t row_bytes, const uint32_t* words, int64_t count, int32_t* sums) {
  constexpr int depth = 32 / halves;
  for (int64_t i = 0; i < count * halves; i++)
    for (int64_t r = 0; r < matrix_tile; r++)
      for (int64_t n = 0; n < matrix_tile; n++) {
        int32_t sum = 0;
        for (int64_t k = 0; k < depth; k++) {
          const uint32_t word = words[(i * depth + k) / 4 * matrix_tile + n];
          sum += int32_t(x[r * row_bytes + i * depth + k]) * int32_t(word >> (8 * (k & 3)) & 255);
        }
        sums[(i * matrix_tile + r) * matrix_tile + n] = sum;
      }
}
#else
// Tiles 0 to 3 are sums, 4 and 5 rows of bytes, 6 and 7 columns. A half of a group takes half of a row of bytes.
template <int halves> inline constexpr uint16_t bytes_of_group = 32 / halves;

template <int halves> __attribute__((target("amx-tile,amx-int8"), noinline)) static void begin_byte_tiles() {
  constexpr uint16_t depth = bytes_of_group<halves>;
  alignas(64) static constexpr struct {
    uint8_t palette = 1, start = 0, unused[14] = {};
    uint16_t bytes[16] = {64, 64, 64, 64, depth, depth, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, depth / 4, depth / 4};
  } shapes;
  _tile_loadconfig(&shapes);
}

template <int halves>
__attribute__((target("amx-tile,amx-int8"), noinline)) static void multiply_groups(const int8_t* x, int64_t row_bytes,
                                                                                   const uint32_t* words, int64_t count,
                                                                                   int32_t* sums) {
  __asm__ volatile("" ::: "memory");
  constexpr int64_t depth = bytes_of_group<halves>, tile = matrix_tile * matrix_tile;
  int64_t left = count * halves;
  for (; left >= 2; left -= 2) {
    _tile_loadd(6, words, 64);
    _tile_loadd(4, x, row_bytes);
    _tile_zero(0);
    _tile_dpbsud(0, 4, 6);
    _tile_loadd(7, words + depth / 4 * matrix_tile, 64);
    _tile_loadd(5, x + depth, row_bytes);
    _tile_zero(1);
    _tile_dpbsud(1, 5, 7);
    _tile_stored(0, sums, 64);
    _tile_stored(1, sums + tile, 64);
    words += depth / 2 * matrix_tile, x += 2 * depth, sums += 2 * tile;
  }
  if (left == 1) {
    _tile_loadd(6, words, 64);
    _tile_loadd(4, x, row_bytes);
    _tile_zero(0);
    _tile_dpbsud(0, 4, 6);
    _tile_stored(0, sums, 64);
  }
  __asm__ volatile("" ::: "memory");
}
#endif

}  // namespace tunesmith::TUNESMITH_ISA
#endif

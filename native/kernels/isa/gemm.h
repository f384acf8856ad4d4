// The inner part of a packed matrix product: packing into panels, the register tile, and the last step (bias, type).
// Packed rows are panels [depth][tile_rows], packed columns panels [depth][tile_columns], ends padded with zeros.
#pragma once
#include "../table.h"
#include "units.h"

namespace tunesmith::TUNESMITH_ISA {

#if defined(__AVX512F__) || defined(TUNESMITH_EMULATE_AVX512BF16)
inline constexpr int tile_rows = 8, tile_vectors = 3;
#elif defined(__aarch64__)
inline constexpr int tile_rows = 8, tile_vectors = 2;
#else
inline constexpr int tile_rows = 6, tile_vectors = 2;
#endif
inline constexpr int tile_columns = tile_vectors * lanes;

TUNESMITH_INLINE float element(const float* p) { return *p; }
TUNESMITH_INLINE float element(const uint16_t* p) { return widen(*p); }

#if defined(__AVX2__)
TUNESMITH_INLINE __m256 load8(const float* p) { return _mm256_loadu_ps(p); }
TUNESMITH_INLINE __m256 load8(const uint16_t* p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16));
}
// Eight rows of eight values, transposed: target[k * step .. +8] = source rows at k. Rows from `count` on are zero.
template <class T>
TUNESMITH_INLINE void transpose8(const T* const source[8], int64_t count, int64_t at, float* target, int64_t step) {
  __m256 r0 = load8(source[0] + at), r1 = load8(source[1] + at), r2 = load8(source[2] + at), r3 = load8(source[3] + at);
  __m256 r4 = load8(source[4] + at), r5 = load8(source[5] + at), r6 = load8(source[6] + at), r7 = load8(source[7] + at);
  if (count < 8) {
    const __m256 none = _mm256_setzero_ps();
    r1 = count > 1 ? r1 : none, r2 = count > 2 ? r2 : none, r3 = count > 3 ? r3 : none, r4 = count > 4 ? r4 : none;
    r5 = count > 5 ? r5 : none, r6 = count > 6 ? r6 : none, r7 = none;
  }
  __m256 a0 = _mm256_unpacklo_ps(r0, r1), a1 = _mm256_unpackhi_ps(r0, r1);
  __m256 a2 = _mm256_unpacklo_ps(r2, r3), a3 = _mm256_unpackhi_ps(r2, r3);
  __m256 a4 = _mm256_unpacklo_ps(r4, r5), a5 = _mm256_unpackhi_ps(r4, r5);
  __m256 a6 = _mm256_unpacklo_ps(r6, r7), a7 = _mm256_unpackhi_ps(r6, r7);
  __m256 b0 = _mm256_shuffle_ps(a0, a2, 0x44), b1 = _mm256_shuffle_ps(a0, a2, 0xee);
  __m256 b2 = _mm256_shuffle_ps(a1, a3, 0x44), b3 = _mm256_shuffle_ps(a1, a3, 0xee);
  __m256 b4 = _mm256_shuffle_ps(a4, a6, 0x44), b5 = _mm256_shuffle_ps(a4, a6, 0xee);
  __m256 b6 = _mm256_shuffle_ps(a5, a7, 0x44), b7 = _mm256_shuffle_ps(a5, a7, 0xee);
  _mm256_storeu_ps(target, _mm256_permute2f128_ps(b0, b4, 0x20));
  _mm256_storeu_ps(target + step, _mm256_permute2f128_ps(b1, b5, 0x20));
  _mm256_storeu_ps(target + 2 * step, _mm256_permute2f128_ps(b2, b6, 0x20));
  _mm256_storeu_ps(target + 3 * step, _mm256_permute2f128_ps(b3, b7, 0x20));
  _mm256_storeu_ps(target + 4 * step, _mm256_permute2f128_ps(b0, b4, 0x31));
  _mm256_storeu_ps(target + 5 * step, _mm256_permute2f128_ps(b1, b5, 0x31));
  _mm256_storeu_ps(target + 6 * step, _mm256_permute2f128_ps(b2, b6, 0x31));
  _mm256_storeu_ps(target + 7 * step, _mm256_permute2f128_ps(b3, b7, 0x31));
}
#endif

// One panel of `width` lanes: target[k * width + i] = source[i * stride + k]; lanes from `count` to `filled` are zero.
// A store of eight may spill into the next k, which is written later: groups run downwards inside a block of k, so the
// buffer needs eight floats of slack at its end.
template <int width, class T>
static void pack_transposed(const T* source, int64_t stride, int64_t count, int64_t filled, int64_t depth,
                            float* target) {
  int64_t k = 0;
#if defined(__AVX2__)
  for (; k + 8 <= depth; k += 8)
    for (int64_t group = (filled - 1) / 8 * 8; group >= 0; group -= 8) {
      if (group >= count) {
        for (int64_t i = 0; i < 8; i++) _mm256_storeu_ps(target + (k + i) * width + group, _mm256_setzero_ps());
        continue;
      }
      const T* rows[8];
      for (int64_t i = 0; i < 8; i++) rows[i] = source + (group + i < count ? group + i : count - 1) * stride;
      transpose8(rows, count - group, k, target + k * width + group, width);
    }
#endif
  for (; k < depth; k++) {
    for (int64_t i = 0; i < count; i++) target[k * width + i] = element(source + i * stride + k);
    for (int64_t i = count; i < filled; i++) target[k * width + i] = 0;
  }
}

// One panel where neighbouring lanes are neighbours in memory: target[k * width + i] = source[k * stride + i].
template <int width, class T>
static void pack_straight(const T* source, int64_t stride, int64_t count, int64_t filled, int64_t depth,
                          float* target) {
  constexpr int whole = width / lanes * lanes;
  if (count == width) {
    int64_t k = 0;
    // Whole vectors: what a store spills into the next k is overwritten there, what a load reads too far belongs to the
    // next row.
    if (whole < width && stride >= lanes)
      for (; k + 1 < depth; k++)
        for (int i = 0; i < width; i += lanes) store(target + k * width + i, load(source + k * stride + i));
    for (; k < depth; k++) {
      for (int i = 0; i < whole; i += lanes) store(target + k * width + i, load(source + k * stride + i));
      for (int i = whole; i < width; i++) target[k * width + i] = element(source + k * stride + i);
    }
    return;
  }
  for (int64_t k = 0; k < depth; k++) {
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) store(target + k * width + i, load(source + k * stride + i));
    for (; i < count; i++) target[k * width + i] = element(source + k * stride + i);
    for (; i < filled; i++) target[k * width + i] = 0;
  }
}

// Panels of `width` lanes; of the last one, lanes up to a multiple of `step` are written.
template <int width, class T>
static void pack_any(const T* source, int64_t lane_stride, int64_t depth_stride, int64_t count, int64_t depth,
                     float* target, int64_t step = width) {
  for (int64_t i = 0; i < count; i += width) {
    int64_t part = count - i < width ? count - i : width, filled = (part + step - 1) / step * step;
    const T* from = source + i * lane_stride;
    if (depth_stride == 1)
      pack_transposed<width>(from, lane_stride, part, filled, depth, target + i * depth);
    else if (lane_stride == 1)
      pack_straight<width>(from, depth_stride, part, filled, depth, target + i * depth);
    else
      for (int64_t k = 0; k < depth; k++)
        for (int64_t j = 0; j < filled; j++)
          target[i * depth + k * width + j] = j < part ? element(from + j * lane_stride + k * depth_stride) : 0.0f;
  }
}

static void pack_rows(Matrix a, int64_t rows, int64_t depth, float* packed) {
  if (a.type == Type::bfloat16)
    pack_any<tile_rows>((const uint16_t*)a.data, a.row_stride, a.column_stride, rows, depth, packed);
  else
    pack_any<tile_rows>((const float*)a.data, a.row_stride, a.column_stride, rows, depth, packed);
}

static void pack_columns(Matrix b, int64_t depth, int64_t columns, float* packed) {
  if (b.type == Type::bfloat16)
    pack_any<tile_columns>((const uint16_t*)b.data, b.column_stride, b.row_stride, columns, depth, packed);
  else
    pack_any<tile_columns>((const float*)b.data, b.column_stride, b.row_stride, columns, depth, packed);
}

// The register tile: c[rows x vectors] (+)= a * b over `depth` units. A is read by broadcast, so any strides do.
template <int rows, int vectors, class Unit>
TUNESMITH_INLINE void tile(const Unit* __restrict a, int64_t a_row, int64_t a_depth, const Unit* __restrict b,
                           int64_t b_stride, int64_t depth, Register (&c)[rows][vectors]) {
  for (int64_t k = 0; k < depth; k++) {
    decltype(operand(b)) column[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) column[v] = operand(b + v * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      const auto value = spread(a + r * a_row);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) c[r][v] = multiply_add(c[r][v], value, column[v]);
    }
    a += a_depth;
    b += b_stride;
  }
}

template <class T, class B>
TUNESMITH_INLINE void finish(const float* sums, int64_t rows, int64_t columns, T* out, int64_t out_stride,
                             const B* bias, bool add) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t n = 0; n < columns; n += lanes) {
      int64_t left = columns - n;
      Register x = load(sums + r * tile_columns + n);
      if (bias != nullptr) x += load_upto(bias + n, left);
      if (add) x += load_upto(out + r * out_stride + n, left);
      store_upto(out + r * out_stride + n, x, left);
    }
}

static void finish_any(const float* sums, int64_t rows, int64_t columns, const GemmBlock& job, int64_t r, int64_t n) {
  int64_t at = r * job.out_stride + n;
  bool half_bias = job.bias_type == Type::bfloat16;
  const float* bias = half_bias || job.bias == nullptr ? nullptr : (const float*)job.bias + n;
  const uint16_t* bias16 = half_bias && job.bias != nullptr ? (const uint16_t*)job.bias + n : nullptr;
  if (job.out_type == Type::bfloat16) {
    uint16_t* out = (uint16_t*)job.out + at;
    if (half_bias)
      finish(sums, rows, columns, out, job.out_stride, bias16, job.add_to_out);
    else
      finish(sums, rows, columns, out, job.out_stride, bias, job.add_to_out);
  } else {
    float* out = (float*)job.out + at;
    if (half_bias)
      finish(sums, rows, columns, out, job.out_stride, bias16, job.add_to_out);
    else
      finish(sums, rows, columns, out, job.out_stride, bias, job.add_to_out);
  }
}

// Some rows of one panel of columns: at most a tile, from row `r` and column `n` of the block.
template <int rows> static void gemm_tile(const GemmBlock& job, const float* b, int64_t r, int64_t n, int64_t columns) {
  float* partial = job.partial + r * job.partial_stride + n;
  Register c[rows][tile_vectors] = {};
  if (job.row_stride != 0)
    tile<rows, tile_vectors>(job.a + r * job.row_stride, job.row_stride, 1, b, tile_columns, job.depth, c);
  else
    tile<rows, tile_vectors>(job.a + r * job.depth, 1, tile_rows, b, tile_columns, job.depth, c);
  // A whole panel of fp32 ends in registers.
  bool plain =
      columns == tile_columns && (job.out == nullptr || (job.out_type == Type::float32 && !job.add_to_out &&
                                                         (job.bias == nullptr || job.bias_type == Type::float32)));
  if (plain) {
    float* to = job.out == nullptr ? partial : (float*)job.out + r * job.out_stride + n;
    int64_t to_stride = job.out == nullptr ? job.partial_stride : job.out_stride;
    if (job.continues) {
#pragma GCC unroll 8
      for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < tile_vectors; v++) c[i][v] += load(partial + i * job.partial_stride + v * lanes);
    }
    if (job.out != nullptr && job.bias != nullptr) {
#pragma GCC unroll 4
      for (int v = 0; v < tile_vectors; v++) {
        Register bias = load((const float*)job.bias + n + v * lanes);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) c[i][v] += bias;
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
      for (int v = 0; v < tile_vectors; v++) store(to + i * to_stride + v * lanes, c[i][v]);
    return;
  }
  alignas(64) float sums[rows * tile_columns];
#pragma GCC unroll 8
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; v++) store(sums + i * tile_columns + v * lanes, c[i][v]);
  if (job.continues)
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < columns; j++) sums[i * tile_columns + j] += partial[i * job.partial_stride + j];
  if (job.out == nullptr) {
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < columns; j++) partial[i * job.partial_stride + j] = sums[i * tile_columns + j];
  } else
    finish_any(sums, rows, columns, job, r, n);
}

// No row is computed that nobody wants: a product of few rows would pay for a whole tile.
template <int most = tile_rows>
static void gemm_rows(int64_t rows, const GemmBlock& job, const float* b, int64_t r, int64_t n, int64_t columns) {
  if constexpr (most > 1) {
    if (rows < most) return gemm_rows<most - 1>(rows, job, b, r, n, columns);
  }
  gemm_tile<most>(job, b, r, n, columns);
}

static void gemm_block(const GemmBlock& job) {
  // Rows in place are split evenly, as a tile of one row waits for its own sums. Packed ones are in panels.
  const int64_t tiles = (job.rows + tile_rows - 1) / tile_rows;
  for (int64_t n = 0; n < job.columns; n += tile_columns) {
    const int64_t columns = job.columns - n < tile_columns ? job.columns - n : tile_columns;
    const float* b = job.b + n * job.depth;
    for (int64_t i = 0; i < tiles; i++) {
      const int64_t first = job.row_stride != 0 ? job.rows * i / tiles : i * tile_rows;
      const int64_t end = job.row_stride != 0 ? job.rows * (i + 1) / tiles : lesser(job.rows, first + tile_rows);
      gemm_rows(end - first, job, b, first, n, columns);
    }
  }
}

}  // namespace tunesmith::TUNESMITH_ISA

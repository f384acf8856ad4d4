// The product of a few rows with a weight that is read once and in place, for decoding. It is memory-bound, so bf16
// weights cost half of fp32 ones. The order of the sums does not depend on the number of rows, so a row gets the same
// bits in any batch. Where the processor has dot products of bf16, rows of bf16 are multiplied by them, in place too,
// and so fast that memory and arithmetic must overlap.
#pragma once
#include "../table.h"
#include "math.h"
#include "units.h"

namespace tunesmith::TUNESMITH_ISA {

inline constexpr int few_tile = 8;  // sums that are totalled at a time
#if defined(__AVX512F__)
inline constexpr int few_sums = 16;  // sums at a time, as registers allow
#else
inline constexpr int few_sums = 8;
#endif
inline constexpr int64_t few_columns = 16;  // weight rows that stay in the cache while the rows of x pass
inline constexpr int64_t few_ahead = 8;     // weight rows between what is used and what is fetched

// A bf16 vector of 2 * lanes is taken apart into its even and its odd values: two cheap operations instead of a
// widening. So the rows of x are laid out the same way, group by group; what is left at the end keeps its order.
template <class W> inline constexpr int64_t few_group = sizeof(W) == 2 ? 2 * lanes : lanes;

template <class X, class W> static void pack_few_row(const X* x, int64_t depth, float* packed) {
  constexpr int64_t group = few_group<W>;
  const int64_t whole = depth / group * group;
  for (int64_t k = 0; k < whole; k += group)
    for (int64_t i = 0; i < group; i++) {
      const int64_t to = sizeof(W) == 2 ? (i & 1) * lanes + (i >> 1) : i;
      if constexpr (sizeof(X) == 2)
        packed[k + to] = widen(x[k + i]);
      else
        packed[k + to] = x[k + i];
    }
  for (int64_t k = whole; k < depth; k++) {
    if constexpr (sizeof(X) == 2)
      packed[k] = widen(x[k]);
    else
      packed[k] = x[k];
  }
}

static void pack_few(Matrix x, int64_t rows, int64_t depth, Type weight_type, float* packed) {
  for (int64_t r = 0; r < rows; r++) {
    float* to = packed + r * depth;
    if (x.type == Type::bfloat16) {
      const uint16_t* from = (const uint16_t*)x.data + r * x.row_stride;
      if (weight_type == Type::bfloat16)
        pack_few_row<uint16_t, uint16_t>(from, depth, to);
      else
        pack_few_row<uint16_t, float>(from, depth, to);
    } else {
      const float* from = (const float*)x.data + r * x.row_stride;
      if (weight_type == Type::bfloat16)
        pack_few_row<float, uint16_t>(from, depth, to);
      else
        pack_few_row<float, float>(from, depth, to);
    }
  }
}

// The totals of eight vectors.
TUNESMITH_INLINE void totals(const Register* s, float* out) {
#if defined(__AVX2__) && !defined(TUNESMITH_EMULATE_AVX512BF16)
  __m256 v[few_tile];
#pragma GCC unroll 8
  for (int i = 0; i < few_tile; i++) {
#if defined(__AVX512F__)
    const __m512 wide = as<__m512>(s[i]);
    v[i] = _mm256_add_ps(_mm512_castps512_ps256(wide), _mm512_extractf32x8_ps(wide, 1));
#else
    v[i] = as<__m256>(s[i]);
#endif
  }
  const __m256 a = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
  const __m256 b = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));
  _mm256_storeu_ps(out, _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)));
#else
  for (int i = 0; i < few_tile; i++) out[i] = total(s[i]);
#endif
}

// Loaded once and kept: the compiler would fold the load into every use of it.
TUNESMITH_INLINE Register in_register(Register x) {
#if defined(__x86_64__) && !defined(TUNESMITH_EMULATE_AVX512BF16)
  asm("" : "+v"(x));
#endif
  return x;
}

// An element of a bf16 weight that is multiplied by rows of bf16.
struct PairedHalf {
  uint16_t bits;
};
template <class W> inline constexpr bool is_paired = false;
template <> inline constexpr bool is_paired<PairedHalf> = true;

struct FewJob {
  const void* x;  // packed fp32, or bf16 in place
  int64_t x_stride;
  int64_t rows, depth;
  const void* bias;
  Type bias_type;
  void* out;
  Type out_type;
  int64_t out_stride;
};

// Sums of R rows of x, in fp32 and packed, times N rows of the weight.
template <int R, int N, bool first_pass, class W>
TUNESMITH_INLINE void few_sums_of(const float* x, const W* w, int64_t stride, int64_t depth, Register* s) {
  constexpr int64_t group = few_group<W>;
  const int64_t whole = depth / group * group, ahead = few_ahead * stride;
  for (int64_t k = 0; k < whole; k += group) {
    // Rows are short for the processor's own prefetching, which starts anew at each.
    if (first_pass && k * int64_t(sizeof(W)) % 64 == 0) {
#pragma GCC unroll 8
      for (int n = 0; n < N; n++) __builtin_prefetch(w + ahead + n * stride + k, 0, 2);
    }
    if constexpr (sizeof(W) == 2) {
      Register even[N], odd[N];
#pragma GCC unroll 8
      for (int n = 0; n < N; n++) {
        Words pair;
        __builtin_memcpy(&pair, w + n * stride + k, sizeof(pair));
        even[n] = as<Register>(pair << 16);
        odd[n] = as<Register>(pair & 0xffff0000u);
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        const Register first = in_register(load(x + r * depth + k)),
                       second = in_register(load(x + r * depth + k + lanes));
#pragma GCC unroll 8
        for (int n = 0; n < N; n++) {
          s[r * N + n] = fused(first, even[n], s[r * N + n]);
          s[r * N + n] = fused(second, odd[n], s[r * N + n]);
        }
      }
    } else {
      Register c[N];
#pragma GCC unroll 8
      for (int n = 0; n < N; n++) c[n] = load(w + n * stride + k);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
        const Register value = in_register(load(x + r * depth + k));
#pragma GCC unroll 8
        for (int n = 0; n < N; n++) s[r * N + n] = fused(value, c[n], s[r * N + n]);
      }
    }
  }
  for (int64_t k = whole; k < depth; k += lanes) {
    const int64_t count = depth - k < lanes ? depth - k : lanes;
#pragma GCC unroll 8
    for (int n = 0; n < N; n++) {
      const Register c = load_end(w + n * stride + k, count);
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) s[r * N + n] = fused(load_end(x + r * depth + k, count), c, s[r * N + n]);
    }
  }
}

#if defined(TUNESMITH_PAIRS)
// The same for rows of bf16, `step` apart.
template <int R, int N, bool first_pass>
TUNESMITH_INLINE void few_pair_sums(const uint16_t* x, int64_t step, const PairedHalf* w, int64_t stride, int64_t depth,
                                    Register* s) {
  constexpr int64_t group = 2 * lanes;
  const int64_t ahead = few_ahead * stride;
  for (int64_t k = 0; k < depth; k += group) {
    const int64_t left = depth - k;
    Words c[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; n++) {
      if (first_pass) __builtin_prefetch(w + ahead + n * stride + k, 0, 2);
      const uint16_t* from = (const uint16_t*)(w + n * stride + k);
      c[n] = left >= group ? operand((const Pair*)from) : words_end(from, left);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const uint16_t* from = x + r * step + k;
      const Words value = left >= group ? operand((const Pair*)from) : words_end(from, left);
#pragma GCC unroll 8
      for (int n = 0; n < N; n++) s[r * N + n] = multiply_add(s[r * N + n], value, c[n]);
    }
  }
}
#endif

// Totals the sums of R rows of x and N columns, and stores them.
template <int R, int N>
TUNESMITH_INLINE void finish_few(const FewJob& job, int64_t row, int64_t column, const Register* s) {
  constexpr int tiles = (R * N + few_tile - 1) / few_tile;
  float sums[tiles * few_tile];
#pragma GCC unroll 2
  for (int i = 0; i < tiles; i++) totals(s + i * few_tile, sums + i * few_tile);
  for (int r = 0; r < R; r++)
    for (int n = 0; n < N; n++) {
      float sum = sums[r * N + n];
      if (job.bias != nullptr)
        sum += job.bias_type == Type::bfloat16 ? widen(((const uint16_t*)job.bias)[column + n])
                                               : ((const float*)job.bias)[column + n];
      const int64_t at = (row + r) * job.out_stride + column + n;
      if (job.out_type == Type::bfloat16)
        ((uint16_t*)job.out)[at] = narrow(sum);
      else
        ((float*)job.out)[at] = sum;
    }
}

// R rows of x times N rows of the weight, R * N <= few_sums. A sum has the same order in tiles of any size.
template <int R, int N, bool first_pass, class W>
TUNESMITH_INLINE void few_dots(const FewJob& job, int64_t row, const W* weight, int64_t stride, int64_t column) {
  static_assert(R * N <= few_sums);
  constexpr int tiles = (R * N + few_tile - 1) / few_tile;
  const W* w = weight + column * stride;
  Register s[tiles * few_tile] = {};
  if constexpr (!is_paired<W>)
    few_sums_of<R, N, first_pass>((const float*)job.x + row * job.x_stride, w, stride, job.depth, s);
#if defined(TUNESMITH_PAIRS)
  else
    few_pair_sums<R, N, first_pass>((const uint16_t*)job.x + row * job.x_stride, job.x_stride, w, stride, job.depth, s);
#endif
  finish_few<R, N>(job, row, column, s);
}

template <int R, int N, bool first_pass, class W>
static void few_block(const FewJob& job, int64_t row, const W* weight, int64_t stride, int64_t first, int64_t last) {
  int64_t n = first;
  for (; n + N <= last; n += N) few_dots<R, N, first_pass>(job, row, weight, stride, n);
  for (; n < last; n++) few_dots<R, 1, first_pass>(job, row, weight, stride, n);
}

template <class W>
static void few_columns_of(const FewJob& job, const W* weight, int64_t stride, int64_t first, int64_t last) {
  for (int64_t n = first; n < last; n += few_columns) {
    const int64_t end = n + few_columns < last ? n + few_columns : last;
    if (job.rows >= 4) {
      few_block<4, few_sums / 4, true>(job, 0, weight, stride, n, end);
      int64_t r = 4;
      for (; r + 4 <= job.rows; r += 4) few_block<4, few_sums / 4, false>(job, r, weight, stride, n, end);
      if (job.rows - r == 3)
        few_block<3, 2, false>(job, r, weight, stride, n, end);
      else if (job.rows - r == 2)
        few_block<2, few_sums / 2, false>(job, r, weight, stride, n, end);
      else if (job.rows - r == 1)
        few_block<1, 8, false>(job, r, weight, stride, n, end);
    } else if (job.rows == 3)
      few_block<3, 2, true>(job, 0, weight, stride, n, end);
    else if (job.rows == 2)
      few_block<2, few_sums / 2, true>(job, 0, weight, stride, n, end);
    else
      few_block<1, 8, true>(job, 0, weight, stride, n, end);
  }
}

static void few_rows(const float* packed, int64_t rows, Matrix weight, int64_t first, int64_t last, int64_t depth,
                     const void* bias, Type bias_type, void* out, Type out_type, int64_t out_stride) {
  const FewJob job = {packed, depth, rows, depth, bias, bias_type, out, out_type, out_stride};
  if (weight.type == Type::bfloat16)
    few_columns_of(job, (const uint16_t*)weight.data, weight.row_stride, first, last);
  else
    few_columns_of(job, (const float*)weight.data, weight.row_stride, first, last);
}

#if defined(TUNESMITH_PAIRS)
inline constexpr int few_pair_tile = 4;  // rows, and columns, that are multiplied at a time

// The memory that is wanted next, of which each step of a sum fetches some cache lines.
struct FewFetch {
  const char* at;
  int64_t step;
};

template <int R, int N, int lines>
TUNESMITH_INLINE void several_pair_dots(const FewJob& job, int64_t row, const PairedHalf* weight, int64_t stride,
                                        int64_t column, FewFetch& fetch) {
  constexpr int64_t group = 2 * lanes;
  Register s[(R * N + few_tile - 1) / few_tile * few_tile] = {};
  const uint16_t* x = (const uint16_t*)job.x + row * job.x_stride;
  const uint16_t* w = (const uint16_t*)(weight + column * stride);
  const char* next = fetch.at;
  for (int64_t k = 0; k < job.depth; k += group, next += fetch.step) {
    const int64_t left = job.depth - k;
#pragma GCC unroll 4
    for (int i = 0; i < lines; i++) __builtin_prefetch(next + i * 64, 0, 2);
    Words c[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; n++)
      c[n] = left >= group ? operand((const Pair*)(w + n * stride + k)) : words_end(w + n * stride + k, left);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      const uint16_t* from = x + r * job.x_stride + k;
      const Words value = left >= group ? operand((const Pair*)from) : words_end(from, left);
#pragma GCC unroll 4
      for (int n = 0; n < N; n++) s[r * N + n] = multiply_add(s[r * N + n], value, c[n]);
    }
  }
  fetch.at = next;
  finish_few<R, N>(job, row, column, s);
}

template <int R, int lines>
static void several_pair_block(const FewJob& job, int64_t row, const PairedHalf* weight, int64_t stride, int64_t first,
                               int64_t last, FewFetch& fetch) {
  int64_t n = first;
  for (; n + few_pair_tile <= last; n += few_pair_tile)
    several_pair_dots<R, few_pair_tile, lines>(job, row, weight, stride, n, fetch);
  for (; n < last; n++) several_pair_dots<R, 1, lines>(job, row, weight, stride, n, fetch);
}

// More rows than a tile has, in passes over the same columns. If the first pass alone fetched the next columns, memory
// would wait during the others: each of them fetches its part. A sum has the order that it has in few_columns_of.
template <int lines>
static void several_pair_passes(const FewJob& job, int64_t passes, const PairedHalf* weight, int64_t stride,
                                int64_t first, int64_t last) {
  // A pass of a block of columns has a step for each group of values of each tile of columns.
  const int64_t step = 64 * few_pair_tile / passes;
  for (int64_t n = first; n < last; n += few_columns) {
    const int64_t end = lesser(n + few_columns, last);
    FewFetch fetch = {(const char*)(weight + (n + few_columns) * stride), step};
    for (int64_t pass = 0, row = 0; pass < passes; pass++) {
      // Passes of equal sizes.
      const int64_t rows = (job.rows + passes - 1 - pass) / passes;
      if (rows == 4)
        several_pair_block<4, lines>(job, row, weight, stride, n, end, fetch);
      else if (rows == 3)
        several_pair_block<3, lines>(job, row, weight, stride, n, end, fetch);
      else
        several_pair_block<2, lines>(job, row, weight, stride, n, end, fetch);
      row += rows;
    }
  }
}

static void several_pair_columns(const FewJob& job, const PairedHalf* weight, int64_t stride, int64_t first,
                                 int64_t last) {
  const int64_t passes = (job.rows + few_pair_tile - 1) / few_pair_tile;
  if (passes < few_pair_tile)
    several_pair_passes<few_pair_tile / 2>(job, passes, weight, stride, first, last);
  else
    several_pair_passes<1>(job, passes, weight, stride, first, last);
}

static void few_pair_rows(Matrix x, int64_t rows, Matrix weight, int64_t first, int64_t last, int64_t depth,
                          const void* bias, Type bias_type, void* out, Type out_type, int64_t out_stride) {
  const FewJob job = {x.data, x.row_stride, rows, depth, bias, bias_type, out, out_type, out_stride};
  if (rows <= few_pair_tile)
    few_columns_of(job, (const PairedHalf*)weight.data, weight.row_stride, first, last);
  else
    several_pair_columns(job, (const PairedHalf*)weight.data, weight.row_stride, first, last);
}
#endif

}  // namespace tunesmith::TUNESMITH_ISA

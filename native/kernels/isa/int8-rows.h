// Products with matrices of int8 that have a scale for each row. Rows of the input have one scale too, so that all
// columns are added as integers, and floats are computed once for each element of the result. A row of the input also
// has a code for zero: what a GELU gives is hardly ever negative, and would use half of the codes without it. Integers
// are exact: a result depends neither on the number of rows nor on where a thread begins, and is the same for all
// instruction sets.
#pragma once
#include "block-rows.h"

namespace tunesmith::TUNESMITH_ISA {

// A row of the input: int8 codes, then its scale, then what unsigned codes of the matrix add to its sums, negated, then
// the code of zero.
TUNESMITH_INLINE int64_t quantized_int8_bytes(int64_t depth) { return depth + 12; }

// Elements from `column` on, a group of them, in `copy` unless they lie there as floats.
TUNESMITH_INLINE const float* group_values(const Matrix& x, int64_t row, int64_t column, float* copy) {
  const int64_t first = row * x.row_stride + column * x.column_stride;
  if (x.type == Type::float32 && x.column_stride == 1) return (const float*)x.data + first;
  for (int i = 0; i < group_size; i++) {
    const int64_t at = first + i * x.column_stride;
    copy[i] = x.type == Type::bfloat16 ? widen(((const uint16_t*)x.data)[at]) : ((const float*)x.data)[at];
  }
  return copy;
}

static void quantize_int8_rows(Matrix x, int64_t rows, int64_t depth, void* out) {
  const Register shift = splat(rounding);
  float copy[group_size];
  for (int64_t r = 0; r < rows; r++) {
    int8_t* codes = (int8_t*)out + r * quantized_int8_bytes(depth);
    // Zero has a code of its own, so it is in the range.
    Register high = {}, low = {};
    Ints finite_lanes = ~Ints{};
    for (int64_t at = 0; at < depth; at += group_size) {
      const float* values = group_values(x, r, at, copy);
      for (int i = 0; i < group_size; i += lanes) {
        const Register value = load(values + i);
        high = maximum(high, value);
        low = maximum(low, -value);
        finite_lanes &= Ints(as<Words>(value) << 1 < splat_word(0xff000000u));
      }
    }
    const float most = largest(high), least = -largest(low);
    // Infinity and NaN must not become numbers: the scale passes them on.
    const bool finite = all_of(finite_lanes);
    const float step = most / 254.0f - least / 254.0f, inverse = 1.0f / step;
    const float scale = finite ? step : __builtin_nanf("");
    // The inverse of a subnormal step is infinite; such a row is as good as zero.
    const bool usable = finite && as<uint32_t>(inverse) < 0x7f800000u;
    const float factor = usable ? inverse : 0.0f;
    const int32_t zero = usable ? (int32_t)__builtin_rintf(__builtin_fmaf(-least, factor, -127.0f)) : 0;
    Ints sum = {};
    for (int64_t at = 0; at < depth; at += group_size) {
      const float* values = group_values(x, r, at, copy);
      for (int i = 0; i < group_size; i += lanes) {
        const Register rounded = finite ? fused(load(values + i), splat(factor), shift) : shift;
        Ints code = as<Ints>(rounded) - as<Ints>(shift) + zero;
        // Both ends may be rounded outwards.
        code = code > 127 ? 127 - Ints{} : code;
        code = code < -127 ? -127 - Ints{} : code;
        const Bytes bytes = __builtin_convertvector(code, Bytes);
        __builtin_memcpy(codes + at + i, &bytes, sizeof(bytes));
        sum += code;
      }
    }
    const int32_t added = -128 * sum_of(sum);
    __builtin_memcpy(codes + depth, &scale, 4);
    __builtin_memcpy(codes + depth + 4, &added, 4);
    __builtin_memcpy(codes + depth + 8, &zero, 4);
  }
}

#if defined(TUNESMITH_SIGNED_CODES)
inline constexpr bool unsigned_int8 = false;
#else
inline constexpr bool unsigned_int8 = true;
#endif
// Rows of the input and vectors of columns at a time: their sums stay in registers.
inline constexpr int int8_tile = lanes == 16 ? 8 : 4, int8_vectors = lanes == 16 ? 3 : 2;

// R rows of the input times V vectors of columns from `n` on; `units` has the layout of products from there on, at a
// multiple of sixteen columns. Fetches the layout `ahead` of what is multiplied where that is not 0.
template <int R, int V>
static void multiply_int8(const BlockProduct& job, const uint8_t* units, int64_t ahead, int64_t row, int64_t n) {
  const int64_t depth = job.depth, row_bytes = quantized_int8_bytes(depth), unit_bytes = int8_side_bytes(depth);
  const int8_t* x = (const int8_t*)job.x + row * row_bytes;
  const uint8_t *codes[V], *scales[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; v++) {
    const uint8_t* unit = units + v * lanes / side_rows * unit_bytes;
    codes[v] = unit + v * lanes % side_rows * 4;
    scales[v] = unit + depth * side_rows + v * lanes % side_rows * 4;
  }
  Ints sums[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
    int32_t added = 0, zero;
    if (unsigned_int8) __builtin_memcpy(&added, x + r * row_bytes + depth + 4, 4);
    __builtin_memcpy(&zero, x + r * row_bytes + depth + 8, 4);
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) sums[r][v] = added - zero * load_bytes<Ints>(scales[v] + side_rows * 4);
  }
  // Four codes of each of the lanes of vector v.
  const auto words_of = [&](int v, int64_t k) {
    const uint8_t* from = codes[v] + k * side_rows;
    if (ahead > 0) __builtin_prefetch(from + ahead, 0, 2);
    const Words word = load_bytes<Words>(from);
    return unsigned_int8 ? word : word ^ splat_word(0x80808080u);
  };
#if defined(TUNESMITH_BYTE_MATRICES)
  if constexpr (R > 1) {
    const int8_t* rows[R];
    for (int r = 0; r < R; r++) rows[r] = x + r * row_bytes;
    RowPairs<R> pairs[V] = {};
    for (int64_t k = 0; k < depth; k += 8) {
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) pairs[v].add(words_of(v, k), words_of(v, k + 4), rows, k);
    }
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
      Ints dots[R];
      pairs[v].finish(dots);
      for (int r = 0; r < R; r++) sums[r][v] += dots[r];
    }
  }
#endif
  for (int64_t k = R > 1 && byte_matrices ? depth : 0; k < depth; k += 4) {
    Words words[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) words[v] = words_of(v, k);
#if defined(TUNESMITH_BYTE_PAIRS)
    Words sizes[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) sizes[v] = sizes_of(words[v]);
#endif
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const uint32_t four = word_at(x + r * row_bytes + k);
#pragma GCC unroll 4
      for (int v = 0; v < V; v++) {
#if defined(TUNESMITH_BYTE_PAIRS)
        sums[r][v] += add_pairs(pair_words<true>(words[v], sizes[v], four));
#else
        sums[r][v] = dot_words(sums[r][v], words[v], four);
#endif
      }
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < V; v++) {
    const int64_t at = n + v * lanes, filled = job.columns - at < lanes ? job.columns - at : lanes;
    const Register scale = load_bytes<Register>(scales[v]);
    const Register bias = job.bias == nullptr               ? Register{}
                          : job.bias_type == Type::bfloat16 ? load_upto((const uint16_t*)job.bias + at, filled)
                                                            : load_upto((const float*)job.bias + at, filled);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      float own;
      __builtin_memcpy(&own, x + r * row_bytes + depth, 4);
      const Register value = fused(__builtin_convertvector(sums[r][v], Register), scale * splat(own), bias);
      const int64_t to = (row + r) * job.out_stride + at;
      if (job.out_type == Type::bfloat16)
        store_upto((uint16_t*)job.out + to, value, filled);
      else
        store_upto((float*)job.out + to, value, filled);
    }
  }
}

template <int V>
TUNESMITH_INLINE void int8_columns(const BlockProduct& job, const uint8_t* units, int64_t ahead, int64_t n) {
  int64_t r = 0;
  // Once for each byte: by the first rows.
  const auto some = [&](auto count) {
    constexpr int R = decltype(count)::value;
    multiply_int8<R, V>(job, units, r == 0 ? ahead : 0, r, n);
    r += R;
  };
  while (r + int8_tile <= job.rows) some(Count<int8_tile>{});
  if (int8_tile > 4 && r + 4 <= job.rows) some(Count<4>{});
  if (r + 2 <= job.rows) some(Count<2>{});
  if (r < job.rows) some(Count<1>{});
}

// Columns `first` to `last`, whole sixteens unless they end the matrix, of a product whose layout is kept.
static void int8_rows(const BlockProduct& job, int64_t first, int64_t last) {
  const int64_t bytes = int8_side_bytes(job.depth);
  constexpr int64_t panel = int8_vectors * lanes;
  const auto* layout = (const uint8_t*)job.weight.interleaved;
  for (int64_t n = first; n < last;) {
    const int64_t left = last - n, ahead = left > panel ? sides_ahead : 0;
    const uint8_t* units = layout + n / side_rows * bytes;
    if (panel % side_rows == 0 && left > panel - side_rows) {
      int8_columns<int8_vectors>(job, units, ahead, n);
      n += panel;
    } else {
      int8_columns<side_rows / lanes>(job, units, ahead, n);
      n += side_rows;
    }
  }
}

}  // namespace tunesmith::TUNESMITH_ISA

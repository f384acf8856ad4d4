// The inner part of a bf16 product by pairs of values that are neighbours in depth, as dot products of bf16 take them.
// Packed rows are strips [depth in pairs][tile_rows], packed columns panels [depth in pairs][tile_columns], ends padded
// with zeros. A sum runs over its depth in order, so its bits do not depend on the rows and columns beside it.
#pragma once
#include "../table.h"
#include "gemm.h"

namespace tunesmith::TUNESMITH_ISA {

#if defined(TUNESMITH_PAIRS)

TUNESMITH_INLINE __m256 load8(const Pair* p) { return _mm256_loadu_ps((const float*)p); }

TUNESMITH_INLINE Pair pair_of(const uint16_t* lane, int64_t depth_stride, int64_t left) {
  return {uint32_t(lane[0]) | (left > 1 ? uint32_t(lane[depth_stride]) << 16 : 0)};
}

// One panel whose lanes have their depth in one piece: pairs lie as they are, and are transposed. Eight lanes go at a
// time, as the processor's prefetching follows no more.
template <int width>
static void pack_pairs_across(const uint16_t* source, int64_t stride, int64_t count, int64_t depth, Pair* target) {
  const int64_t whole = depth / 16 * 16;
  for (int64_t group = 0; group < width; group += 8)
    for (int64_t k = 0; k < whole; k += 16) {
      float* to = (float*)(target + k / 2 * width + group);
      if (group >= count) {
        for (int64_t i = 0; i < 8; i++) _mm256_storeu_ps(to + i * width, _mm256_setzero_ps());
        continue;
      }
      const Pair* lanes_of[8];
      for (int64_t i = 0; i < 8; i++) lanes_of[i] = (const Pair*)(source + lesser(group + i, count - 1) * stride + k);
      transpose8(lanes_of, count - group, 0, to, width);
    }
  for (int64_t k = whole; k < depth; k += 2)
    for (int64_t i = 0; i < width; i++)
      target[k / 2 * width + i] = i < count ? pair_of(source + i * stride + k, 1, depth - k) : Pair{0};
}

// Up to `lanes_at_once` lanes that are neighbours in memory, of panels that are `panel` pairs apart: the values of two
// rows become pairs.
template <int width, int lanes_at_once>
static void pack_pairs_along(const uint16_t* source, int64_t stride, int64_t count, int64_t depth, Pair* target,
                             int64_t panel) {
  static_assert(lanes_at_once % width == 0 && lanes_at_once % lanes == 0);
  for (int64_t k = 0; k < depth; k += 2) {
    const uint16_t* row = source + k * stride;
    Pair* to = target + k / 2 * width;
    if (count >= lanes_at_once && k + 1 < depth) {
      // The lanes after these, a cache line at a time, for the next call: they are far from what is read meanwhile.
#pragma GCC unroll 8
      for (int i = 0; i < lanes_at_once; i += 32) {
        __builtin_prefetch(row + lanes_at_once + i, 0, 2);
        __builtin_prefetch(row + stride + lanes_at_once + i, 0, 2);
      }
#pragma GCC unroll 8
      for (int i = 0; i < lanes_at_once; i += lanes) {
        Halves one, two;
        __builtin_memcpy(&one, row + i, sizeof(one));
        __builtin_memcpy(&two, row + stride + i, sizeof(two));
        const Words pairs = paired(one, two);
        if constexpr (width % lanes == 0)
          store(to + i / width * panel + i % width, pairs);
        else {
          static_assert(width * 2 == lanes);
          __builtin_memcpy((void*)(to + i / width * panel), &pairs, sizeof(pairs) / 2);
          __builtin_memcpy((void*)(to + (i / width + 1) * panel), (const char*)&pairs + sizeof(pairs) / 2,
                           sizeof(pairs) / 2);
        }
      }
      continue;
    }
    const int64_t all = lesser(lanes_at_once, round_up(count, width));
    for (int64_t i = 0; i < all; i++)
      to[i / width * panel + i % width] = i < count ? pair_of(row + i, stride, depth - k) : Pair{0};
  }
}

template <int width, int lanes_at_once>
static void pack_pairs(const uint16_t* source, int64_t lane_stride, int64_t depth_stride, int64_t count, int64_t depth,
                       float* packed) {
  const int64_t pairs = (depth + 1) / 2;
  Pair* target = (Pair*)packed;
  if (depth_stride == 1)
    for (int64_t i = 0; i < count; i += width)
      pack_pairs_across<width>(source + i * lane_stride, lane_stride, lesser(width, count - i), depth,
                               target + i * pairs);
  else
    for (int64_t i = 0; i < count; i += lanes_at_once)
      pack_pairs_along<width, lanes_at_once>(source + i, depth_stride, count - i, depth, target + i * pairs,
                                             width * pairs);
}

// One stride is 1. Panels of lanes that are neighbours in memory are written some at a time, so that whole cache lines
// are read.
static void pack_pair_rows(Matrix a, int64_t rows, int64_t depth, float* packed) {
  pack_pairs<tile_rows, 32>((const uint16_t*)a.data, a.row_stride, a.column_stride, rows, depth, packed);
}
static void pack_pair_columns(Matrix b, int64_t depth, int64_t columns, float* packed) {
  pack_pairs<tile_columns, 2 * tile_columns>((const uint16_t*)b.data, b.column_stride, b.row_stride, columns, depth,
                                             packed);
}

template <class T, int rows, int vectors>
TUNESMITH_INLINE void finish_pairs(const GemmBlock& job, Register (&c)[rows][vectors], T* out, int64_t columns) {
#pragma GCC unroll 4
  for (int v = 0; v < vectors; v++) {
    const int64_t left = columns - v * lanes;
    Register bias = {};
    if (job.bias != nullptr)
      bias = job.bias_type == Type::bfloat16 ? load_upto((const uint16_t*)job.bias + v * lanes, left)
                                             : load_upto((const float*)job.bias + v * lanes, left);
    if (left >= lanes) {
#pragma GCC unroll 8
      for (int i = 0; i < rows; i++) {
        T* to = out + i * job.out_stride + v * lanes;
        Register x = c[i][v] + bias;
        if (job.add_to_out) x += load(to);
        store(to, x);
      }
    } else {
#pragma GCC unroll 8
      for (int i = 0; i < rows; i++) {
        T* to = out + i * job.out_stride + v * lanes;
        Register x = c[i][v] + bias;
        if (job.add_to_out) x += load_part(to, left);
        store_part(to, x, left);
      }
    }
  }
}

// `fetch` moves by `fetch_bytes` at each pair: what lies there is wanted in the second cache by the tiles that follow.
template <int rows, int vectors>
static void pair_tile(const GemmBlock& job, int64_t r, const char* fetch, int64_t fetch_bytes) {
  Register c[rows][vectors] = {};
  const Pair* a = (const Pair*)job.a + r * job.depth;
  const Pair* b = (const Pair*)job.b;
  const int64_t bytes = job.out_type == Type::bfloat16 ? 2 : 4;
  char* out = (char*)job.out + r * job.out_stride * bytes;
  // Results may come from memory, or go there.
  for (int i = 0; i < rows && job.out != nullptr; i++) {
    __builtin_prefetch(out + i * job.out_stride * bytes, 1);
    __builtin_prefetch(out + (i * job.out_stride + job.columns) * bytes - 1, 1);
  }
  for (const Pair* end = b + job.depth * tile_columns; b < end; b += tile_columns, a += tile_rows) {
    __builtin_prefetch(fetch, 0, 2);
    fetch += fetch_bytes;
    Words column[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) column[v] = operand(b + v * lanes);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
      const Words value = spread(a + i);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) c[i][v] = multiply_add(c[i][v], value, column[v]);
    }
  }
  float* partial = job.partial + r * job.partial_stride;
  // What waits is in whole panels.
  if (job.continues) {
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) c[i][v] += load(partial + i * job.partial_stride + v * lanes);
  }
  if (job.out == nullptr) {
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) store(partial + i * job.partial_stride + v * lanes, c[i][v]);
  } else if (job.out_type == Type::bfloat16)
    finish_pairs(job, c, (uint16_t*)out, job.columns);
  else
    finish_pairs(job, c, (float*)out, job.columns);
}

template <int vectors, int most = tile_rows>
static void pair_rows(int64_t rows, const GemmBlock& job, int64_t r, const char* fetch, int64_t fetch_bytes) {
  if constexpr (most > 1) {
    if (rows < most) return pair_rows<vectors, most - 1>(rows, job, r, fetch, fetch_bytes);
  }
  pair_tile<most, vectors>(job, r, fetch, fetch_bytes);
}

// Some rows, in strips, times one panel of columns. The depth is in pairs.
static void pair_block(const GemmBlock& job) {
  const int64_t tiles = (job.rows + tile_rows - 1) / tile_rows;
  // A prefetch is as cheap as a branch around it: without a next block it is of this one.
  const int64_t fetch_bytes = job.next == nullptr ? 0 : (tile_columns * int64_t(sizeof(Pair)) + tiles - 1) / tiles;
  const char* fetch = (const char*)(job.next == nullptr ? job.b : job.next);
  for (int64_t r = 0; r < job.rows; r += tile_rows, fetch += fetch_bytes * job.depth) {
    const int64_t rows = lesser(tile_rows, job.rows - r);
    if (job.columns > 2 * lanes)
      pair_rows<3>(rows, job, r, fetch, fetch_bytes);
    else if (job.columns > lanes)
      pair_rows<2>(rows, job, r, fetch, fetch_bytes);
    else
      pair_rows<1>(rows, job, r, fetch, fetch_bytes);
  }
}
#endif

}  // namespace tunesmith::TUNESMITH_ISA

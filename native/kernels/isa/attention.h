// Softmax attention for one head in blocks, fp32 inside, keeping only the log-sum-exp of each row.
// A tile of the score matrix that no query may see is never computed.
#pragma once
#include "gemm.h"
#include "elementwise.h"

namespace tunesmith::TUNESMITH_ISA {

// Multiples of tile_rows and tile_columns, so that no tile crosses a block.
inline constexpr int64_t query_block = 96;
inline constexpr int64_t key_block = 192;
static_assert(query_block % tile_rows == 0 && key_block % tile_rows == 0 && key_block % tile_columns == 0);

TUNESMITH_INLINE int64_t round_up(int64_t x, int64_t step) { return (x + step - 1) / step * step; }
TUNESMITH_INLINE int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }
TUNESMITH_INLINE int64_t greater(int64_t a, int64_t b) { return a > b ? a : b; }

// The keys [first, last) that some query of [from, to) may see. Query i stands at key position i + keys - queries.
struct Span {
  int64_t first, last;
};
TUNESMITH_INLINE Span visible_keys(const AttentionHead& head, int64_t from, int64_t to) {
  const int64_t shift = head.keys - head.queries;
  Span span = {0, head.keys};
  if (head.causal) span.last = lesser(head.keys, to + shift);
  if (head.window > 0) {
    span.first = greater(0, from + shift - head.window + 1);
    span.last = lesser(span.last, to - 1 + shift + head.window);
  }
  if (span.last < span.first) span.last = span.first;
  return span;
}
// The queries that may see some key of [from, to).
TUNESMITH_INLINE Span seeing_queries(const AttentionHead& head, int64_t from, int64_t to) {
  const int64_t shift = head.keys - head.queries;
  Span span = {0, head.queries};
  if (head.causal) span.first = greater(0, from - shift);
  if (head.window > 0) {
    span.first = greater(span.first, from - shift - head.window + 1);
    span.last = lesser(span.last, to - 1 - shift + head.window);
  }
  if (span.last < span.first) span.last = span.first;
  return span;
}

// [rows][size] of any type to fp32 rows of `stride`, scaled; the padding is zero.
static void copy_rows(const void* source, Type type, int64_t source_stride, int64_t rows, int64_t padded_rows,
                      int64_t size, float* target, int64_t stride, float factor) {
  for (int64_t r = 0; r < padded_rows; r++) {
    float* to = target + r * stride;
    int64_t filled = 0;
    if (r < rows) {
      for (; filled < size; filled += lanes) {
        int64_t n = size - filled;
        Register x = type == Type::bfloat16
                         ? load_upto((const uint16_t*)source + r * source_stride + filled, n)
                         : load_upto((const float*)source + r * source_stride + filled, n);
        store_upto(to + filled, x * factor, n);
      }
      filled = size;
    }
    for (int64_t i = filled; i < stride; i++) to[i] = 0;
  }
}

// c[tile] (+)= a * b for one register tile in memory.
TUNESMITH_INLINE void tile_in_memory(const float* a, int64_t a_row, int64_t a_depth, const float* b, int64_t depth,
                                     float* c, int64_t c_stride, bool add) {
  Register sums[tile_rows][tile_vectors] = {};
  if (add) {
#pragma GCC unroll 8
    for (int r = 0; r < tile_rows; r++)
#pragma GCC unroll 4
      for (int v = 0; v < tile_vectors; v++) sums[r][v] = load(c + r * c_stride + v * lanes);
  }
  tile<tile_rows, tile_vectors>(a, a_row, a_depth, b, tile_columns, depth, sums);
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; r++)
#pragma GCC unroll 4
    for (int v = 0; v < tile_vectors; v++) store(c + r * c_stride + v * lanes, sums[r][v]);
}

// One row of scores plus its mask; lanes outside the visible keys become -inf. `count` is a multiple of lanes.
static void mask_row(const AttentionHead& head, int64_t query, int64_t key, float* scores, int64_t count) {
  const Span seen = visible_keys(head, query, query + 1);
  const int64_t first = lesser(count, greater(0, seen.first - key)), last = lesser(count, greater(0, seen.last - key));
  const float hidden = -__builtin_inff();
  for (int64_t i = 0; i < first; i++) scores[i] = hidden;
  for (int64_t i = greater(first, last); i < count; i++) scores[i] = hidden;
  if (head.mask == nullptr) return;
  const int64_t step = head.mask_column_stride, at = query * head.mask_row_stride + key * step;
  if (head.mask_kind == 0) {
    const uint8_t* mask = (const uint8_t*)head.mask + at;
    for (int64_t i = first; i < last; i++) scores[i] = mask[i * step] ? scores[i] : hidden;
  } else if (head.mask_kind == 1) {
    const float* mask = (const float*)head.mask + at;
    for (int64_t i = first; i < last; i++) scores[i] += mask[i * step];
  } else {
    const uint16_t* mask = (const uint16_t*)head.mask + at;
    for (int64_t i = first; i < last; i++) scores[i] += widen(mask[i * step]);
  }
}

TUNESMITH_INLINE uint32_t dropout_threshold(float p) { return uint32_t(double(p) * 4294967296.0); }

TUNESMITH_INLINE Register visible_exponential(Register score, float offset) {
  Ints seen = ~Ints(score == splat(-__builtin_inff()));  // a NaN is seen
  return as<Register>(as<Ints>(exponential(score - offset)) & seen);
}

TUNESMITH_INLINE Register keep_some(const AttentionHead& head, Register x, int64_t query, int64_t key,
                                    uint32_t threshold, float factor) {
  Words column = lane_numbers() + uint32_t(key);
  Register kept = survivors(head.seed, head.random_row + uint32_t(query), column, threshold);
  return as<Register>(as<Ints>(x * factor) & as<Ints>(kept));
}

struct ForwardScratch {
  float *keys, *values, *query, *scores, *output, *highest, *sums;
  int64_t padded_size, total;
};
static ForwardScratch forward_layout(int64_t keys, int64_t size, float* base) {
  ForwardScratch s;
  s.padded_size = round_up(size, tile_columns);
  int64_t at = 0;
  auto take = [&](int64_t count) {
    float* p = base + at;
    at += round_up(count + 16, 16);
    return p;
  };
  s.keys = take(round_up(keys, tile_columns) * size);
  s.values = take(keys * s.padded_size);
  s.query = take(query_block * size);
  s.scores = take(query_block * key_block);
  s.output = take(query_block * s.padded_size);
  s.highest = take(query_block);
  s.sums = take(query_block);
  s.total = at;
  return s;
}

static int64_t attention_scratch(int64_t, int64_t keys, int64_t size) {
  return forward_layout(keys, size, nullptr).total;
}

static void attention_pack(const AttentionHead& head, float* scratch) {
  ForwardScratch s = forward_layout(head.keys, head.size, scratch);
  pack_columns({head.key, head.type, 1, head.key_stride}, head.size, head.keys, s.keys);
  pack_columns({head.value, head.type, head.value_stride, 1}, head.keys, head.size, s.values);
}

static void attention_forward(const AttentionHead& head, int64_t first, int64_t last, float* scratch) {
  const ForwardScratch s = forward_layout(head.keys, head.size, scratch);
  const int64_t size = head.size;
  const int64_t bytes = head.type == Type::bfloat16 ? 2 : 4;
  const uint32_t threshold = dropout_threshold(head.dropout);
  const float factor = 1.0f / (1.0f - head.dropout);
  const float none = -__builtin_inff();
  for (int64_t q = first; q < last; q += query_block) {
    const int64_t rows = lesser(query_block, last - q), padded = round_up(rows, tile_rows);
    copy_rows((const char*)head.query + q * head.query_stride * bytes, head.type, head.query_stride, rows, padded, size,
              s.query, size, head.scale);
    for (int64_t r = 0; r < padded; r++) s.highest[r] = none, s.sums[r] = 0;
    const Span all = visible_keys(head, q, q + rows);
    bool started = false;
    for (int64_t k = all.first / key_block * key_block; k < all.last; k += key_block) {
      const int64_t block_end = lesser(k + key_block, head.keys);
      for (int64_t r = 0; r < padded; r += tile_rows) {
        const Span seen = visible_keys(head, q + r, lesser(q + r + tile_rows, q + rows));
        const int64_t from = lesser(block_end, greater(k, seen.first / tile_columns * tile_columns));
        const int64_t to = lesser(block_end, seen.last);
        for (int64_t n = from; n < to; n += tile_columns)
          tile_in_memory(s.query + r * size, size, 1, s.keys + n * size, size, s.scores + r * key_block + (n - k),
                         key_block, false);
        const int64_t begin = from - k, end = to > from ? round_up(to - k, lanes) : begin;
        for (int64_t i = r; i < lesser(r + tile_rows, rows); i++) {
          float* row = s.scores + i * key_block;
          if (end <= begin) continue;
          mask_row(head, q + i, k + begin, row + begin, end - begin);
          Register high = splat(none);
          for (int64_t n = begin; n < end; n += lanes) high = maximum(high, load(row + n));
          const float before = s.highest[i], top = largest(high) > before ? largest(high) : before;
          Register sum = {};
          const float offset = top == none ? 0.0f : top;
          for (int64_t n = begin; n < end; n += lanes) {
            Register p = visible_exponential(load(row + n), offset);
            sum += p;
            if (threshold != 0) p = keep_some(head, p, q + i, k + n, threshold, factor);
            store(row + n, p);
          }
          const float fade = before == top || before == none ? 1.0f : __builtin_expf(before - top);
          if (started && fade != 1.0f)
            for (int64_t n = 0; n < s.padded_size; n += lanes)
              store(s.output + i * s.padded_size + n, load(s.output + i * s.padded_size + n) * fade);
          s.sums[i] = s.sums[i] * fade + total(sum);
          s.highest[i] = top;
        }
        for (int64_t n = 0; n < s.padded_size; n += tile_columns)
          tile_in_memory(s.scores + r * key_block + begin, key_block, 1, s.values + n * head.keys + from * tile_columns,
                         greater(0, to - from), s.output + r * s.padded_size + n, s.padded_size, started);
      }
      started = true;
    }
    for (int64_t r = 0; r < rows; r++) {
      const float sum = s.sums[r];
      const bool blind = !started || sum == 0;
      const float inverse = blind ? 0.0f : 1.0f / sum;
      head.log_sum[q + r] = blind ? 0.0f : s.highest[r] + __builtin_logf(sum);
      for (int64_t i = 0; i < size; i += lanes) {
        Register x = blind ? Register{} : load(s.output + r * s.padded_size + i) * inverse;
        if (head.type == Type::bfloat16) store_upto((uint16_t*)head.output + (q + r) * head.output_stride + i, x, size - i);
        else store_upto((float*)head.output + (q + r) * head.output_stride + i, x, size - i);
      }
    }
  }
}

}  // namespace tunesmith::TUNESMITH_ISA

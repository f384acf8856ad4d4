// Gradients of attention for one head: probabilities are recomputed from the log-sum-exp, block by block. Key and value
// gradients accumulate over the heads of a group; one thread owns them, so there are no atomics.
#pragma once
#include "attention.h"

namespace tunesmith::TUNESMITH_ISA {

template <class Unit> struct BackwardScratch {
  Unit *keys_across, *values_across, *keys, *query, *query_down, *gradient, *gradient_down;
  float *delta, *probabilities, *slopes, *query_gradient;
  // The two again as the products over queries take them; the same memory where a unit is one value.
  Unit *probabilities_down, *slopes_down;
  int64_t padded_size, total;
};
template <class Unit>
static BackwardScratch<Unit> backward_layout(int64_t queries, int64_t keys, int64_t size, float* base) {
  BackwardScratch<Unit> s;
  s.padded_size = round_up(size, head_columns);
  int64_t at = 0;
  auto take = [&](int64_t count) {
    float* p = base + at;
    at += round_up(count + 16, 16);
    return p;
  };
  const int64_t padded_keys = round_up(keys, head_columns), padded_queries = round_up(queries, head_rows<Unit>);
  const int64_t size_units = units_of<Unit>(size);
  s.keys_across = (Unit*)take(padded_keys * size_units);
  s.values_across = (Unit*)take(padded_keys * size_units);
  s.keys = (Unit*)take(units_of<Unit>(keys) * s.padded_size);
  s.query = (Unit*)take(padded_queries * size_units);
  s.query_down = (Unit*)take(units_of<Unit>(queries) * s.padded_size);
  s.gradient = (Unit*)take(padded_queries * size_units);
  s.gradient_down = (Unit*)take(units_of<Unit>(queries) * s.padded_size);
  s.delta = take(queries);
  s.probabilities = take(query_block * key_block);
  s.slopes = take(query_block * key_block);
  s.query_gradient = take(query_block * s.padded_size);
  s.probabilities_down = (Unit*)(unit_depth<Unit> == 1 ? s.probabilities : take(query_block / 2 * key_block));
  s.slopes_down = (Unit*)(unit_depth<Unit> == 1 ? s.slopes : take(query_block / 2 * key_block));
  s.total = at;
  return s;
}

// Rows of key and value gradients: whole tiles.
static int64_t attention_gradient_rows(int64_t keys) {
  return greater(round_up(keys, head_rows<float>), round_up(keys, head_rows<TilePair>));
}

static int64_t attention_backward_scratch(int64_t queries, int64_t keys, int64_t size) {
#if defined(TUNESMITH_PAIRS)
  const int64_t paired = greater(backward_layout<Pair>(queries, keys, size, nullptr).total,
                                 backward_layout<TilePair>(queries, keys, size, nullptr).total);
  const int64_t single = backward_layout<float>(queries, keys, size, nullptr).total;
  return greater(paired, single);
#else
  return backward_layout<float>(queries, keys, size, nullptr).total;
#endif
}

// Where a row of a block has its scores, which become probabilities, and their gradients; `down` as products over
// queries take them, with the row after it.
template <class Unit> struct BlockRow {
  float *probabilities, *slopes;
  Unit *probabilities_down, *slopes_down;
};
template <class Unit> TUNESMITH_INLINE BlockRow<Unit> block_row(const BackwardScratch<Unit>& s, int64_t row) {
  const int64_t at = row * key_block, down = row / unit_depth<Unit> * key_block;
  return {s.probabilities + at, s.slopes + at, s.probabilities_down + down, s.slopes_down + down};
}

TUNESMITH_INLINE void keep(const BlockRow<float>& row, int64_t n, const Register* probabilities,
                           const Register* slopes) {
  store(row.probabilities + n, probabilities[0]);
  store(row.slopes + n, slopes[0]);
}

#if defined(TUNESMITH_PAIRS)
template <class Unit>
TUNESMITH_INLINE void keep(const BlockRow<Unit>& row, int64_t n, const Register* probabilities,
                           const Register* slopes) {
  Halves first, second;
  store(row.probabilities_down + n, paired(probabilities[0], probabilities[1], first, second));
  store(row.slopes_down + n, paired(slopes[0], slopes[1], first, second));
  // In place: they take the half that has been read.
  __builtin_memcpy((uint16_t*)row.slopes + n, &first, sizeof(first));
  __builtin_memcpy((uint16_t*)(row.slopes + key_block) + n, &second, sizeof(second));
}
#endif

// The keys [begin, end) of a block that begins with key `key`, whose first `width` values are written.
struct BlockPart {
  int64_t key, begin, end, width;
};

// Turns scores of `rows` queries from `query` on, row `row` of a block, into probabilities, and their gradients into
// gradients of the products.
template <class Unit, int rows, bool drops>
static void backward_rows(const AttentionHead& head, const BackwardScratch<Unit>& s, int64_t query, int64_t row,
                          const BlockPart& part) {
  constexpr int most = unit_depth<Unit>;
  static_assert(rows <= most);
  const BlockRow<Unit> to = block_row(s, row);
  const Register nothing[most] = {};
  const int64_t begin = part.begin, end = part.end;
  for (int64_t n = 0; n < begin; n += lanes) keep(to, n, nothing, nothing);
  const bool capped = head.cap > 0;
  float bends[rows][key_block];
  float left[rows], log_sum[rows], delta[rows];
  uint64_t seed[rows];
  for (int i = 0; i < rows; i++) {
    left[i] = finish_scores(head, query + i, part.key + begin, to.probabilities + i * key_block + begin, end - begin,
                            capped ? bends[i] + begin : nullptr);
    log_sum[i] = head.log_sum[query + i];
    delta[i] = s.delta[query + i];
    seed[i] = drops ? query_seed(head, query + i) : 0;
  }
  const uint32_t threshold = dropout_threshold(head.dropout);
  const float factor = 1.0f / (1.0f - head.dropout), scale = head.scale;
  for (int64_t n = begin; n < end; n += lanes) {
    Register probabilities[most] = {}, slopes[most] = {};
#pragma GCC unroll 2
    for (int i = 0; i < rows; i++) {
      const int64_t at = i * key_block + n;
      const Register p = visible_exponential<Unit>(load(to.probabilities + at), left[i], log_sum[i]);
      Register slope = load(to.slopes + at), kept = p;
      if constexpr (drops) {
        const Ints alive = kept_keys(seed[i], part.key + n, threshold);
        kept = as<Register>(as<Ints>(p * factor) & alive);
        slope = as<Register>(as<Ints>(slope * factor) & alive);
      }
      probabilities[i] = kept;
      slopes[i] = p * (slope - delta[i]) * (capped ? load(bends[i] + n) : splat(scale));
    }
    keep(to, n, probabilities, slopes);
  }
  for (int64_t n = end; n < part.width; n += lanes) keep(to, n, nothing, nothing);
}

// Zeros for the queries from `last` on that a step of the depth takes beside those before it.
static void fill_step(const BackwardScratch<float>&, int64_t, int64_t) {}

#if defined(TUNESMITH_PAIRS)
template <class Unit> static void fill_step(const BackwardScratch<Unit>& s, int64_t last, int64_t width) {
  for (int64_t i = units_of<Pair>(last); i < units_of<Unit>(last); i++) {
    __builtin_memset((void*)(s.probabilities_down + i * key_block), 0, size_t(width) * sizeof(Unit));
    __builtin_memset((void*)(s.slopes_down + i * key_block), 0, size_t(width) * sizeof(Unit));
  }
}
#endif

template <class Unit> static void attention_backward_units(const AttentionGradient& job, float* scratch) {
  constexpr int64_t unit = unit_depth<Unit>;
  const AttentionHead& head = job.head;
  const int64_t size = head.size, queries = head.queries, keys = head.keys;
  const int64_t size_units = units_of<Unit>(size), key_units = units_of<Unit>(keys);
  const int64_t query_units = units_of<Unit>(queries);
  const auto s = backward_layout<Unit>(queries, keys, size, scratch);
  const int64_t stride = s.padded_size;
  const bool drops = dropout_threshold(head.dropout) != 0;

  pack_across(head.key, head.type, head.key_stride, keys, size, s.keys_across);
  pack_across(head.value, head.type, head.value_stride, keys, size, s.values_across);
  pack_down(head.key, head.type, head.key_stride, keys, size, s.keys);
  const int64_t padded_queries = round_up(queries, head_rows<Unit>);
  copy_rows(head.query, head.type, head.query_stride, queries, padded_queries, size, s.query);
  copy_rows(job.output_gradient, head.type, job.output_gradient_stride, queries, padded_queries, size, s.gradient);
  pack_down(head.query, head.type, head.query_stride, queries, size, s.query_down);
  pack_down(job.output_gradient, head.type, job.output_gradient_stride, queries, size, s.gradient_down);
  for (int64_t q = 0; q < queries; q++) {
    Register sum = {};
    for (int64_t i = 0; i < size; i += lanes) {
      const int64_t y = q * head.output_stride + i, dy = q * job.output_gradient_stride + i;
      sum += head.type == Type::bfloat16 ? load_upto((const uint16_t*)head.output + y, size - i) *
                                               load_upto((const uint16_t*)job.output_gradient + dy, size - i)
                                         : load_upto((const float*)head.output + y, size - i) *
                                               load_upto((const float*)job.output_gradient + dy, size - i);
    }
    s.delta[q] = total(sum);
  }

  for (int64_t q = 0; q < queries; q += query_block) {
    const int64_t rows = lesser(query_block, queries - q), padded = round_up(rows, head_rows<Unit>);
    const Span all = visible_keys(head, q, q + rows);
    __builtin_memset(s.query_gradient, 0, size_t(padded * stride) * sizeof(float));
    for (int64_t k = all.first / key_block * key_block; k < all.last; k += key_block) {
      const int64_t block_end = lesser(k + key_block, keys);
      // What the tiles over keys read of a row.
      const int64_t width = round_up(round_up(block_end - k, head_rows<Unit>), greater(lanes, depth_step<Unit>));
      for (int64_t r = 0; r < padded; r += head_rows<Unit>) {
        const Span seen = visible_keys(head, q + r, lesser(q + r + head_rows<Unit>, q + rows));
        const int64_t from = lesser(block_end, greater(k, seen.first / head_columns * head_columns));
        const int64_t to = lesser(block_end, seen.last);
        for (int64_t n = from; n < to; n += head_columns) {
          const int64_t at = r * key_block + (n - k);
          tile_in_memory(s.query + (q + r) * size_units, size_units, 1, s.keys_across + n * size_units, size_units,
                         s.probabilities + at, key_block, false, to - n);
          tile_in_memory(s.gradient + (q + r) * size_units, size_units, 1, s.values_across + n * size_units, size_units,
                         s.slopes + at, key_block, false, to - n);
        }
        const bool any = to > from;
        const int64_t end = any ? round_up(to - k, lanes) : 0;
        BlockPart part = {k, any ? from - k : 0, end, width};
        const int64_t last = lesser(r + head_rows<Unit>, rows);
        const auto whole = drops ? backward_rows<Unit, unit, true> : backward_rows<Unit, unit, false>;
        const auto single = drops ? backward_rows<Unit, 1, true> : backward_rows<Unit, 1, false>;
        for (int64_t i = r; i < last; i += unit) {
          part.end = end_of_row(head, q + lesser(i + unit, last) - 1, k, part.begin, end);
          (i + unit <= last ? whole : single)(head, s, q + i, i, part);
        }
        if (last == rows) fill_step(s, last, width);
        if (any)
          for (int64_t n = 0; n < stride; n += head_columns)
            tile_in_memory((const Unit*)(s.slopes + r * key_block) + part.begin / unit, key_block, 1,
                           s.keys + n * key_units + from / unit * head_columns, units_of<Unit>(to - from),
                           s.query_gradient + r * stride + n, stride, true, size - n);
      }
      for (int64_t r = 0; r < block_end - k; r += head_rows<Unit>) {
        const Span seeing = seeing_queries(head, k + r, lesser(k + r + head_rows<Unit>, keys));
        // A unit may begin with a query that sees none of these keys: its probabilities are zero.
        constexpr int64_t step = depth_step<Unit>;
        const int64_t from = greater(q, seeing.first) / step * step, to = lesser(q + rows, seeing.last);
        if (to <= from) continue;
        const int64_t at = (from - q) / unit * key_block + r, depth = units_of<Unit>(to - from);
        for (int64_t n = 0; n < stride; n += head_columns) {
          const int64_t down = n * query_units + from / unit * head_columns;
          tile_in_memory(s.probabilities_down + at, 1, key_block, s.gradient_down + down, depth,
                         job.value_gradient + (k + r) * stride + n, stride, true, size - n);
          tile_in_memory(s.slopes_down + at, 1, key_block, s.query_down + down, depth,
                         job.key_gradient + (k + r) * stride + n, stride, true, size - n);
        }
      }
    }
    for (int64_t r = 0; r < rows; r++)
      for (int64_t i = 0; i < size; i += lanes) {
        Register x = load(s.query_gradient + r * stride + i);
        int64_t at = (q + r) * job.query_gradient_stride + i;
        if (head.type == Type::bfloat16)
          store_upto((uint16_t*)job.query_gradient + at, x, size - i);
        else
          store_upto((float*)job.query_gradient + at, x, size - i);
      }
  }
}

static void attention_backward(const AttentionGradient& job, float* scratch) {
#if defined(TUNESMITH_TILES)
  if (by_tiles(job.head)) {
    begin_tiles();
    attention_backward_units<TilePair>(job, scratch);
    return end_tiles();
  }
#endif
#if defined(TUNESMITH_PAIRS)
  if (job.head.type == Type::bfloat16) return attention_backward_units<Pair>(job, scratch);
#endif
  attention_backward_units<float>(job, scratch);
}

}  // namespace tunesmith::TUNESMITH_ISA

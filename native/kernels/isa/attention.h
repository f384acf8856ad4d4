// Softmax attention for one head in blocks, storing only the log-sum-exp of each row. Sums and scores are fp32;
// products are of bf16 where the tensors are bf16 and the processor has bf16 dot products, by its matrix tiles where it
// has them. Tiles of the score matrix that are masked for all queries are skipped.
#pragma once
#include "elementwise.h"
#include "gemm.h"
#include "matrix-tiles.h"

namespace tunesmith::TUNESMITH_ISA {

// A tile of attention's products. Heads are often 64 wide, which three vectors of 16 do not divide.
template <class Unit> inline constexpr int head_rows = lanes == 16 ? 6 : tile_rows;
template <> inline constexpr int head_rows<TilePair> = 16;
inline constexpr int head_vectors = lanes == 16 ? 4 : tile_vectors;
inline constexpr int head_columns = head_vectors * lanes;

// Multiples of head_rows, head_columns and depth_step, so that no tile crosses a block.
inline constexpr int64_t query_block = 96;
inline constexpr int64_t key_block = 192;
template <class Unit>
inline constexpr bool blocks_fit =
    query_block % head_rows<Unit> == 0 && key_block % head_rows<Unit> == 0 && head_rows<Unit> % unit_depth<Unit> == 0 &&
    query_block % depth_step<Unit> == 0 && key_block % depth_step<Unit> == 0 && head_columns % unit_depth<Unit> == 0;
static_assert(key_block % head_columns == 0 && blocks_fit<float> && blocks_fit<Pair>);

// The keys [first, last) that a query of [from, to) attends to. Query i is at key position i + keys - queries.
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
// The queries that attend to a key of [from, to).
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

// [rows][size] to rows of units; the padding is zero.
static void copy_rows(const void* source, Type type, int64_t source_stride, int64_t rows, int64_t padded_rows,
                      int64_t size, float* target) {
  for (int64_t r = 0; r < padded_rows; r++) {
    float* to = target + r * size;
    for (int64_t i = 0; r >= rows && i < size; i++) to[i] = 0;
    for (int64_t i = 0; r < rows && i < size; i += lanes) {
      const int64_t n = size - i, from = r * source_stride + i;
      store_upto(to + i,
                 type == Type::bfloat16 ? load_upto((const uint16_t*)source + from, n)
                                        : load_upto((const float*)source + from, n),
                 n);
    }
  }
}

// Panels of head_columns lanes: a lane is a row of the source, the depth goes along it. Whole vectors are filled, as
// those are what the tiles read.
static void pack_across(const void* source, Type type, int64_t stride, int64_t rows, int64_t size, float* target) {
  if (type == Type::bfloat16)
    pack_any<head_columns>((const uint16_t*)source, stride, 1, rows, size, target, lanes);
  else
    pack_any<head_columns>((const float*)source, stride, 1, rows, size, target, lanes);
}

// Panels of head_columns lanes: a lane is a column of the source, the depth goes down it.
static void pack_down(const void* source, Type type, int64_t stride, int64_t rows, int64_t size, float* target) {
  if (type == Type::bfloat16)
    pack_any<head_columns>((const uint16_t*)source, 1, stride, size, rows, target, lanes);
  else
    pack_any<head_columns>((const float*)source, 1, stride, size, rows, target, lanes);
}

TUNESMITH_INLINE void store_unit(float* row, int64_t at, Register x) { store(row + at, x); }

#if defined(TUNESMITH_PAIRS)
// Rows of a head lie far from each other, where the processor foresees nothing: they are fetched while others are
// packed.
inline constexpr int64_t fetched_rows = 32;
TUNESMITH_INLINE void fetch_row(const uint16_t* row, int64_t size) {
  for (int64_t i = 0; i < size; i += 32) __builtin_prefetch(row + i);
}

template <class Unit>
static void copy_rows(const void* source, Type, int64_t source_stride, int64_t rows, int64_t padded_rows, int64_t size,
                      Unit* target) {
  const int64_t units = units_of<Unit>(size);
  for (int64_t r = 0; r < padded_rows; r++) {
    Unit* to = target + r * units;
    const int64_t real = r < rows ? size : 0;
    if (r + fetched_rows < rows) fetch_row((const uint16_t*)source + (r + fetched_rows) * source_stride, size);
    __builtin_memset((void*)(to + real / 2), 0, size_t(units - real / 2) * sizeof(Unit));
    if (real > 0)
      __builtin_memcpy((void*)to, (const uint16_t*)source + r * source_stride, size_t(size) * sizeof(uint16_t));
  }
}

// True if the panels were packed by tiles.
template <class Unit> static bool pack_tiles_across(const uint16_t*, int64_t, int64_t, int64_t, Unit*) { return false; }

#if defined(TUNESMITH_TILES)
static bool pack_tiles_across(const uint16_t* source, int64_t stride, int64_t rows, int64_t size, TilePair* target) {
  if (size % (2 * matrix_tile) != 0 || stride % 2 != 0) return false;
  const int64_t units = size / 2;
  for (int64_t r = 0; r < rows; r += matrix_tile) {
    const uint16_t* from = source + r * stride;
    const int64_t count = lesser(matrix_tile, rows - r);
    for (int64_t i = fetched_rows; i < fetched_rows + matrix_tile && r + i < rows; i++)
      fetch_row(from + i * stride, size);
    for (int64_t k = 0; k < units; k += matrix_tile) {
      TilePair* to = target + r / head_columns * head_columns * units + k * head_columns + r % head_columns;
      if (count == matrix_tile) {
        turn_tile((const TilePair*)from + k, stride / 2, to, head_columns);
        continue;
      }
      alignas(64) TilePair end[matrix_tile * matrix_tile] = {};
      for (int64_t i = 0; i < count; i++)
        __builtin_memcpy((void*)(end + i * matrix_tile), from + i * stride + 2 * k, matrix_tile * sizeof(TilePair));
      turn_tile(end, matrix_tile, to, head_columns);
    }
  }
  return true;
}
#endif

template <class Unit>
static void pack_across(const void* source, Type, int64_t stride, int64_t rows, int64_t size, Unit* target) {
  const uint16_t* from = (const uint16_t*)source;
  const int64_t units = units_of<Unit>(size);
  if (pack_tiles_across(from, stride, rows, size, target)) return;
  if (size % 2 == 0 && stride % 2 == 0) {
    // Pairs lie as they are wanted, and move as fp32 values would.
    for (int64_t first = 0; first < rows; first += head_columns) {
      Unit* panel = target + first * units;
      const int64_t count = lesser(head_columns, rows - first);
      pack_any<head_columns>((const float*)(from + first * stride), stride / 2, 1, count, size / 2, (float*)panel,
                             lanes);
      __builtin_memset((void*)(panel + size / 2 * head_columns), 0,
                       size_t((units - size / 2) * head_columns) * sizeof(Unit));
    }
    return;
  }
  for (int64_t first = 0; first < rows; first += head_columns)
    for (int64_t k = 0; k < units; k++)
      for (int64_t i = 0; i < head_columns; i++) {
        const uint16_t* at = from + (first + i) * stride + 2 * k;
        const bool real = first + i < rows;
        const uint32_t low = real && 2 * k < size ? at[0] : 0, high = real && 2 * k + 1 < size ? at[1] : 0;
        target[first * units + k * head_columns + i].bits = low | high << 16;
      }
}

template <class Unit>
static void pack_down(const void* source, Type, int64_t stride, int64_t rows, int64_t size, Unit* target) {
  const int64_t units = units_of<Unit>(rows);
  for (int64_t k = 0; k < units; k++) {
    const uint16_t* at = (const uint16_t*)source + 2 * k * stride;
    const bool both = 2 * k + 1 < rows;
    if (2 * k + fetched_rows < rows) {
      fetch_row(at + fetched_rows * stride, size);
      fetch_row(at + (fetched_rows + 1) * stride, size);
    }
    for (int64_t i = 0; i < size; i += lanes) {
      Unit* to = target + i / head_columns * head_columns * units + k * head_columns + i % head_columns;
      const int64_t left = size - i;
      if (both && left >= lanes) {
        Halves one, two;
        __builtin_memcpy(&one, at + i, sizeof(one));
        __builtin_memcpy(&two, at + stride + i, sizeof(two));
        store(to, paired(one, two));
        continue;
      }
      const Halves one = 2 * k < rows ? halves_upto(at + i, left) : Halves{};
      const Halves two = both ? halves_upto(at + stride + i, left) : Halves{};
      store(to, paired(one, two));
    }
  }
}

// Writes values [at, at + lanes) of a row of pairs.
TUNESMITH_INLINE void store_unit(Pair* row, int64_t at, Register x) { store((uint16_t*)row + at, x); }
#endif

template <int vectors, class Unit>
static void tile_of(const Unit* a, int64_t a_row, int64_t a_depth, const Unit* b, int64_t depth, float* c,
                    int64_t c_stride, bool add) {
  constexpr int rows = head_rows<Unit>;
  Register sums[rows][vectors] = {};
  if (add) {
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) sums[r][v] = load(c + r * c_stride + v * lanes);
  }
  tile<rows, vectors>(a, a_row, a_depth, b, head_columns, depth, sums);
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) store(c + r * c_stride + v * lanes, sums[r][v]);
}

// c[tile] (+)= a * b for one register tile in memory: its first vectors, as many as hold `columns`.
template <class Unit>
static void tile_in_memory(const Unit* a, int64_t a_row, int64_t a_depth, const Unit* b, int64_t depth, float* c,
                           int64_t c_stride, bool add, int64_t columns) {
  static_assert(head_vectors == 2 || head_vectors == 4);
  if (columns <= lanes) return tile_of<1>(a, a_row, a_depth, b, depth, c, c_stride, add);
  if constexpr (head_vectors == 4) {
    if (columns <= 2 * lanes) return tile_of<2>(a, a_row, a_depth, b, depth, c, c_stride, add);
    if (columns <= 3 * lanes) return tile_of<3>(a, a_row, a_depth, b, depth, c, c_stride, add);
  }
  tile_of<head_vectors>(a, a_row, a_depth, b, depth, c, c_stride, add);
}

#if defined(TUNESMITH_TILES)
static_assert(blocks_fit<TilePair> && head_columns == 4 * matrix_tile);

static void tile_in_memory(const TilePair* a, int64_t a_row, int64_t a_depth, const TilePair* b, int64_t depth,
                           float* c, int64_t c_stride, bool add, int64_t columns) {
  // Rows of the matrix tile are rows in memory: a product over queries reads its rows by columns.
  alignas(64) TilePair turned[query_block / 2 * matrix_tile];
  if (a_depth != 1) {
    for (int64_t k = 0; k < depth; k += matrix_tile) turn_tile(a + k * a_depth, a_depth, turned + k * matrix_tile);
    return multiply_tiles(turned, matrix_tile, matrix_tile * matrix_tile, b, head_columns, depth, c, c_stride, add,
                          columns);
  }
  multiply_tiles(a, a_row, matrix_tile, b, head_columns, depth, c, c_stride, add, columns);
}
#endif

// `count` is a multiple of lanes.
TUNESMITH_INLINE void scale_row(float* scores, int64_t count, float factor) {
  for (int64_t n = 0; n < count; n += lanes) store(scores + n, load(scores + n) * factor);
}

TUNESMITH_INLINE void cap_row(float* scores, int64_t count, float cap) {
  for (int64_t n = 0; n < count; n += lanes) store(scores + n, capped(load(scores + n), cap));
}

// Where the vectors end that a query of a tile sees some of, in a block that begins with key `key`.
TUNESMITH_INLINE int64_t end_of_row(const AttentionHead& head, int64_t query, int64_t key, int64_t begin, int64_t end) {
  return lesser(end, greater(begin, round_up(visible_keys(head, query, query + 1).last - key, lanes)));
}

// The keys that a query does not see become -inf. Of the last vector, lanes from `count` on may, too.
static void hide_keys(float* scores, int64_t first, int64_t last, int64_t count) {
  const auto hide = [&](int64_t n) {
    const Ints number = as<Ints>(lane_numbers()) + int32_t(n);
    const Ints seen = Ints(number >= int32_t(first)) & Ints(number < int32_t(last));
    store(scores + n, select(seen, load(scores + n), splat(-__builtin_inff())));
  };
  int64_t n = 0;
  for (; n < first && n < count; n += lanes) hide(n);
  if (last < count)
    for (n = greater(n, last / lanes * lanes); n < count; n += lanes) hide(n);
}

static void add_mask(const AttentionHead& head, int64_t query, int64_t key, float* scores, int64_t first,
                     int64_t last) {
  const float hidden = -__builtin_inff();
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

// One row of scores plus its mask; lanes outside the visible keys become -inf.
TUNESMITH_INLINE void mask_row(const AttentionHead& head, int64_t query, int64_t key, float* scores, int64_t count) {
  const Span seen = visible_keys(head, query, query + 1);
  const int64_t first = lesser(count, greater(0, seen.first - key)), last = lesser(count, greater(0, seen.last - key));
  if (first > 0 || last < count) hide_keys(scores, first, last, count);
  if (head.mask != nullptr) add_mask(head, query, key, scores, first, last);
}

// Scores of a query and the keys from `key` on as they are wanted, but for the factor that is returned: most are only
// scaled, which is done where they are read. `bends`, unless null: slopes of the cap with the scale.
TUNESMITH_INLINE float finish_scores(const AttentionHead& head, int64_t query, int64_t key, float* scores,
                                     int64_t count, float* bends) {
  float left = head.scale;
  if (head.cap > 0 || head.mask != nullptr || !(head.scale > 0)) {
    left = 1;
    scale_row(scores, count, head.scale);
    if (head.cap > 0) cap_row(scores, count, head.cap);
    for (int64_t n = 0; bends != nullptr && n < count; n += lanes)
      store(bends + n, capped_slope(load(scores + n), head.cap) * head.scale);
  }
  mask_row(head, query, key, scores, count);
  return left;
}

TUNESMITH_INLINE uint32_t dropout_threshold(float p) { return uint32_t(double(p) * 4294967296.0); }

// exp(score * factor - offset), zero for hidden keys, as exact as the products that take it.
template <class Unit> TUNESMITH_INLINE Register visible_exponential(Register score, float factor, float offset) {
  const Ints seen = ~Ints(score == splat(-__builtin_inff()));  // a NaN is seen
  if constexpr (unit_depth<Unit> == 1) {
    return as<Register>(as<Ints>(exponential(score * factor - offset)) & seen);
  } else {
    constexpr float doublings = 1.44269504f;
    return as<Register>(as<Ints>(power_of_two(score * (factor * doublings) - offset * doublings)) & seen);
  }
}

// The seed of a query's dropout mask: heads of a token differ in the highest byte of its key.
TUNESMITH_INLINE uint64_t query_seed(const AttentionHead& head, int64_t query) {
  return row_seed(head.seed, uint64_t(head.row_keys[query]) + (uint64_t(head.number) << 56));
}

// `seed` is that of the query; keys are counted from the first of the sequence.
TUNESMITH_INLINE Ints kept_keys(uint64_t seed, int64_t key, uint32_t threshold) {
  return as<Ints>(survivors(seed, lane_numbers() + uint32_t(key), threshold));
}

template <class Unit> struct ForwardScratch {
  Unit *keys, *values, *query;
  float *scores, *output, *highest, *sums;
  int64_t padded_size, total;
};
template <class Unit> static ForwardScratch<Unit> forward_layout(int64_t keys, int64_t size, float* base) {
  ForwardScratch<Unit> s;
  s.padded_size = round_up(size, head_columns);
  int64_t at = 0;
  auto take = [&](int64_t count) {
    float* p = base + at;
    at += round_up(count + 16, 16);
    return p;
  };
  s.keys = (Unit*)take(round_up(keys, head_columns) * units_of<Unit>(size));
  s.values = (Unit*)take(units_of<Unit>(keys) * s.padded_size);
  s.query = (Unit*)take(query_block * units_of<Unit>(size));
  s.scores = take(round_up(head_rows<Unit>, 16) * key_block);
  s.output = take(query_block * s.padded_size);
  s.highest = take(query_block);
  s.sums = take(query_block);
  s.total = at;
  return s;
}

static int64_t attention_scratch(int64_t, int64_t keys, int64_t size) {
  return greater(forward_layout<float>(keys, size, nullptr).total, forward_layout<TilePair>(keys, size, nullptr).total);
}

template <class Unit> static void attention_pack_units(const AttentionHead& head, float* scratch) {
  const auto s = forward_layout<Unit>(head.keys, head.size, scratch);
  pack_across(head.key, head.type, head.key_stride, head.keys, head.size, s.keys);
  pack_down(head.value, head.type, head.value_stride, head.keys, head.size, s.values);
}

// Turns scores, which `left` times are the scaled ones, into probabilities but for their sum, relative to the highest
// score so far. Returns by what earlier ones are to be multiplied.
template <class Unit, bool drops>
static float weigh_row(const AttentionHead& head, int64_t query, int64_t key, float left, float* row, int64_t begin,
                       int64_t end, float& highest, float& sum) {
  const float none = -__builtin_inff(), before = highest;
  Register high = splat(none);
  for (int64_t n = begin; n < end; n += lanes) high = maximum(high, load(row + n));
  const float here = largest(high) * left, top = here > before ? here : before;
  const float offset = top == none ? 0.0f : top;
  const uint64_t seed = drops ? query_seed(head, query) : 0;
  const uint32_t threshold = dropout_threshold(head.dropout);
  const float factor = 1.0f / (1.0f - head.dropout);
  Register added = {};
  for (int64_t n = begin; n < end; n += lanes) {
    Register p = visible_exponential<Unit>(load(row + n), left, offset);
    added += p;
    if constexpr (drops) p = as<Register>(as<Ints>(p * factor) & kept_keys(seed, key + n, threshold));
    store_unit((Unit*)row, n, p);  // in place: pairs take the half that has been read
  }
  const float fade = before == top || before == none ? 1.0f : __builtin_expf(before - top);
  sum = sum * fade + total(added);
  highest = top;
  return fade;
}

template <class Unit>
static void attention_forward_units(const AttentionHead& head, int64_t first, int64_t last, float* scratch) {
  constexpr int64_t unit = unit_depth<Unit>;
  const auto s = forward_layout<Unit>(head.keys, head.size, scratch);
  const int64_t size = head.size, size_units = units_of<Unit>(size), key_units = units_of<Unit>(head.keys);
  const int64_t bytes = head.type == Type::bfloat16 ? 2 : 4;
  const bool drops = dropout_threshold(head.dropout) != 0;
  for (int64_t q = first; q < last; q += query_block) {
    const int64_t rows = lesser(query_block, last - q), padded = round_up(rows, head_rows<Unit>);
    copy_rows((const char*)head.query + q * head.query_stride * bytes, head.type, head.query_stride, rows, padded, size,
              s.query);
    for (int64_t r = 0; r < padded; r++) s.highest[r] = -__builtin_inff(), s.sums[r] = 0;
    const Span all = visible_keys(head, q, q + rows);
    bool started = false;
    for (int64_t k = all.first / key_block * key_block; k < all.last; k += key_block) {
      const int64_t block_end = lesser(k + key_block, head.keys);
      for (int64_t r = 0; r < padded; r += head_rows<Unit>) {
        const Span seen = visible_keys(head, q + r, lesser(q + r + head_rows<Unit>, q + rows));
        const int64_t from = lesser(block_end, greater(k, seen.first / head_columns * head_columns));
        const int64_t to = lesser(block_end, seen.last);
        for (int64_t n = from; n < to; n += head_columns)
          tile_in_memory(s.query + r * size_units, size_units, 1, s.keys + n * size_units, size_units,
                         s.scores + (n - k), key_block, false, to - n);
        const int64_t begin = from - k, end = to > from ? round_up(to - k, lanes) : begin;
        const int64_t filled = begin + round_up(greater(0, to - from), depth_step<Unit>);
        for (int64_t i = r; i < lesser(r + head_rows<Unit>, rows); i++) {
          float* row = s.scores + (i - r) * key_block;
          if (end <= begin) continue;
          const int64_t own = end_of_row(head, q + i, k, begin, end);
          const float left = finish_scores(head, q + i, k + begin, row + begin, own - begin, nullptr);
          const auto weigh = drops ? weigh_row<Unit, true> : weigh_row<Unit, false>;
          const float fade = weigh(head, q + i, k, left, row, begin, own, s.highest[i], s.sums[i]);
          for (int64_t n = own; n < filled; n += lanes) store_unit((Unit*)row, n, Register{});
          if (started && fade != 1.0f)
            for (int64_t n = 0; n < size; n += lanes)
              store(s.output + i * s.padded_size + n, load(s.output + i * s.padded_size + n) * fade);
        }
        for (int64_t n = 0; n < s.padded_size; n += head_columns)
          tile_in_memory((const Unit*)s.scores + begin / unit, key_block, 1,
                         s.values + n * key_units + from / unit * head_columns, units_of<Unit>(greater(0, to - from)),
                         s.output + r * s.padded_size + n, s.padded_size, started, size - n);
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
        if (head.type == Type::bfloat16)
          store_upto((uint16_t*)head.output + (q + r) * head.output_stride + i, x, size - i);
        else
          store_upto((float*)head.output + (q + r) * head.output_stride + i, x, size - i);
      }
    }
  }
}

#if defined(TUNESMITH_TILES)
// Fewer queries fill too little of a tile to pay for its configuration.
static bool by_tiles(const AttentionHead& head) {
  return head.type == Type::bfloat16 && head.queries > matrix_tile / 2 && matrix_tiles();
}
#endif

static void attention_pack(const AttentionHead& head, float* scratch) {
#if defined(TUNESMITH_TILES)
  if (by_tiles(head)) return attention_pack_units<TilePair>(head, scratch);
#endif
#if defined(TUNESMITH_PAIRS)
  if (head.type == Type::bfloat16) return attention_pack_units<Pair>(head, scratch);
#endif
  attention_pack_units<float>(head, scratch);
}

static void attention_forward(const AttentionHead& head, int64_t first, int64_t last, float* scratch) {
#if defined(TUNESMITH_TILES)
  if (by_tiles(head)) {
    begin_tiles();
    attention_forward_units<TilePair>(head, first, last, scratch);
    return end_tiles();
  }
#endif
#if defined(TUNESMITH_PAIRS)
  if (head.type == Type::bfloat16) return attention_forward_units<Pair>(head, first, last, scratch);
#endif
  attention_forward_units<float>(head, first, last, scratch);
}

}  // namespace tunesmith::TUNESMITH_ISA
